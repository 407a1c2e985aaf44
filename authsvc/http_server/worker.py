"""A gunicorn worker whose loop receives and hangs up, and whose threads only answer.

Nobody waits for a client: a thread gets a request once it is there whole, and what is slow stays in
the loop until its time is over. A few dozen clients who send in drips, or do not hang up, stop
nobody. What the application can answer without waiting for anything, it is asked in the loop.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import structlog
from gunicorn.errors import ConfigError
from gunicorn.workers.base import Worker

from authsvc.http_server.connection import Connection, State, common_environ
from authsvc.http_server.request_parser import BODY_LIMIT, Request
from authsvc.http_server.response import BUSY_503, CONTINUE_100, REFUSED, TIMEOUT_408, Response
from authsvc.http_server.thread_pool import Threads
from authsvc.http_server.worker_balance import WorkerBalance

_log = structlog.get_logger(__name__)

_LEAVE_IT_FOR = 0.001
"""Seconds that a worker leaves a new connection to the others before it takes it all the same."""
_ROUND = 0.25  # seconds from one heartbeat to the next, whatever number of events there are
_WITHIN = 30.0  # seconds from a request's first octet, or from connecting, to its last octet
_LINGER = 2.0  # seconds for a client to hang up after its last answer (RFC 9112 9.6)
_STOPPING = 2.0
"""Seconds that a worker which stops waits for a request already on its way, and for a client to
take in some of its answer."""
_DRAIN_LIMIT = BODY_LIMIT  # octets that are read and dropped meanwhile
_SEND_WITHIN = 20.0  # seconds for a client to take in some of what it is sent
_SEND_BUFFER = 256 * 1024  # octets that the kernel takes for a client: nearly every page fits
_BUFFER_LIMIT = 64 * 1024 * 1024
"""Octets of requests in one process: of all that are not whole, and of large ones until they are
answered. Beyond, large ones are refused."""
_LARGE = 64 * 1024  # octets

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NOT_A_LISTENER = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
_FIRST_TO_GO = (State.KEPT, State.LEAVING, State.RECEIVING, State.SENDING)

Step = Callable[[Connection], None]
"""What the loop does next with a connection."""


class LoopWorker(Worker):  # type: ignore[misc]
    """Of gunicorn's settings it heeds `threads`, `worker_connections`, `keepalive`, `timeout`,
    `graceful_timeout` and `backlog`.

    An application with `answers_at_once(environ) -> bool` is asked that in the loop; where it says
    yes, it is asked for the answer there and then.

    Its slot of `shares` is claimed by the arbiter before it forks, and given back when the arbiter
    has seen the worker end.
    """

    alive: bool  # until it is told to stop
    shares: ClassVar[WorkerBalance]

    @classmethod
    def check_config(cls, cfg: Any, _log: Any) -> None:
        """Called by the arbiter before any worker is made."""
        if cfg.is_ssl:
            raise ConfigError("TLS ends at the reverse proxy: take certfile and keyfile out.")
        cls.shares = WorkerBalance(cfg.workers)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: set[Connection] = set()
        self.buffered = 0  # octets, see _BUFFER_LIMIT
        self.poller: selectors.BaseSelector
        self._to_do: deque[tuple[Step, Connection]] = deque()  # what threads leave to the loop
        self._accepting = False
        self._most = self.cfg.worker_connections
        self._keepalive = self.cfg.keepalive  # seconds
        self._at_once: Callable[[dict[str, Any]], bool] = _never
        self.slot = self.shares.claim()

    def init_process(self) -> None:
        """After the fork: what new connections inherit from the listening sockets; then run."""
        self.poller = selectors.DefaultSelector()
        self.threads = Threads(self.cfg.threads)
        for listener in self.sockets:
            sock = listener.sock
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
                # Wake nobody for a connection before its first octet is there.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(_WITHIN))
        super().init_process()

    def release_slot(self) -> None:
        """The worker has ended: nobody waits for it any more."""
        self.shares.release(self.slot)

    # -- the loop

    def run(self) -> None:
        """Serve until told to stop, then until everybody has an answer or `graceful_timeout`."""
        self._at_once = getattr(self.wsgi, "answers_at_once", _never)
        several = self.cfg.workers > 1
        self._bases = {
            listener: common_environ(listener.getsockname(), several) for listener in self.sockets
        }
        self.poller.register(self.PIPE[0], selectors.EVENT_READ, (self._on_wakeup, self.PIPE[0]))
        while self.alive and self.ppid == os.getppid():
            self._accept_if(len(self.connections) < self._most)
            self._turns()
        self.alive = False
        self._accept_if(False)
        ends = time.monotonic() + self.cfg.graceful_timeout
        self._begin_shutdown()
        while self.connections and time.monotonic() < ends:
            self._turns()
        self.threads.shutdown()
        for listener in self.sockets:
            listener.close()

    def _turns(self) -> None:
        """Some turns of the loop, up to the next heartbeat."""
        self.notify()
        self._close_expired()
        until = time.monotonic() + _ROUND
        alive = self.alive
        while True:
            self._publish_load()
            for key, _ in self.poller.select(_ROUND):
                self._run_step(*key.data)
            room = len(self.connections) < self._most
            if self.alive != alive or room != self._accepting or time.monotonic() > until:
                return

    def _run_step(self, step: Callable[[Any], None], connection: Any) -> None:
        """Run one step; an error closes only the connection it concerns."""
        try:
            step(connection)
        except Exception:
            if connection not in self.connections:
                raise
            _log.exception("a connection is given up")
            self._drop(connection)

    def _on_wakeup(self, _pipe: int) -> None:
        """By a signal, or by a thread that has left something to do."""
        try:
            os.read(self.PIPE[0], 4096)
        except BlockingIOError:
            pass
        for _ in range(len(self._to_do)):  # what these leave to do in turn wakes the loop again
            self._run_step(*self._to_do.popleft())

    def _finish(self, step: Step, conn: Connection) -> None:
        """From a thread: leave something to the loop."""
        self._to_do.append((step, conn))
        try:
            os.write(self.PIPE[1], b"\0")
        except BlockingIOError:
            pass  # so full that the loop wakes anyway

    def _close_expired(self) -> None:
        now = time.monotonic()
        idle = (connection for connection in self.connections if connection.state is not State.BUSY)
        for conn in [
            connection for connection in idle if connection.until <= now
        ]:  # in this order: see _keep
            if conn.state is not State.RECEIVING:
                self._drop(conn)
                continue
            if conn.parser.started:
                conn.tell(TIMEOUT_408)
            self._leave(conn)

    def _begin_shutdown(self) -> None:
        """The worker stops: who sends or takes in nothing is waited for a moment at most."""
        soon = time.monotonic() + _STOPPING
        for conn in list(self.connections):
            if conn.state is State.RECEIVING and not conn.parser.started:
                self._leave(conn)
            elif conn.state in (State.KEPT, State.SENDING):
                conn.until = min(conn.until, soon)

    # -- connections

    def _accept_if(self, room: bool) -> None:
        if room == self._accepting:
            return
        self._accepting = room
        for listener in self.sockets:
            if room:
                listener.setblocking(False)
                self.poller.register(listener, selectors.EVENT_READ, (self.accept, listener))
            else:
                self.poller.unregister(listener)

    def accept(self, listener: Any) -> None:
        """Take a new connection, unless a worker with fewer takes it in the meantime."""
        if self.is_most_loaded():
            time.sleep(_LEAVE_IT_FOR)
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                self._evict_idlest()
            elif error.errno in _NOT_A_LISTENER:
                raise
            return  # errors of the new connection itself are ignored, see accept(2)
        base = self._bases[listener]
        if isinstance(address, tuple):
            base = {**base, "REMOTE_ADDR": address[0], "REMOTE_PORT": str(address[1])}
        self.add_connection(Connection(sock, base, time.monotonic() + _WITHIN))
        if len(self.connections) >= self._most:
            self._evict_idlest()

    def add_connection(self, conn: Connection) -> None:
        """A new connection: nearly always its first request is there."""
        self.connections.add(conn)
        self._run_step(self._begin, conn)

    def _begin(self, conn: Connection) -> None:
        self._watch(conn)
        self._receive(conn)

    def _evict_idlest(self) -> None:
        """Close the connection that has been idle longest, so that a new one can be accepted."""
        waiting = [
            connection for connection in self.connections if connection.state is not State.BUSY
        ]
        if not waiting:
            time.sleep(_LEAVE_IT_FOR)  # every connection is being answered: one ends soon
            return
        conn = min(
            waiting, key=lambda connection: (_FIRST_TO_GO.index(connection.state), connection.until)
        )
        if conn.state is State.RECEIVING:
            conn.tell(TIMEOUT_408)
        self._drop(conn)

    def is_most_loaded(self) -> bool:
        """Return whether another worker has clearly fewer connections than this one."""
        self._publish_load()
        return self.shares.some_have_less(len(self.connections) - 1)

    def _publish_load(self) -> None:
        self.shares.publish(
            self.slot, len(self.connections) if self.alive else WorkerBalance.STOPPED
        )

    def _watch(self, conn: Connection) -> None:
        if not conn.watched:
            conn.watched = True
            self.poller.register(conn.sock, selectors.EVENT_READ, (self.readable, conn))

    def _unwatch(self, conn: Connection) -> None:
        if conn.watched:
            conn.watched = False
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        """Hang up."""
        self.buffered -= len(conn.parser)
        self._unwatch(conn)
        self.connections.discard(conn)
        conn.close()

    def _leave(self, conn: Connection) -> None:
        """Nothing more will be said: have the client hang up.

        Hanging up on what it is still sending would make its kernel drop our last answer.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.state = State.LEAVING
        conn.until = time.monotonic() + _LINGER
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

    def readable(self, conn: Connection) -> None:
        """A client has sent something, or has hung up."""
        if not conn.watched or conn.state is State.SENDING:
            return  # it has become so a moment ago, in this same turn of the loop
        if conn.state is State.BUSY:  # the next request already: it has its turn after the answer
            self._unwatch(conn)
            self._watch_unless_busy(conn)  # the thread may have answered in this very moment
        elif conn.state is State.LEAVING:
            self._drain(conn)
        else:
            self._receive(conn)

    def _watch_unless_busy(self, conn: Connection) -> None:
        if conn.state is not State.BUSY and conn in self.connections:
            self._watch(conn)

    def _receive(self, conn: Connection) -> None:
        """Take in what has arrived."""
        octets = conn.receive()
        if octets:
            before = len(conn.parser)
            conn.parser.feed(octets)
            self.buffered += len(conn.parser) - before
            self._advance(conn)
        elif octets is not None:
            self._drop(conn)

    def _advance(self, conn: Connection) -> None:
        """Hand a request on that is whole, or have the client go on with what it has begun."""
        if conn.state is not State.RECEIVING:
            conn.state = State.RECEIVING
            conn.until = time.monotonic() + _WITHIN
        if conn.parser.requests:
            self._dispatch(conn)
            return
        self._watch(conn)
        if conn.parser.refused is not None:
            self._refuse(conn, REFUSED[conn.parser.refused])
        elif self.buffered > _BUFFER_LIMIT and len(conn.parser) > _LARGE:
            self._refuse(conn, BUSY_503)
        elif conn.parser.expects_continue():
            conn.tell(CONTINUE_100)

    def _refuse(self, conn: Connection, words: bytes) -> None:
        conn.tell(words)
        self._leave(conn)

    def _dispatch(self, conn: Connection) -> None:
        """Have the connection's next request answered."""
        request = conn.parser.requests.popleft()
        environ = request.environ(conn.base)
        conn.state = State.BUSY
        if self._at_once(environ):
            self._answer(conn, conn.send_at_once, request, environ)
            return
        if len(request.body) > _LARGE:
            conn.large = len(request.body)
            self.buffered += conn.large
        self.threads.submit(partial(self._answer, conn, conn.send, request, environ))

    def _answer(
        self,
        conn: Connection,
        send: Callable[[bytes], None],
        request: Request,
        environ: dict[str, Any],
    ) -> None:
        """Answer, and keep the connection or send it away. In a thread, or at once in the loop."""
        answer = Response(request, send, last=not self.alive)
        try:
            answer.run(self.wsgi, environ)
        finally:
            conn.keep, conn.broken = answer.keep, answer.broken
            if conn.keep and not (conn.unsent or conn.large or conn.parser.has_more()):
                self._keep(conn)
            else:
                self._finish(self._answered, conn)

    def _answered(self, conn: Connection) -> None:
        """Go on after an answer: as soon as all of it is sent."""
        if conn not in self.connections:
            return
        self.buffered -= conn.large
        conn.large = 0
        if conn.broken:
            conn.break_off()
            self._drop(conn)
        elif conn.unsent:
            conn.state = State.SENDING
            conn.until = time.monotonic() + (_SEND_WITHIN if self.alive else _STOPPING)
            self._unwatch(conn)
            conn.watched = True
            self.poller.register(conn.sock, selectors.EVENT_WRITE, (self._send_more, conn))
        elif not conn.keep:
            self._leave(conn)
        elif conn.parser.has_more():
            self._advance(conn)
        else:
            self._keep(conn)

    def _send_more(self, conn: Connection) -> None:
        """The client has taken in some of its answer, or has hung up."""
        if not conn.watched:  # dropped a moment ago, in this same turn of the loop
            return
        try:
            conn.send_more()
        except OSError:
            self._drop(conn)
            return
        conn.until = time.monotonic() + (_SEND_WITHIN if self.alive else _STOPPING)
        if not conn.unsent:
            self._unwatch(conn)
            self._answered(conn)

    def _keep(self, conn: Connection) -> None:
        """Mostly the loop watches it already, and need not be woken."""
        conn.until = time.monotonic() + (self._keepalive if self.alive else _STOPPING)
        conn.state = State.KEPT  # from here on it is the loop's
        if not conn.watched:
            self._finish(self._watch_unless_busy, conn)


def _never(_environ: dict[str, Any]) -> bool:
    return False
