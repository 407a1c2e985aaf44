"""A real pgbouncer before a PostgreSQL server, in transaction mode."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from tests.servers.postgres import PASSWORD, Postgres
from tests.servers.process import Server, folder_in_memory, listening, loopback


def _program() -> str:
    return shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


def _version() -> tuple[int, ...]:
    said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True)
    numbers = said.stdout.split()[1].split(".")
    return tuple(map(int, numbers))


class PgBouncer:
    """One pooler. It refuses to run as root, so root runs it as the user of the server."""

    def __init__(self, server: Postgres, *, ignores_options: bool = False, size: int = 2) -> None:
        self.host = loopback()
        self.port = 6432
        self._postgres = server
        self._folder = folder_in_memory("pgbouncer")
        self._user = "postgres" if os.geteuid() == 0 else ""
        account = self._folder / "users.txt"
        account.write_text(f'"kerauno" "{PASSWORD}"\n')
        settings: dict[str, object] = {
            "listen_addr": self.host,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "plain",
            "auth_file": account,
            "pool_mode": "transaction",
            "default_pool_size": size,
            "server_reset_query_always": 0,
            "pidfile": "",
        }
        if _version() >= (1, 21):
            settings["max_prepared_statements"] = 0  # as it was before there was this setting
        if ignores_options:
            settings["ignore_startup_parameters"] = "options"
        lines = [
            "[databases]",
            f"* = host={server.host} port={server.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        self._file = self._folder / "pgbouncer.ini"
        self._file.write_text("\n".join(lines) + "\n")
        if self._user:
            for path in (self._folder, account, self._file):
                shutil.chown(path, self._user)
        self._server: Server | None = None

    def start(self) -> PgBouncer:
        """Start, and return when it listens."""
        command = [_program(), str(self._file)]
        log = self._folder / "log"
        self._server = Server(command, log=log, user=self._user, cwd=self._folder)
        self._server.wait_for(lambda: listening(self.host, self.port))
        return self

    def url(self, database: str) -> str:
        """The address of one of the server's databases through the pooler."""
        return self._postgres.url(database, f"{self.host}:{self.port}")

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._server
        self._server.signal(signal.SIGKILL)
        self._server.stop()

    def remove(self) -> None:
        """Stop it and delete its folder."""
        if self._server is not None:
            self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
