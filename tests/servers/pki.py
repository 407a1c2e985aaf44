"""TLS for the tests: the authority that signs the servers' certificates, and ldap3 trusting it."""

from demo.certificates import CertificateAuthority, VerifiedTls

__all__ = ["CertificateAuthority", "VerifiedTls"]
