"""`make demo`: a whole company on this machine. Ctrl-C stops all of it.

Starts the demo directory, configures Kerauno for it with the product's own commands on a fresh
SQLite database under var/demo, and runs the web service and the sync service.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from demo import company
from demo.domain import SERVER_NAME, SERVICE_PASSWORD, SERVICE_UPN
from demo.edit import ADDRESS_FILE, FOLDER

HOST = "127.0.0.1"
ADMIN_EMAIL, ADMIN_PASSWORD = f"admin@{company.MAIL_DOMAIN}", "Kerauno!2026"
PROJECT = Path(__file__).resolve().parents[1]
_MARK = "made-by-demo"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_PATIENCE = 30.0  # seconds for one service to come up


class Failed(Exception):
    """The demo cannot go on; the message says why."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


class Demo:
    """The processes of one demo, started in order and ended in the opposite order."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.port = port
        self.url = f"http://localhost:{port}"
        self.directory_port = 0
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("KERAUNO_")}
        self._environment = inherited | {
            "KERAUNO_DATABASE_URL": f"sqlite:///{self.folder / 'kerauno.db'}",
            "KERAUNO_SECRET_KEY_FILE": str(self.folder / "secret.key"),
            "KERAUNO_PUBLIC_URL": self.url,
            "PYTHONUNBUFFERED": "1",
        }

    def start(self) -> None:
        """Everything, from nothing. Raises `Failed`."""
        if not _free(self.port):
            raise Failed(
                f"Port {self.port} is in use. Take another: make demo PORT={self.port + 1}"
            )
        if self.folder.exists():
            if any(self.folder.iterdir()) and not (self.folder / _MARK).exists():
                raise Failed(f"{self.folder} holds something else; the demo does not clear it.")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / _MARK).touch()
        self._start_directory()
        self._configure()
        self._spawn("web", "authsvc.cli", "serve", "--host", HOST, "--port", str(self.port))
        self._spawn("sync", "syncsvc.cli", "serve")
        self._wait(self._healthy, "web")

    def _start_directory(self) -> None:
        self.directory_port = _some_free_port()
        port = str(self.directory_port)
        self._spawn("directory", "demo.server", "--port", port, "--folder", str(self.folder))
        self._wait(lambda: not _free(self.directory_port), "directory")
        address = {"host": HOST, "port": self.directory_port}
        (self.folder / ADDRESS_FILE).write_text(json.dumps(address))

    def _configure(self) -> None:
        base = company.BASE
        self._command("authsvc", "db", "upgrade")
        self._command(
            *("authsvc", "admin", "create", ADMIN_EMAIL, "--first", "Demo"),
            *("--last", "Administrator", "--password-stdin"),
            secret=ADMIN_PASSWORD,
        )
        self._command(
            *("authsvc", "directory", "set", "--server", HOST, "--port", str(self.directory_port)),
            *("--tls-name", SERVER_NAME, "--encryption", "starttls"),
            *("--ca-file", str(self.folder / "ca.pem")),
            *("--username", SERVICE_UPN, "--password-stdin"),
            *("--user-search-dn", f"CN={company.PHONE_USERS},{company.GROUPS},{base}"),
            *("--department-search-dn", f"{company.DEPARTMENTS},{base}"),
            *("--auto-sync", "yes", "--login-without-domain", "yes"),
            *("--ring-group-range", "600-699"),
            secret=SERVICE_PASSWORD,
        )
        self._command("syncsvc", "once", "--build", "--json")

    # -- processes ----------------------------------------------------------------------------

    def _command(self, program: str, *arguments: str, secret: str = "") -> None:
        done = subprocess.run(
            [sys.executable, "-m", f"{program}.cli", *arguments],
            input=f"{secret}\n" if secret else "",
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=PROJECT,
            check=False,
        )
        if done.returncode:
            shown = " ".join((program, *arguments[:3]))
            raise Failed(f"'{shown}' ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _spawn(self, name: str, module: str, *arguments: str) -> None:
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=PROJECT,
                start_new_session=True,  # Ctrl-C is for us alone; we end the others in order
                preexec_fn=_end_with_us,
            )
        self._running.append((name, process))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _wait(self, ready: Callable[[], bool], name: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise Failed(f"The {name} service did not come up.\n{self._tail(name)}")
            time.sleep(0.05)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def check(self) -> None:
        """Raises `Failed` when a process has ended by itself."""
        for name, process in self._running:
            if process.poll() is not None:
                raise Failed(f"The {name} service has ended.\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End everything, newest first; nothing is left running."""
        for _, process in reversed(self._running):
            process.terminate()
        for _, process in reversed(self._running):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
        (self.folder / ADDRESS_FILE).unlink(missing_ok=True)


def _end_with_us() -> None:
    """On Linux a child gets SIGTERM even when this process is killed outright."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _some_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _welcome(demo: Demo) -> str:
    people = [
        ("john.doe", company.PASSWORD, "signs in; also as john.doe@company.com"),
        ("ada.lindgren", company.PASSWORD, "in Engineering, with nested departments"),
        ("nina.new", company.PASSWORD, "must choose a new password first"),
        ("otto.old", company.PASSWORD, "has a password that expired"),
        ("dora.frank", company.PASSWORD, "is disabled in the directory: refused"),
        (ADMIN_EMAIL, ADMIN_PASSWORD, "the administrator, local to Kerauno"),
    ]
    rows = "\n".join(f"  {name:<20} {password:<15} {note}" for name, password, note in people)
    return f"""
Kerauno is running: {demo.url}/login

{rows}

Console for administrators: {demo.url}/console/directory/credentials
Change the directory and watch Kerauno follow within seconds:
  .venv/bin/python -m demo.edit phone john.doe 1777
  .venv/bin/python -m demo.edit disable kim.lee       (--help shows the others)

Directory: ldap://{HOST}:{demo.directory_port} (StartTLS, {company.DNS_DOMAIN})
Logs and database: {os.path.relpath(demo.folder)}/      Ctrl-C stops everything.
"""


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def main() -> int:
    """Run until Ctrl-C. Exit code 1 when something did not work."""
    parser = argparse.ArgumentParser(prog="demo.run")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    demo = Demo(options.folder, options.port)
    try:
        print("Starting the demo company …", flush=True)
        demo.start()
        print(_welcome(demo), flush=True)
        while True:
            demo.check()
            time.sleep(0.5)
    except Stopped:
        print("\nStopping …", flush=True)
        return 0
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
