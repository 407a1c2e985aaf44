"""The demo directory alone, and the whole of `make demo`."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import ldap3

from demo import company, edit
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
        """Return the fields of a `Profile`: StartTLS, the service account, the staff."""
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


class RunningDemo:
    """`python -m demo.run`, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.with_suffix(".log")
        command = [sys.executable, "-m", "demo.run", "--port", str(self.port)]
        self.server = Server([*command, "--folder", str(folder)], log=self.log, cwd=PROJECT)
        self.server.wait_for(lambda: "Kerauno is running" in self.log.read_text(), 90)

    def sign_in(self, username: str, password: str) -> tuple[int, str, Any]:
        """Status, page and the browser it was done with."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = urllib.parse.urlencode({"username": username, "password": password}).encode()
        try:
            with browser.open(f"{self.url}/login", form, timeout=20) as answer:
                return answer.status, answer.read().decode(), browser
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), browser

    def me(self, browser: Any) -> tuple[int, Any]:
        """`/api/v1/me` as that browser sees it."""
        try:
            with browser.open(f"{self.url}/api/v1/me", timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def edit(self, *arguments: str) -> int:
        """A live change of the directory."""
        return edit.main(["--folder", str(self.folder), *arguments])
