"""TLS for the tests: the authority that signs the servers' certificates, and ldap3 trusting it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import ldap3

from demo.certificates import CertificateAuthority

__all__ = ["CertificateAuthority", "VerifiedTls"]


class VerifiedTls(ldap3.Tls):  # type: ignore[misc]
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
