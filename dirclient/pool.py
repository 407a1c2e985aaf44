"""The connections of one profile: bounded, checked on borrow, with shared health of the servers.

Two kinds, never mixed. *Searching* connections are bound as the service account and do everything
but prove passwords. *Verifying* connections carry users' binds and nothing else, because a server
may keep the old identity after a failed bind. Each is lent to one borrower at a time.

A server that fails is set aside (the circuit is open), everyone moves on to the next one, and a
background thread knocks until it answers; then the order of the profile holds again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from dirclient import tls
from dirclient.dial import open_connection
from dirclient.errors import (
    BadCredentials,
    DirectoryError,
    Locked,
    Misconfigured,
    Refused,
    Unavailable,
)
from dirclient.profile import Profile
from dirclient.transport import Connection, TimedOut, remaining, time_limit

T = TypeVar("T")

log = logging.getLogger(__name__)

IDLE_LIMIT = 240.0
"""Seconds a connection may lie idle: below the five minutes after which firewalls forget it."""
AGE_LIMIT = 3600.0
"""Seconds a connection may live, so that certificates, DNS and permissions are seen anew."""
KNOCK_EVERY = 2.0
"""Seconds between the background thread's attempts at servers that are set aside."""
RETRY_WHEN_FAILED = 0.5
"""Seconds for which a server's failure is believed even when no other one is left."""
SERVICE_REFUSAL_PAUSE = (300.0, 3600.0)
"""Seconds without another bind after the service account was refused: first and longest.
Repeating a wrong password would lock the account."""
SERVICE_LOCKED_PAUSE = 60.0


@dataclass(slots=True)
class Server:
    """One server's health. `why` says what happened when it was set aside."""

    address: str
    failed: bool = False
    failed_at: float = 0.0
    why: DirectoryError | None = None
    epoch: int = 0  # grows with each failure: connections of an older one are not lent again


@dataclass(eq=False, slots=True)
class _Side:
    """The idle connections of one kind, the last used last, and how many are lent or opening."""

    idle: list[Connection] = field(default_factory=list)
    lent: int = 0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The service account was refused: what to say, and until when not to ask again."""

    error: Misconfigured
    until: float
    pause: float


class _Loan:
    """Lends a connection for the length of a `with` block."""

    __slots__ = ("_connection", "_pool", "_prepare", "_side")

    def __init__(
        self, pool: Pool, side: _Side, prepare: Callable[[Connection], None] | None
    ) -> None:
        self._pool, self._side, self._prepare = pool, side, prepare

    def __enter__(self) -> Connection:
        self._connection = self._pool.borrow(self._side, self._prepare)
        return self._connection

    def __exit__(self, kind: object, fault: BaseException | None, _: object) -> None:
        if isinstance(fault, DirectoryError):
            self._pool.blame(self._connection, fault)
        self._pool.give_back(self._side, self._connection)


class Pool:
    """See the module. `opener` and `clock` are arguments so that tests need neither net nor time.

    `operations` counts the LDAP requests of all connections that were given back.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        opener: Callable[[Profile, str, ssl.SSLContext | None], Connection] = open_connection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.profile = profile
        self.servers = tuple(Server(address) for address in profile.servers)
        self.operations = 0
        self._opener = opener
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()
        self._changed = threading.Condition(threading.Lock())
        self._searching, self._verifying = _Side(), _Side()
        self._refusal: _Refusal | None = None
        self._knocker: threading.Thread | None = None
        self._stop = threading.Event()
        self._pid = os.getpid()

    # -- lending

    def searching(self) -> AbstractContextManager[Connection]:
        """A connection bound as the service account.

        Raises `Unavailable`, or `Misconfigured` when the service account is refused.
        """
        self._mind_fork()
        return _Loan(self, self._searching, self._bind_service)

    def verifying(self) -> AbstractContextManager[Connection]:
        """A connection for one user's bind; nothing else may ever run on it."""
        self._mind_fork()
        return _Loan(self, self._verifying, None)

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Put a question that changes nothing; once more when its connection broke beneath it."""
        with self.searching() as connection:
            try:
                return question(connection)
            except TimedOut:
                raise
            except Unavailable:
                if not connection.closed:
                    raise
        with self.searching() as connection:
            return question(connection)

    @contextlib.contextmanager
    def private(self) -> Iterator[Connection]:
        """A connection of one's own, bound as nobody, closed afterwards."""
        connection = self._open(None)
        try:
            yield connection
        except DirectoryError as why:
            self.blame(connection, why)
            raise
        finally:
            connection.close()
            with self._changed:
                self.operations += connection.operations

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._stop.set()
        with self._changed:
            idle = self._searching.idle + self._verifying.idle
            self._searching.idle.clear()
            self._verifying.idle.clear()
            self._changed.notify_all()
        for connection in idle:
            connection.close()

    # -- mechanics

    def borrow(self, side: _Side, prepare: Callable[[Connection], None] | None) -> Connection:
        """For `_Loan`: an idle connection that is alive, else a new one."""
        end = self._clock() + remaining(self.profile.sign_in_timeout)
        while True:
            connection = self._reserve(side, end)
            if connection is None:
                break
            if self._usable(connection) and connection.alive():
                return connection
            connection.close()
            with self._changed:
                side.lent -= 1
        try:
            return self._open(prepare)
        except BaseException:
            with self._changed:
                side.lent -= 1
                self._changed.notify()
            raise

    def _reserve(self, side: _Side, end: float) -> Connection | None:
        """The idle connection used last, or None: the place to open one is the caller's."""
        with self._changed:
            while True:
                if self._stop.is_set():
                    raise Unavailable("The connections to the directory have been closed.")
                if side.idle or side.lent < self.profile.pool_size:
                    side.lent += 1
                    return side.idle.pop() if side.idle else None
                left = end - self._clock()
                if left <= 0:
                    raise Unavailable(
                        f"All {self.profile.pool_size} connections to the directory are busy."
                    )
                self._changed.wait(left)

    def give_back(self, side: _Side, connection: Connection) -> None:
        """For `_Loan`: keep it for the next borrower unless it is closed."""
        stale = None
        with self._changed:
            side.lent -= 1
            self.operations += connection.operations - connection.counted
            connection.counted = connection.operations
            if not connection.closed:
                if self._stop.is_set():
                    stale = connection
                else:
                    side.idle.append(connection)
                    if not self._usable(side.idle[0]):
                        stale = side.idle.pop(0)
            self._changed.notify()
        if stale is not None:
            stale.close()

    def _usable(self, connection: Connection) -> bool:
        """Young enough, on a server that has not failed since, with no better one in health."""
        now = self._clock()
        return (
            now - connection.used < IDLE_LIMIT
            and now - connection.opened < AGE_LIMIT
            and connection.epoch == self.servers[connection.rank].epoch
            and all(server.failed for server in self.servers[: connection.rank])
        )

    def _open(self, prepare: Callable[[Connection], None] | None) -> Connection:
        """A new connection to the best server that answers; each is asked at most once."""
        if prepare is not None:
            self._mind_refusal()
        now = self._clock()
        order = [rank for rank, server in enumerate(self.servers) if not server.failed]
        order += [
            rank
            for rank, server in enumerate(self.servers)
            if server.failed and now - server.failed_at >= RETRY_WHEN_FAILED
        ]
        for rank in order:
            if remaining(self.profile.connect_timeout) <= 0:
                raise Unavailable("The time for this sign-in is over.", tried=self._tried())
            try:
                connection = self._connect(rank)
            except (Unavailable, Misconfigured) as why:
                self._set_aside(rank, why)
                continue
            try:
                if prepare is not None:
                    prepare(connection)
                return connection
            except Unavailable as why:
                connection.close()
                self._set_aside(rank, why)
            except BaseException:
                connection.close()
                raise
        raise self._all_failed()

    def _connect(self, rank: int) -> Connection:
        server = self.servers[rank]
        epoch = server.epoch
        connection = self._opener(self.profile, server.address, self._tls())
        connection.rank, connection.epoch = rank, epoch
        if server.failed:
            self._recovered(rank)
        return connection

    def _tls(self) -> ssl.SSLContext | None:
        with self._context_lock:
            if self._context is None:
                self._context = tls.context(self.profile)
            return self._context

    def _bind_service(self, connection: Connection) -> None:
        """Bind as the service account, under the connect timeout so that a hung server is left."""
        name, password = self.profile.username, self.profile.password.get_secret_value()
        if not name or not password:
            raise Misconfigured(
                "The service account is not complete.",
                field="password" if name else "username",
                remedy="Enter AD Username and Password.",
            )
        try:
            with time_limit(max(self.profile.connect_timeout, self.profile.sign_in_timeout / 2)):
                connection.bind(name, password)
        except Refused as no:
            raise self._remember_refusal(no) from no
        with self._changed:
            self._refusal = None

    def _mind_refusal(self) -> None:
        refusal = self._refusal
        if refusal is not None and self._clock() < refusal.until:
            raise refusal.error

    def _remember_refusal(self, no: Refused) -> Misconfigured:
        error = service_refusal(no)
        with self._changed:
            before = self._refusal
            if isinstance(no, Locked):
                pause = SERVICE_LOCKED_PAUSE
            elif before is None:
                pause = SERVICE_REFUSAL_PAUSE[0]
            else:
                pause = min(
                    max(before.pause, SERVICE_REFUSAL_PAUSE[0]) * 2, SERVICE_REFUSAL_PAUSE[1]
                )
            self._refusal = _Refusal(error, self._clock() + pause, pause)
        return error

    # -- health

    def blame(self, connection: Connection, why: DirectoryError) -> None:
        """Set a server aside that let a borrower wait in vain."""
        in_vain = isinstance(why, TimedOut) or isinstance(why.__cause__, TimedOut)
        if in_vain and self.servers[connection.rank].epoch == connection.epoch:
            self._set_aside(connection.rank, why)

    def _set_aside(self, rank: int, why: DirectoryError) -> None:
        server = self.servers[rank]
        with self._changed:
            if not server.failed:
                log.warning("directory server %s set aside: %s", server.address, why)
            server.failed, server.failed_at, server.why = True, self._clock(), why
            server.epoch += 1
            if self._knocker is None and not self._stop.is_set():
                self._knocker = threading.Thread(
                    target=self._knock, name="directory-health", daemon=True
                )
                self._knocker.start()

    def _recovered(self, rank: int) -> None:
        server = self.servers[rank]
        with self._changed:
            if server.failed:
                log.warning("directory server %s is back", server.address)
            server.failed, server.why = False, None
            self._changed.notify_all()

    def _knock(self) -> None:
        """Ask the servers that are set aside, again and again, until none is left."""
        while not self._stop.wait(KNOCK_EVERY):
            for rank, server in enumerate(self.servers):
                if server.failed and self._answers(server):
                    self._recovered(rank)
            with self._changed:
                if not any(server.failed for server in self.servers):
                    self._knocker = None
                    return

    def _answers(self, server: Server) -> bool:
        """Whether the server encrypts and answers; a read of the root DSE needs no sign-in."""
        try:
            connection = self._opener(self.profile, server.address, self._tls())
            try:
                with time_limit(self.profile.connect_timeout):
                    connection.search("", scope="base")
            finally:
                connection.close()
        except DirectoryError as why:
            server.why = why
            return False
        except Exception:
            log.exception("asking %s how it is failed", server.address)
            return False
        return True

    def _tried(self) -> tuple[str, ...]:
        return tuple(f"{server.address}: {server.why}" for server in self.servers if server.why)

    def _all_failed(self) -> DirectoryError:
        """What to raise when no server could be used: rather a fault to mend than an outage."""
        for server in self.servers:
            if isinstance(server.why, Misconfigured):
                fault = server.why
                return Misconfigured(str(fault), field=fault.field, remedy=fault.remedy)
        if not self.servers:
            return Misconfigured(
                "No directory server is configured.", field="servers", remedy="Enter AD Server."
            )
        return Unavailable("No directory server can be reached.", tried=self._tried())

    def _mind_fork(self) -> None:
        """A child process must neither use nor close its parent's connections."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._changed = threading.Condition(threading.Lock())
        self._context_lock = threading.Lock()
        self._searching, self._verifying = _Side(), _Side()
        self._knocker = None
        for server in self.servers:
            server.failed, server.why = False, None


def service_refusal(no: Refused) -> Misconfigured:
    """What an administrator reads when the service account itself is refused."""
    if isinstance(no, BadCredentials):
        return Misconfigured(
            "The directory refused the service account: the name or the password is wrong.",
            field="password",
            remedy="Enter AD Username and Password again, the name as user@domain, "
            "DOMAIN\\user or a full DN.",
        )
    reason = str(no)
    return Misconfigured(
        f"The directory refused the service account: {reason[:1].lower()}{reason[1:]}",
        field="username",
        remedy="Put the account in order in the directory, or enter another one.",
    )
