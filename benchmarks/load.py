"""Load from this machine to this machine: a lean HTTP client, threads, and what a run cost.

Bounded in count and time. The client is deliberately bare (one socket, no library), so that what
is measured is the server.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Response:
    """A status, the raw header block, and the body."""

    status: int
    head: bytes
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name, or empty."""
        start = self.head.lower().find(b"\r\n%b:" % name.lower().encode())
        if start < 0:
            return ""
        value = self.head[start + len(name) + 3 :].partition(b"\r\n")[0]
        return value.strip().decode("latin-1")


class Http:
    """One connection to a server. `cookie` is sent once a response has set one."""

    def __init__(self, host: str, port: int, timeout: int = 30) -> None:
        self._host = f"{host}:{port}"
        self._sock = socket.socket()
        # The kernel's own limit: Python's would ask before each octet whether it is there.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", timeout, 0))
        self._sock.connect((host, port))
        self.cookie = ""

    def get(self, path: str, extra: str = "") -> Response:
        """GET a path."""
        return self._ask(f"GET {path}", extra, b"")

    def post(self, path: str, form: dict[str, str], extra: str = "") -> Response:
        """POST a form."""
        body = "&".join(f"{name}={quote_plus(value)}" for name, value in form.items()).encode()
        kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        return self._ask(f"POST {path}", kind + extra, body)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _ask(self, line: str, extra: str, body: bytes) -> Response:
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        head = f"{line} HTTP/1.1\r\nHost: {self._host}\r\n{cookie}{extra}\r\n"
        self._sock.sendall(head.encode() + body)
        return self._read()

    def _read(self) -> Response:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = Response(int(data[9:12]), data[:end])
        length = int(head.header("content-length") or 0)
        body = data[end + 4 :]
        while len(body) < length:
            body += self._more()
        response = Response(head.status, head.head, body)
        if set_cookie := response.header("set-cookie"):
            self.cookie = set_cookie.split(";")[0]
        return response

    def _more(self) -> bytes:
        chunk = self._sock.recv(65536)
        if not chunk:
            raise ConnectionError("the server hung up")
        return chunk


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement. Times in seconds; `cpu` is seconds of the watched processes."""

    count: int
    wall: float
    cpu: float
    latencies: tuple[float, ...]
    errors: int
    fault: str = ""  # of the first job that could not be done at all

    @property
    def rate(self) -> float:
        """Per second."""
        return self.count / self.wall

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time for each."""
        return 1000 * self.cpu / max(1, self.count)

    def percentile(self, share: float) -> float:
        """A latency in milliseconds, such as percentile(0.99)."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        quantiles = " ".join(
            f"p{round(100 * share)} {self.percentile(share):6.1f}" for share in (0.5, 0.95, 0.99)
        )
        return f"{self.rate:8.0f}/s  {quantiles} ms  cpu {self.cpu_ms:5.2f} ms"


def together(parts: Sequence[Figures]) -> Figures:
    """Several measurements as one."""
    return Figures(
        sum(part.count for part in parts),
        sum(part.wall for part in parts),
        sum(part.cpu for part in parts),
        tuple(latency for part in parts for latency in part.latencies),
        sum(part.errors for part in parts),
        next((part.fault for part in parts if part.fault), ""),
    )


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time a process and all below it have used so far."""
    total = 0
    for one in descendants(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def measure(
    jobs: Iterable[Callable[[], bool]], concurrency: int, pid: int | None = None
) -> Figures:
    """Do every job once, so many at a time; a job says whether it went as it should."""
    queue = list(jobs)
    latencies = [0.0] * len(queue)
    good = [False] * len(queue)
    faults: list[str] = []
    numbers = iter(range(len(queue)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, -1)
            if number < 0:
                return
            begun = time.perf_counter()
            try:
                good[number] = queue[number]()
            except Exception as error:  # whatever it is, the figure is none
                faults.append(f"{type(error).__name__}: {error}")
            latencies[number] = time.perf_counter() - begun

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    cpu = cpu_seconds(pid) if pid else 0.0
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    cpu = cpu_seconds(pid) - cpu if pid else 0.0
    return Figures(len(queue), wall, cpu, tuple(latencies), good.count(False), *faults[:1])
