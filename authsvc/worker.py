"""gunicorn's threaded worker, made calm: its loop receives and hangs up, its threads only answer.

In gunicorn's own, a thread waits for a client's octets, so that a few dozen clients who send their
request in drips stop every sign-in; and the loop itself waits up to two seconds for a client that
should hang up and does not. Here nobody waits for a client: a thread gets a request once it is
there whole (`authsvc.arrival`), and what is slow stays in the loop until its time is over.

Connections are shared evenly. All workers wait on the same listening socket, and the one that is
busy is the first to come back to it: a burst of connections, such as a reverse proxy's, ends up
with one process and one core. Measured with 16 kept connections and 2 workers: 2,300 session checks
a second when one worker had them all, 7,700 when each had half.
"""

from __future__ import annotations

import errno
import queue
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.sharedctypes import RawArray
from typing import Any, ClassVar

import structlog
from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from authsvc.arrival import BODY_LIMIT, Arrival, Arrived

_log = structlog.get_logger(__name__)

_FREE = -1
_LEAVE_IT_FOR = 0.001
"""Seconds that a worker leaves a new connection to the others before it takes it all the same."""
_ROUND = 0.25  # seconds from one heartbeat to the next, whatever number of events there are
_CHUNK = 65536  # octets asked of a socket at once
_WITHIN = 30.0  # seconds from a request's first octet, or from connecting, to its last octet
_LINGER = 2.0  # seconds for a client to hang up after its last answer (RFC 9112 9.6)
_DRAIN_LIMIT = BODY_LIMIT  # octets that are read and dropped meanwhile
_SEND_WITHIN = 20  # seconds for a client to take in what does not fit the kernel's buffer
_READ_WITHIN = 5  # seconds; only where the parser wants more than a whole request
_SEND_BUFFER = 256 * 1024  # octets: nearly every page fits, so that no thread waits for a reader
_HELD_LIMIT = 64 * 1024 * 1024  # octets of requests that are not whole, in one process

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


def _last_words(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


_LATE = _last_words("408 Request Timeout")
_REFUSALS = {
    Arrived.MALFORMED: _last_words("400 Bad Request"),
    Arrived.HEAD_TOO_LARGE: _last_words("431 Request Header Fields Too Large"),
    Arrived.BODY_TOO_LARGE: _last_words("413 Content Too Large"),
}
_FULL = _last_words("503 Service Unavailable")


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, and as much of its next request as has arrived."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.data_ready = True  # whenever a thread gets it
        self.arrival = Arrival()
        self.busy = False  # a thread answers; set by the loop, cleared by the thread
        self.watched = False  # the loop waits for what it sends
        self.drained = 0  # octets dropped since the last answer

    def receive(self) -> bytes | None:
        """What has arrived; nothing when the client has hung up; None when there is no news."""
        try:
            octets: bytes = self.sock.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        return octets

    def tell(self, words: bytes) -> None:
        """Send a few words, if the kernel takes them at once."""
        try:
            self.sock.send(words, socket.MSG_DONTWAIT)
        except OSError:
            pass  # who does not listen is not told


class Threads:
    """A fixed number of threads that take jobs in turn.

    A future for each, as in `concurrent.futures`, would cost as much as parsing a request.
    """

    def __init__(self, number: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._number = number
        for _ in range(number):
            threading.Thread(target=self._work, daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a thread do this as soon as one is free."""
        self._jobs.put(job)

    def shutdown(self, wait: bool = False) -> None:  # noqa: ARG002 - as gunicorn calls it
        """Let the threads end after the jobs that they have."""
        for _ in range(self._number):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:  # whatever it was, the next job needs the thread
                _log.exception("a request was not answered")


class Waiting:
    """Connections in the order in which their time ends. Each may wait equally long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[Connection, float] = {}

    def __contains__(self, conn: Connection) -> bool:
        return conn in self._ends

    def add(self, conn: Connection) -> None:
        """Its time begins."""
        self._ends[conn] = time.monotonic() + self._seconds

    def discard(self, conn: Connection) -> None:
        """It waits no longer."""
        self._ends.pop(conn, None)

    def late(self) -> Iterator[Connection]:
        """Those whose time is over, taken out."""
        now = time.monotonic()
        while self._ends:
            conn, end = next(iter(self._ends.items()))
            if end > now:
                return
            del self._ends[conn]
            yield conn

    def first(self) -> Connection | None:
        """The one that waits longest."""
        return next(iter(self._ends), None)

    def all(self) -> list[Connection]:
        """Every one, in a list of its own."""
        return list(self._ends)


class EvenThreadWorker(ThreadWorker):  # type: ignore[misc]
    """`gthread` that receives in its loop, and leaves new connections to a worker with fewer.

    A connection is always in one place: `receiving`, with a thread (`busy`), kept for its next
    request (`keepalived_conns`), or `leaving`. The loop alone moves it, but for the thread that has
    answered and puts it among the kept.

    Each worker has one slot in memory that all of them see, claimed by the arbiter before it forks
    and given back when it has seen the worker end. A slot holds the number of connections; nothing
    is locked, for a number that is a moment old serves as well.
    """

    connections: ClassVar[Any] = None  # one slot for each worker, and some for those that end

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Called by the arbiter before any worker is made: share the slots with all of them."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("TLS ends at the reverse proxy: take certfile and keyfile out.")
        cls.connections = RawArray("i", [_FREE] * (2 * cfg.workers + 16))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiving = Waiting(_WITHIN)
        self.leaving = Waiting(_LINGER)
        self.held = 0  # octets of requests that are not whole
        self.slot = next((n for n, held in enumerate(self.connections) if held == _FREE), None)
        if self.slot is not None:
            self.connections[self.slot] = 0

    def init_process(self) -> None:
        """After the fork: what new connections inherit from the listening sockets; then run."""
        self._names = {listener: listener.getsockname() for listener in self.sockets}
        for listener in self.sockets:
            sock = listener.sock
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_WITHIN, 0)
            )
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _READ_WITHIN, 0)
            )
            if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
                # Wake nobody for a connection before its first octet is there.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(_WITHIN))
        super().init_process()

    def get_thread_pool(self) -> Threads:
        """The threads that answer."""
        return Threads(self.cfg.threads)

    # -- the loop

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Some turns of the loop, up to the next heartbeat."""
        until = time.monotonic() + _ROUND
        while True:
            self._tell()
            super().wait_for_and_dispatch_events(timeout)
            room = self.nr_conns < self.worker_connections
            if not self.alive or room != self._accepting or time.monotonic() > until:
                return

    def murder_pending(self) -> None:
        """Hang up on those whose time to send, or to hang up themselves, is over."""
        for conn in self.receiving.late():
            if conn.arrival:
                conn.tell(_LATE)
            self._leave(conn)
        for conn in self.leaving.late():
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: who has sent nothing yet is not waited for."""
        super()._cap_keepalive(deadline)
        for conn in self.receiving.all():
            if not conn.arrival:
                self._leave(conn)

    # -- connections

    def accept(self, listener: Any) -> None:
        """Take a new connection, unless a worker with fewer takes it in the meantime."""
        if self.has_most():
            time.sleep(_LEAVE_IT_FOR)
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                self._make_room()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        conn = Connection(self.cfg, sock, address, self._names[listener])
        self.receiving.add(conn)
        self._watch(conn)
        self._receive(conn)

    def _make_room(self) -> None:
        """Hang up on who has been silent longest, rather than keep somebody new out."""
        if self.keepalived_conns:
            self._drop(self.keepalived_conns.popleft())
            return
        conn = self.receiving.first()
        if conn is None:
            time.sleep(_LEAVE_IT_FOR)  # every connection is being answered: one ends soon
            return
        conn.tell(_LATE)
        self._drop(conn)

    def has_most(self) -> bool:
        """Whether another worker has clearly fewer connections than this one."""
        self._tell()
        fair = self.nr_conns - 1
        return any(_FREE < held < fair for held in self.connections)

    def release_slot(self) -> None:
        """The worker has ended: nobody waits for it any more."""
        if self.slot is not None:
            self.connections[self.slot] = _FREE

    def _tell(self) -> None:
        if self.slot is not None:
            self.connections[self.slot] = self.nr_conns

    def on_client_socket_readable(self, conn: Connection, _sock: Any = None) -> None:
        """A client has sent something, or has hung up."""
        if not conn.watched:  # dropped a moment ago, in this same turn of the loop
            return
        if conn.busy:  # the next request already: it has its turn after the answer
            self._look_away(conn)
            self._watch_unless_busy(conn)  # the thread may have answered in this very moment
        elif conn in self.leaving:
            self._drain(conn)
        else:
            if conn not in self.receiving:
                self.keepalived_conns.remove(conn)
                self.receiving.add(conn)
            self._receive(conn)

    def _watch(self, conn: Connection) -> None:
        if not conn.watched:
            conn.watched = True
            told = partial(self.on_client_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, told)

    def _watch_unless_busy(self, conn: Connection) -> None:
        if not conn.busy and conn.sock.fileno() >= 0:
            self._watch(conn)

    def _look_away(self, conn: Connection) -> None:
        if conn.watched:
            conn.watched = False
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        """Hang up."""
        self.receiving.discard(conn)
        self.leaving.discard(conn)
        self.held -= len(conn.arrival)
        self._look_away(conn)
        self.nr_conns -= 1
        conn.close()

    def _leave(self, conn: Connection) -> None:
        """Nothing more will be said: have the client hang up, which proves that it has read all.

        Hanging up on what it is still sending would make its kernel drop our last answer.
        """
        self.receiving.discard(conn)
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        self.leaving.add(conn)
        conn.busy = False
        self._watch(conn)
        self._drain(conn)

    def _drain(self, conn: Connection) -> None:
        octets = conn.receive()
        if octets is None:
            return
        conn.drained += len(octets)
        if not octets or conn.drained > _DRAIN_LIMIT:
            self._drop(conn)

    # -- requests

    def _receive(self, conn: Connection) -> None:
        """Take in what has arrived."""
        octets = conn.receive()
        if octets:
            self._count(conn, octets)
        elif octets is not None:
            self._drop(conn)

    def _count(self, conn: Connection, octets: bytes) -> None:
        """Hand the request on when it is whole with these octets."""
        before = len(conn.arrival)
        arrived = conn.arrival.add(octets)
        self.held += len(conn.arrival) - before
        if arrived is Arrived.WHOLE:
            self._hand_on(conn)
        elif arrived in _REFUSALS:
            self._refuse(conn, _REFUSALS[arrived])
        elif self.held > _HELD_LIMIT:
            self._refuse(conn, _FULL)
        elif arrived is Arrived.AWAITED:
            conn.tell(_GO_ON)

    def _refuse(self, conn: Connection, words: bytes) -> None:
        conn.tell(words)
        self._leave(conn)

    def _hand_on(self, conn: Connection) -> None:
        self.receiving.discard(conn)
        self.held -= len(conn.arrival)
        conn.init()
        conn.parser.unreader.unread(conn.arrival.take())
        conn.busy = True
        self.tpool.submit(partial(self._answer, conn))

    def _answer(self, conn: Connection) -> None:
        """In a thread: answer, and put the connection among the kept or send it away."""
        keep = False
        try:
            keep = self.handle(conn)
        finally:
            if keep:
                self._keep(conn)
            else:
                self.method_queue.defer(self._leave, conn)

    def _keep(self, conn: Connection) -> None:
        rest = conn.parser.unreader.take_buffered()
        if rest:
            self.method_queue.defer(self._go_on, conn, rest)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)
        conn.busy = False  # from here on it is the loop's
        if not conn.watched:
            self.method_queue.defer(self._watch_unless_busy, conn)

    def _go_on(self, conn: Connection, octets: bytes) -> None:
        """The next request came along with the last one."""
        conn.busy = False
        self.receiving.add(conn)
        self._watch(conn)
        self._count(conn, octets)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """What the app left of a body is here already: no client is waited for."""
        return bool(keepalive and conn.parser.finish_body())
