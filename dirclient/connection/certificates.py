"""A server's certificate in words: its names, its issuer, its end."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from dirclient.config.profile import Encryption, Profile
from dirclient.connection.connect import dial
from dirclient.connection.ldap_connection import Connection
from dirclient.model.deadline import remaining, time_limit
from dirclient.model.errors import DirectoryError


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parts of a certificate that an administrator compares.

    `names` are host names and addresses it is valid for; `fingerprint` is SHA-256 in hex pairs.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    ends: datetime
    fingerprint: str

    @classmethod
    def parse(cls, der: bytes) -> Certificate:
        """From DER. Raises ValueError."""
        certificate = x509.load_der_x509_certificate(der)
        names: list[str] = []
        with contextlib.suppress(x509.ExtensionNotFound, ValueError):
            other = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
            names += other.get_values_for_type(x509.DNSName)
            names += map(str, other.get_values_for_type(x509.IPAddress))
        digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
        return cls(
            subject=certificate.subject.rfc4514_string(),
            names=tuple(names),
            issuer=certificate.issuer.rfc4514_string(),
            ends=certificate.not_valid_after_utc,
            fingerprint=":".join(digest[at : at + 2] for at in range(0, len(digest), 2)),
        )

    def days_left(self, now: datetime | None = None) -> float:
        """Until it ends; negative when it has."""
        return (self.ends - (now or datetime.now(UTC))).total_seconds() / 86400


def of(connection: Connection) -> Certificate | None:
    """The verified certificate of an encrypted connection; None where there is none to read."""
    der = connection.certificate_octets()
    with contextlib.suppress(ValueError):
        return Certificate.parse(der) if der else None
    return None


def shown(profile: Profile, server: str) -> Certificate | None:
    """The certificate that a server shows, unverified, to say what is wrong with it.

    Nothing is ever sent to a server in this way: the connection closes after the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with time_limit(profile.connect_timeout), contextlib.ExitStack() as closing:
            left = max(0.001, remaining(profile.connect_timeout))
            sock = dial(server.strip("[]"), profile.port, left)
            closing.callback(sock.close)
            sock.settimeout(left)
            if profile.encryption is Encryption.LDAPS:
                sock = context.wrap_socket(sock, server_hostname=profile.tls_name_of(server))
                closing.callback(sock.close)
            connection = Connection(
                sock, server, encrypted=False, operation_timeout=profile.connect_timeout
            )
            closing.callback(connection.close)
            if profile.encryption is Encryption.STARTTLS:
                connection.start_tls(context, profile.tls_name_of(server))
            return of(connection)
    except (DirectoryError, OSError, ValueError):
        return None
