"""The demo directory, run as `make demo` runs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ldap3

from demo import company
from demo.domain import ADMIN_PASSWORD, ADMIN_UPN, SERVER_NAME, SERVICE_PASSWORD, SERVICE_UPN
from tests.servers.pki import VerifiedTls
from tests.servers.process import PROJECT, Server, free_port, listening, loopback


class DemoDirectory:
    """One demo directory process. `start()` runs it, `stop()` ends it."""

    base = company.BASE
    dns_name = SERVER_NAME
    users_dn = f"{company.STAFF},{company.BASE}"
    departments_dn = f"{company.DEPARTMENTS},{company.BASE}"
    phone_users_dn = f"CN={company.PHONE_USERS},{company.GROUPS},{company.BASE}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = loopback()
        self.port = free_port(self.host)
        self.server: Server | None = None

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed the server's."""
        return (self.folder / "ca.pem").read_text()

    def start(self) -> DemoDirectory:
        """Start, and return when it answers."""
        self.server = Server(
            [
                *(sys.executable, "-m", "demo.server", "--host", self.host),
                *("--port", str(self.port), "--folder", str(self.folder)),
            ],
            log=self.folder / "directory.log",
            cwd=PROJECT,
        )
        self.server.wait_for(lambda: listening(self.host, self.port))
        return self

    def stop(self) -> None:
        """End it."""
        if self.server:
            self.server.stop()

    def profile(self, **overrides: Any) -> dict[str, Any]:
        """Fields for `dirclient.profile.Profile`: StartTLS, the service account, the staff."""
        return {
            "servers": (self.host,),
            "port": self.port,
            "tls_name": self.dns_name,
            "encryption": "starttls",
            "ca_certificates": self.ca_pem,
            "username": SERVICE_UPN,
            "password": SERVICE_PASSWORD,
            "user_search_dn": self.users_dn,
            "department_search_dn": self.departments_dn,
        } | overrides

    def connection(
        self, name: str = ADMIN_UPN, password: str = ADMIN_PASSWORD, *, tls: bool = True
    ) -> Any:
        """An ldap3 connection that has not bound yet."""
        trust = VerifiedTls(self.folder / "ca.pem", SERVER_NAME)
        server = ldap3.Server(self.host, self.port, tls=trust, get_info=ldap3.NONE)
        connection: Any = ldap3.Connection(server, name, password, receive_timeout=10)
        connection.open()
        if tls:
            connection.start_tls()
        return connection

    def connect(self, name: str = ADMIN_UPN, password: str = ADMIN_PASSWORD) -> Any:
        """A bound ldap3 connection over StartTLS; the administrator's unless another is named."""
        connection = self.connection(name, password)
        if not connection.bind():
            raise PermissionError(connection.result["message"])
        return connection

    def refusal(self, name: str, password: str) -> str:
        """The sub-code with which this bind is refused; empty when it is not."""
        connection = self.connection(name, password)
        connection.bind()
        message: str = connection.result["message"]
        connection.unbind()
        return message.split("data ")[1].split(",")[0] if message else ""
