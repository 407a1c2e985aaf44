"""The connections of one profile: bounded, checked on borrow, with shared health of the servers.

Two kinds, never mixed. *Searching* connections are bound as the service account and do everything
but prove passwords. *Verifying* connections carry users' binds and nothing else, because a server
may keep the old identity after a failed bind. Each is lent to one borrower at a time.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from dirclient import tls
from dirclient.deadline import remaining, time_limit
from dirclient.dial import open_connection
from dirclient.errors import DirectoryError, Misconfigured, Unavailable
from dirclient.health import Health, Server
from dirclient.profile import Profile
from dirclient.service_account import ServiceAccount
from dirclient.transport import Connection, TimedOut

T = TypeVar("T")

IDLE_LIMIT = 240.0
"""Seconds a connection may lie idle: below the five minutes after which firewalls forget it."""
AGE_LIMIT = 3600.0
"""Seconds a connection may live, so that certificates, DNS and permissions are seen anew."""


class _Waiter:
    """One borrower who waits for a connection, or for the right to open one."""

    __slots__ = ("_called", "connection", "granted")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.granted = False
        self._called = threading.Lock()
        self._called.acquire()

    def wait(self, seconds: float) -> None:
        """Until called, or for so long."""
        self._called.acquire(timeout=max(0.0, seconds))

    def call(self) -> None:
        """End the waiting."""
        self._called.release()


@dataclass(eq=False, slots=True)
class _Side:
    """The idle connections of one kind, the last used last; how many are lent or being opened;
    and who waits, in the order in which they came."""

    idle: list[Connection] = field(default_factory=list)
    lent: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)

    def grant(self, connection: Connection | None) -> bool:
        """Hand a connection, or a free place, to who waits longest. False when nobody does."""
        if not self.waiting:
            return False
        waiter = self.waiting.popleft()
        waiter.connection, waiter.granted = connection, True
        self.lent += 1
        waiter.call()
        return True


class _Loan:
    """Lends a connection for the length of a `with` block."""

    __slots__ = ("_account", "_connection", "_pool", "_side")

    def __init__(self, pool: Pool, side: _Side, account: ServiceAccount | None) -> None:
        self._pool, self._side, self._account = pool, side, account

    def __enter__(self) -> Connection:
        self._connection = self._pool.borrow(self._side, self._account)
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
        self.operations = 0
        self._opener = opener
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()
        self._lock = threading.Lock()
        self._searching, self._verifying = _Side(), _Side()
        self._health = Health(profile.servers, self._greet, clock)
        self._service = ServiceAccount(profile, clock)
        self._closed = False
        self._pid = os.getpid()

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers and their health, in the profile's order."""
        return self._health.servers

    # -- lending

    def searching(self) -> AbstractContextManager[Connection]:
        """A connection bound as the service account.

        Raises `Unavailable`, or `Misconfigured` when the service account is refused.
        """
        self._mind_fork()
        return _Loan(self, self._searching, self._service)

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
            with self._lock:
                self.operations += connection.operations

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._health.stop()
        with self._lock:
            self._closed = True
            idle = self._searching.idle + self._verifying.idle
            waiting = [*self._searching.waiting, *self._verifying.waiting]
            for side in (self._searching, self._verifying):
                side.idle.clear()
                side.waiting.clear()
        for waiter in waiting:
            waiter.call()
        for connection in idle:
            connection.close()

    # -- mechanics

    def borrow(self, side: _Side, account: ServiceAccount | None) -> Connection:
        """For `_Loan`: an idle connection that is alive, else a new one."""
        end = self._clock() + remaining(self.profile.sign_in_timeout)
        connection = self._reserve(side, end)
        while connection is not None:
            if self._usable(connection) and connection.alive():
                return connection
            connection.close()
            with self._lock:  # the place stays ours
                connection = side.idle.pop() if side.idle else None
        try:
            return self._open(account)
        except BaseException:
            self._free(side)
            raise

    def _free(self, side: _Side) -> None:
        """Give back a place without a connection."""
        with self._lock:
            side.lent -= 1
            side.grant(None)

    def _reserve(self, side: _Side, end: float) -> Connection | None:
        """The idle connection used last, or None: the place to open one is the caller's."""
        with self._lock:
            self._mind_closed()
            if not side.waiting and (side.idle or side.lent < self.profile.pool_size):
                side.lent += 1
                return side.idle.pop() if side.idle else None
            waiter = _Waiter()
            side.waiting.append(waiter)
        waiter.wait(end - self._clock())
        with self._lock:
            if waiter.granted:
                return waiter.connection
            self._mind_closed()
            side.waiting.remove(waiter)
        raise Unavailable(f"All {self.profile.pool_size} connections to the directory are busy.")

    def _mind_closed(self) -> None:
        if self._closed:
            raise Unavailable("The connections to the directory have been closed.")

    def give_back(self, side: _Side, connection: Connection) -> None:
        """For `_Loan`: keep it for the next borrower unless it is closed."""
        if connection.busy:  # the rest of an answer that nobody wants is still on its way
            connection.close(goodbye=False)
        stale = None
        with self._lock:
            side.lent -= 1
            self.operations += connection.operations - connection.counted
            connection.counted = connection.operations
            if connection.closed:
                side.grant(None)
            elif self._closed:
                stale = connection
            elif not side.grant(connection):
                side.idle.append(connection)
                if not self._usable(side.idle[0]):
                    stale = side.idle.pop(0)
        if stale is not None:
            stale.close()

    def _usable(self, connection: Connection) -> bool:
        """Young enough, on a server that has not failed since, with no better one in health."""
        now = self._clock()
        return (
            now - connection.used < IDLE_LIMIT
            and now - connection.opened < AGE_LIMIT
            and connection.epoch == self._health.servers[connection.rank].epoch
            and self._health.is_best(connection.rank)
        )

    def _open(self, account: ServiceAccount | None) -> Connection:
        """A new connection to the best server that answers; each is asked at most once."""
        if account is not None:
            account.check()
        for rank in self._health.order():
            time_left = remaining(self.profile.connect_timeout)
            if time_left <= 0:
                raise Unavailable("The time for this sign-in is over.", tried=self._health.tried())
            try:
                connection = self._connect(rank)
            except (Unavailable, Misconfigured) as why:
                # A server that was given little time is not to blame for being late.
                if time_left >= 0.9 * self.profile.connect_timeout or not _is_late(why):
                    self._health.set_aside(rank, why)
                continue
            try:
                if account is not None:
                    account.bind(connection)
                return connection
            except Unavailable as why:
                connection.close()
                self._health.set_aside(rank, why)
            except BaseException:
                connection.close()
                raise
        raise self._health.verdict()

    def _connect(self, rank: int) -> Connection:
        server = self._health.servers[rank]
        epoch = server.epoch
        connection = self._opener(self.profile, server.address, self._tls())
        connection.rank, connection.epoch = rank, epoch
        if server.failed:
            self._health.recovered(rank)
        return connection

    def _greet(self, address: str) -> None:
        """Ask a server whether it encrypts and answers; reading its root DSE needs no sign-in."""
        connection = self._opener(self.profile, address, self._tls())
        try:
            with time_limit(self.profile.connect_timeout):
                connection.search("", scope="base")
        finally:
            connection.close()

    def _tls(self) -> ssl.SSLContext | None:
        with self._context_lock:
            if self._context is None:
                self._context = tls.context(self.profile)
            return self._context

    def blame(self, connection: Connection, why: DirectoryError) -> None:
        """Set a server aside that let a borrower wait in vain.

        Not one that was given little time: that was the borrower's own, spent elsewhere.
        """
        late = why if isinstance(why, TimedOut) else why.__cause__
        enough = 0.9 * min(self.profile.connect_timeout, self.profile.sign_in_timeout)
        in_vain = isinstance(late, TimedOut) and late.seconds >= enough
        if in_vain and self._health.servers[connection.rank].epoch == connection.epoch:
            self._health.set_aside(connection.rank, why)

    def _mind_fork(self) -> None:
        """A child process must neither use nor close its parent's connections."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._context_lock = threading.Lock()
        self._searching, self._verifying = _Side(), _Side()
        self._health.forget()
        self._service.forget()


def _is_late(why: DirectoryError) -> bool:
    """Whether it means that no answer came in time."""
    return isinstance(why, TimedOut) or isinstance(why.__cause__, TimeoutError)
