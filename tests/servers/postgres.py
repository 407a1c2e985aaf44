"""A real PostgreSQL server, in a folder of its own, without durability."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.process import Server, folder_in_memory, listening, loopback

PASSWORD = "postgres-test"


def _binaries() -> Path:
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name)
    )
    if folders:
        return folders[-1]
    found = shutil.which("postgres")
    if not found:
        raise RuntimeError("PostgreSQL is not installed")
    return Path(found).parent


class Postgres:
    """One server. It refuses to run as root, so root runs it as the user postgres."""

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, standby_of: Postgres | None = None
    ) -> None:
        """A new server, or a streaming replica of one that runs."""
        self.host = loopback()
        self.port = 5432
        self.folder = folder_in_memory("postgres")
        self._settings = dict(settings or {})
        self._user = "postgres" if os.geteuid() == 0 else ""
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        if standby_of is None:
            self._initialize()
        else:
            self._copy(standby_of)
        self.server: Server | None = None

    def _initialize(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            *("initdb", "-D", str(self.folder / "data"), "-U", "kerauno"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"),
            "--no-sync",
        )

    def _copy(self, primary: Postgres) -> None:
        source = f"host={primary.host} port={primary.port} user=kerauno password={PASSWORD}"
        target = str(self.folder / "data")
        self._run("pg_basebackup", "-d", source, "-D", target, "-R", "-c", "fast", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(_binaries() / program), *arguments]
        if self._user:
            identity = ("--reuid", self._user, "--regid", self._user, "--init-groups")
            command = ["setpriv", *identity, "--", *command]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed\n{done.stderr}")

    def start(self) -> Postgres:
        """Start, and return when it answers."""
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_wal_size": "64MB",
            "max_connections": "200",
        } | self._settings
        self.server = Server(
            [
                *(str(_binaries() / "postgres"), "-D", str(self.folder / "data")),
                *(part for pair in settings.items() for part in ("-c", "=".join(pair))),
            ],
            log=self.folder / "log",
            user=self._user,
            cwd=Path("/"),
        )
        self.server.wait_for(self._answers)
        return self

    def _answers(self) -> bool:
        if not listening(self.host, self.port):
            return False
        try:
            psycopg.connect(self._dsn("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop at once (clients are cut off) and keep the data."""
        if self.server:
            self.server.signal(signal.SIGCONT)
            self.server.signal(signal.SIGINT)
            self.server.process.wait(20)
            self.server.stop()

    def crash(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: without a word to clients or to the disk."""
        assert self.server
        self.server.signal(signal.SIGQUIT)
        self.server.process.wait(20)

    def remove(self) -> None:
        """Stop and delete the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _dsn(self, database: str) -> str:
        return self.url(database)

    def url(self, database: str, hosts: str = "") -> str:
        """The address of a database, as `KERAUNO_DATABASE_URL` takes it."""
        hosts = hosts or f"{self.host}:{self.port}"
        return f"postgresql://kerauno:{PASSWORD}@{hosts}/{database}"

    def sql(self, *statements: str) -> None:
        """Run statements as the superuser."""
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create(self, template: str = "template1") -> str:
        """A new database copied from a template; returns its name."""
        name = f"t{secrets.token_hex(6)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            if connection.info.server_version >= 15_00_00:
                statement += sql.SQL(" STRATEGY FILE_COPY")  # a quarter of what the default takes
            connection.execute(statement)
        return name

    def drop(self, name: str) -> None:
        """Drop a database, cutting off whoever uses it."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)
