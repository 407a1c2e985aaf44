"""Starting servers on loopback so that they never outlive the tests."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / ".cache"


def loopback() -> str:
    """A random address in 127.0.0.0/8 that no other test server is likely to hold."""
    return f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def folder_in_memory(prefix: str) -> Path:
    """A new folder that waits for no disk, where there is a gigabyte of memory for such folders."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    return Path(tempfile.mkdtemp(prefix=f"kerauno-{prefix}-", dir=memory if roomy else None))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Poll until the condition holds. Raises TimeoutError naming `what` when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def listening(address: str, port: int) -> bool:
    """Return whether something accepts TCP connections there."""
    try:
        socket.create_connection((address, port), 0.5).close()
    except OSError:
        return False
    return True


class Server:
    """One child process. The kernel kills it when the thread that started it ends."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: str = "",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"]
        if user:  # changing identity clears the death signal: change first, then set it
            prefix = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--", *prefix]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.PIPE,  # Samba ends by itself when this closes
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for the server to be ready. Raises RuntimeError with its log when it has ended."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args!r}: ended\n{self.tail()}")
            return condition()

        try:
            wait_until(ready, "server", seconds)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.tail()}") from error

    def tail(self) -> str:
        """The end of what the server wrote."""
        return self.log.read_text(errors="replace")[-4000:]

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)

    def stop(self) -> None:
        """Terminate, and kill if that takes more than ten seconds. Harmless when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
