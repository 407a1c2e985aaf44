"""The product's own processes, run as an operator runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers import commands
from tests.servers.process import PROJECT, Server, free_port, loopback


def inherited() -> dict[str, str]:
    """This process's environment without settings of the product."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERAUNO_")}
    return kept | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}


class Installation:
    """A folder with a database, a key and settings; commands and services run with them."""

    def __init__(
        self, folder: Path, database_url: str = "", settings: Mapping[str, str] | None = None
    ) -> None:
        """SQLite in the folder unless a database is given. `settings` are KERAUNO_ variables."""
        self.folder = folder
        self.database_url = database_url or f"sqlite:///{folder / 'kerauno.db'}"
        self.host = loopback()
        self.port = free_port(self.host)
        self.environ = {
            "KERAUNO_DATABASE_URL": self.database_url,
            "KERAUNO_SECRET_KEY_FILE": str(folder / "secret.key"),
            "KERAUNO_PUBLIC_URL": self.url,
        } | dict(settings or {})
        self.server: Server | None = None

    @property
    def url(self) -> str:
        """The address of the web service, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def run(
        self, *arguments: str, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, such as run("authsvc", "db", "upgrade"). Never raises on its exit code."""
        env = inherited() | self.environ
        return commands.run(arguments, stdin=stdin, env=env, cwd=self.folder, timeout=timeout)

    def must(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that has to succeed; returns what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command with --json that has to succeed; returns the document."""
        return json.loads(self.must(*arguments, "--json", stdin=stdin))

    def spawn(self, *arguments: str, log: str) -> Server:
        """Start a long-running command in the background; the caller stops it."""
        program, *rest = arguments
        return Server(
            [sys.executable, "-m", f"{program}.cli", *rest],
            log=self.folder / log,
            env=inherited() | self.environ,
            cwd=self.folder,
        )

    def start(self, workers: int = 1, threads: int = 8) -> Installation:
        """Run `authsvc serve` and return when /healthz answers."""
        self.server = self.spawn(
            *("authsvc", "serve", "--host", self.host, "--port", str(self.port)),
            *("--workers", str(workers), "--threads", str(threads)),
            log="web.log",
        )
        self.server.wait_for(self.healthy)
        return self

    def healthy(self) -> bool:
        """Return whether /healthz answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the web service, if it runs."""
        if self.server:
            self.server.signal(signal.SIGTERM)
            self.server.stop()
            self.server = None


def configure_directory(installation: Installation, profile: Mapping[str, Any], *more: str) -> None:
    """`authsvc directory set` with what `SambaDC.profile()` or `Slapd.profile()` gives.

    `more` are further arguments, such as "--auto-sync", "yes".
    """
    ca_file = installation.folder / "directory-ca.pem"
    ca_file.write_text(profile["ca_certificates"])
    arguments: Sequence[str] = (
        *("--preset", str(profile.get("preset", "active-directory"))),
        *("--server", ",".join(profile["servers"]), "--port", str(profile["port"])),
        *("--tls-name", profile["tls_name"], "--encryption", profile["encryption"]),
        *("--ca-file", str(ca_file), "--username", profile["username"], "--password-stdin"),
        *("--user-search-dn", profile["user_search_dn"]),
        *("--department-search-dn", profile["department_search_dn"]),
    )
    installation.must(
        "authsvc", "directory", "set", *arguments, *more, stdin=f"{profile['password']}\n"
    )


def configure_silent_directory(kerauno: Installation) -> None:
    """Set up a directory that nobody answers for."""
    arguments = ["--server", loopback(), "--encryption", "none", "--username", "svc@company.local"]
    arguments += ["--user-search-dn", "Staff", "--department-search-dn", "Departments"]
    kerauno.must("authsvc", "directory", "set", *arguments, "--password-stdin", stdin="x\n")
