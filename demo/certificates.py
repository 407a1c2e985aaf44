"""A certificate authority made at start: for the demo directory, and for the tests."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class CertificateAuthority:
    """Issues server certificates with any names and validity, expired ones included."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(self, folder: Path) -> Path:
        """Write `ca.pem` into the folder and return its path."""
        path = folder / "ca.pem"
        path.write_text(self.pem)
        return path

    def issue(
        self,
        folder: Path,
        names: Iterable[str] = (),
        addresses: Iterable[str] = (),
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        stem: str = "server",
    ) -> tuple[Path, Path]:
        """Write `<stem>.pem` and `<stem>.key` (mode 0600); return both paths."""
        names = list(names)
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [
            *(x509.DNSName(name) for name in names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        common = x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "server")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([common]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - timedelta(days=200))
            .not_valid_after(not_after or now + timedelta(days=200))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        certificate_file, key_file = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file


class VerifiedTls(ldap3.Tls):
    """TLS for ldap3 that trusts one authority and expects one name, whatever address is used."""

    def __init__(self, ca_file: Path, name: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._name = name

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Called by ldap3 in place of its own, which cannot tell name from address."""
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=self._name, do_handshake_on_connect=do_handshake
        )
