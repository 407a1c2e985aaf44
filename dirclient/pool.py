"""The connections of one profile: bounded, checked on borrow, with shared health of the servers.

Two kinds, never mixed. *Searching* connections are bound as the service account and do everything
but prove passwords. *Verifying* connections carry users' binds and nothing else, because a server
may keep the old identity after a failed bind. Each is lent to one borrower at a time.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

from dirclient import tls
from dirclient.deadline import remaining
from dirclient.dial import open_connection
from dirclient.errors import (
    Ambiguous,
    DirectoryError,
    Incomplete,
    Misconfigured,
    NotFound,
    Refused,
    Unavailable,
)
from dirclient.examine import examine
from dirclient.health import Health, Operation, Server
from dirclient.lending import Side, Waiter
from dirclient.model import ServerState
from dirclient.outages import Declined, NotSent, TimedOut, Torn, Unsuited, is_late, outage
from dirclient.profile import Profile
from dirclient.service_account import ServiceAccount
from dirclient.transport import Connection
from dirclient.turns import Turns

T = TypeVar("T")

IDLE_LIMIT = 240.0
"""Seconds a connection may lie idle: below the five minutes after which firewalls forget it."""
AGE_LIMIT = 3600.0
"""Seconds a connection may live, so that certificates, DNS and permissions are seen anew."""


class _Loan:
    """Lends a connection for the length of a `with` block; `connection` is None until then.

    Of no side, it is the borrower's own and closed afterwards. `apart_from` are the ranks of
    servers that need not be asked again, and why.
    """

    __slots__ = ("_account", "_apart_from", "_pool", "_side", "connection")

    def __init__(
        self,
        pool: Pool,
        side: Side | None,
        account: ServiceAccount | None,
        apart_from: Mapping[int, DirectoryError],
    ) -> None:
        self._pool, self._side, self._account = pool, side, account
        self._apart_from = apart_from
        self.connection: Connection | None = None

    def __enter__(self) -> Connection:
        borrow = self._pool.borrow
        self.connection = borrow(self._side, self._account, self._apart_from)
        return self.connection

    def __exit__(self, kind: object, fault: BaseException | None, _: object) -> None:
        assert self.connection is not None
        operation = Operation.BIND if self._account is None else Operation.SEARCH
        self._pool.judge(self.connection, operation, fault)
        self._pool.give_back(self._side, self.connection)


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
        self._searching, self._verifying = Side(), Side()
        self._health = Health(profile.servers, self._examine, clock)
        self._service = ServiceAccount(profile, clock)
        self._closed = False
        self._pid = os.getpid()

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers and their health, in the profile's order."""
        return self._health.servers

    @property
    def states(self) -> tuple[ServerState, ...]:
        """The same for others to see."""
        return self._health.states()

    def watch_servers(self, told: Callable[[ServerState], None]) -> None:
        """See `dirclient.ports.Servers`."""
        self._health.watch(told)

    def examine(self) -> None:
        """Ask each server now for all that it is there for; set aside those that do not do it."""
        for rank, server in enumerate(self._health.servers):
            try:
                self._examine(server.address, Operation.SEARCH)
            except DirectoryError as why:
                self._health.set_aside(rank, why, Operation.SEARCH)
            else:
                self._health.recovered(rank)

    # -- lending

    def searching(self) -> AbstractContextManager[Connection]:
        """A connection bound as the service account.

        Raises `Unavailable`, or `Misconfigured` when the service account is refused.
        """
        self._mind_fork()
        return _Loan(self, self._searching, self._service, {})

    def verifying(self) -> AbstractContextManager[Connection]:
        """A connection for one user's bind; nothing else may ever run on it."""
        self._mind_fork()
        return _Loan(self, self._verifying, None, {})

    def ask(self, question: Callable[[Connection], T], *, repeatable: bool = True) -> T:
        """Put a question to the best server, and to the next one where a server declines it.

        Once more to the same server when it did not leave, when the connection's bind got lost,
        or, where it changes nothing (`repeatable`), when the connection broke.
        """
        self._mind_fork()
        turns = Turns(self._health)
        while True:
            loan = _Loan(self, self._searching, self._service, turns.declined)
            try:
                with loan as connection:
                    answer = question(connection)
            except (Unavailable, Incomplete) as why:
                if loan.connection is None:
                    raise
                if not turns.go_on(loan.connection, why, repeatable=repeatable):
                    raise
            else:
                turns.answered()
                return answer

    def ask_each(self, question: Callable[[Connection], T]) -> list[T]:
        """Put a question to every server, each on a connection of its own.

        Raises `Unavailable` where one of them cannot be asked.
        """
        answers = []
        for rank in range(len(self._health.servers)):
            others = {other: Unavailable("") for other in range(len(self._health.servers))}
            others.pop(rank)
            with _Loan(self, None, self._service, others) as connection:
                answers.append(question(connection))
        return answers

    def prove(self, bind: Callable[[Connection], T], *, private: bool = False) -> T:
        """Have one server judge a password, and the next one where a server says it cannot.

        What did not leave whole was never judged, either, so it may go on another connection; any
        other end is final. `private`: on a connection of its own, bound as nobody before.
        """
        self._mind_fork()
        side = None if private else self._verifying
        declined: dict[int, DirectoryError] = {}
        unsent = 0
        while True:
            loan = _Loan(self, side, None, declined)
            try:
                with loan as connection:
                    return bind(connection)
            except (NotSent, Declined, Unsuited) as why:
                if loan.connection is None or unsent > self.profile.pool_size:
                    raise
                if isinstance(why, NotSent):
                    unsent += 1
                else:
                    declined[loan.connection.rank] = why

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

    def borrow(
        self,
        side: Side | None,
        account: ServiceAccount | None,
        apart_from: Mapping[int, DirectoryError],
    ) -> Connection:
        """For `_Loan`: an idle connection that is alive, else a new one."""
        if side is None:
            return self._open(account, apart_from)
        end = self._clock() + remaining(self.profile.sign_in_timeout)
        connection = self._reserve(side, end)
        while connection is not None:
            wanted = connection.rank not in apart_from
            if wanted and self._usable(connection) and connection.alive():
                return connection
            connection.close()
            with self._lock:  # the place stays ours
                connection = side.idle.pop() if side.idle else None
        try:
            return self._open(account, apart_from)
        except BaseException:
            self._free(side)
            raise

    def _free(self, side: Side) -> None:
        """Give back a place without a connection."""
        with self._lock:
            side.lent -= 1
            side.grant(None)

    def _reserve(self, side: Side, end: float) -> Connection | None:
        """The idle connection used last, or None: the place to open one is the caller's."""
        with self._lock:
            self._mind_closed()
            if not side.waiting and (side.idle or side.lent < self.profile.pool_size):
                side.lent += 1
                return side.idle.pop() if side.idle else None
            waiter = Waiter()
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

    def give_back(self, side: Side | None, connection: Connection) -> None:
        """For `_Loan`: keep it for the next borrower unless it is closed."""
        if side is None:
            connection.close()
            with self._lock:
                self.operations += connection.operations
            return
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

    def _open(
        self, account: ServiceAccount | None, apart_from: Mapping[int, DirectoryError]
    ) -> Connection:
        """A new connection to the best server that answers; each is asked at most once."""
        if account is not None:
            account.check()
        for rank in self._health.order():
            if rank in apart_from:
                continue
            time_left = remaining(self.profile.connect_timeout)
            if time_left <= 0:
                raise Unavailable("The time for this sign-in is over.", tried=self._health.tried())
            try:
                connection = self._connect(rank)
            except (Unavailable, Misconfigured) as why:
                # A server that was given little time is not to blame for being late.
                if self._is_enough(time_left) or not is_late(why):
                    self._health.set_aside(rank, why, Operation.CONNECT, slow=True)
                continue
            try:
                if account is not None:
                    account.bind(connection)
                return connection
            except (Unavailable, Unsuited) as why:
                connection.close()
                if not isinstance(why, TimedOut) or self._is_enough(why.seconds):
                    slow = not isinstance(why, (Declined, Unsuited))
                    self._health.set_aside(rank, why, Operation.BIND, slow=slow)
            except BaseException:
                connection.close()
                raise
        raise next(iter(apart_from.values()), None) or self._health.verdict()

    def _connect(self, rank: int) -> Connection:
        server = self._health.servers[rank]
        epoch = server.epoch
        connection = self._opener(self.profile, server.address, self._tls())
        connection.rank, connection.epoch = rank, epoch
        if server.operation is Operation.CONNECT:
            self._health.recovered(rank)
        return connection

    def _examine(self, address: str, failed: Operation) -> None:
        """For `Health`: ask a server for what it failed at."""
        connection = self._opener(self.profile, address, self._tls())
        try:
            examine(self.profile, connection, self._service, failed)
        finally:
            connection.close()

    def _tls(self) -> ssl.SSLContext | None:
        with self._context_lock:
            if self._context is None:
                self._context = tls.context(self.profile)
            return self._context

    def judge(
        self, connection: Connection, operation: Operation, fault: BaseException | None
    ) -> None:
        """For `_Loan`: what its end says about the server.

        One that let a borrower wait in vain is set aside, unless the borrower had spent the time
        elsewhere; one that is unwell by its own word, or broke off when a password was sent, too.
        """
        rank = connection.rank
        server = self._health.servers[rank]
        if server.epoch != connection.epoch:
            return
        cause = outage(fault)
        if cause is None:
            answered = fault is None or isinstance(fault, Refused | NotFound | Ambiguous)
            if server.failed and answered and server.operation is operation:
                self._health.recovered(rank)
        elif isinstance(cause, TimedOut):
            if self._is_enough(cause.seconds):
                self._health.set_aside(rank, cause, operation, slow=True)
        elif (
            (isinstance(cause, Declined) and cause.unwell)
            or isinstance(cause, Unsuited)
            or (isinstance(cause, Torn) and operation is Operation.BIND)
        ):
            self._health.set_aside(rank, cause, operation)

    def _is_enough(self, seconds: float) -> bool:
        """Whether a server that had so long is to blame for not having answered."""
        return seconds >= 0.9 * min(self.profile.connect_timeout, self.profile.sign_in_timeout)

    def _mind_fork(self) -> None:
        """A child process must neither use nor close its parent's connections."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._context_lock = threading.Lock()
        self._searching, self._verifying = Side(), Side()
        self._health.forget()
        self._service.forget()
