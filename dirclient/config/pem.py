"""Certificates of authorities as an administrator brings them: read strictly, kept alone."""

from __future__ import annotations

import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

_MARK = b"-----BEGIN"


class NoCertificates(ValueError):
    """The text is refused. `remedy` says what to bring instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read_certificates(octets: bytes) -> str:
    """Return the certificates of a PEM or DER file as PEM, and nothing else that it holds.

    What tools write around certificates is dropped. Raise NoCertificates where there is none,
    where one cannot be read, and where a private key comes with them: the text that was refused
    is in no message.
    """
    if b"PRIVATE KEY" in octets:
        raise NoCertificates(
            "The CA certificate comes with a private key.",
            "Upload the certificate alone, and keep the key where it was.",
        )
    try:
        if _MARK in octets:
            certificates = x509.load_pem_x509_certificates(octets)
        else:
            certificates = [x509.load_der_x509_certificate(octets)]
        text = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ValueError, UnsupportedAlgorithm, ssl.SSLError) as error:
        raise NoCertificates(
            "The CA certificate cannot be read.",
            "Upload it in PEM form, beginning with -----BEGIN CERTIFICATE-----.",
        ) from error
    return text
