"""The connections of one profile: bounded, checked on borrow, with shared health of the servers.

Two kinds, never mixed. *Searching* connections are bound as the service account and do everything
but prove passwords. *Verifying* connections carry users' binds and nothing else, because a server
may keep the old identity after a failed bind. Each is lent to one borrower at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

from dirclient.config.profile import Profile
from dirclient.connection.connect import open_connection
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.outages import Declined, NotSent, Unsuited
from dirclient.connection.pool_queue import Side, Waiter
from dirclient.connection.retries import Turns
from dirclient.connection.server_health import Operation, Server
from dirclient.connection.server_selection import Opener, Opening
from dirclient.connection.service_account import ServiceAccount
from dirclient.model.deadline import remaining
from dirclient.model.directory_objects import ServerState
from dirclient.model.errors import DirectoryError, Incomplete, Unavailable

T = TypeVar("T")

IDLE_LIMIT = 240.0
"""Seconds a connection may lie idle: below the five minutes after which firewalls forget it."""
SLOW = 0.5
"""Seconds after which an answer is late enough for others to be asked elsewhere meanwhile."""
AGE_LIMIT = 3600.0
"""Seconds a connection may live, so that certificates, DNS and permissions are seen again."""


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
        self._pool._opening.judge(self.connection, operation, fault)
        self._pool.give_back(self._side, self.connection)


class Pool:
    """See the module. `opener` and `clock` are arguments so that tests need neither net nor time.

    `operations` counts the LDAP requests of all connections that were given back.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        opener: Opener = open_connection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.profile = profile
        self.operations = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._searching, self._verifying = Side(), Side()
        self._opening = Opening(profile, opener, clock)
        self._health = self._opening.health
        self._service = self._opening.service
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

    def watch_servers(self, callback: Callable[[ServerState], None]) -> None:
        """See `dirclient.config.ports.Servers`."""
        self._health.watch(callback)

    def examine(self) -> None:
        """See `Opening`."""
        self._opening.examine()

    @property
    def refused_for(self) -> float | None:
        """See `dirclient.config.ports.Servers`."""
        return self._service.refused_for

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
            return self._opening.open(account, apart_from)
        end = self._clock() + remaining(self.profile.sign_in_timeout)
        connection = self._reserve(side, end)
        slow = self._slow(side)
        while connection is not None:
            may_serve = connection.rank not in apart_from and connection.rank not in slow
            if may_serve and self._usable(connection, slow) and connection.alive():
                break
            connection.close()
            with self._lock:  # the place stays ours
                connection = side.idle.pop() if side.idle else None
        try:
            connection = connection or self._opening.open(account, apart_from, slow)
        except BaseException:
            self._free(side)
            raise
        side.out.add(connection)
        return connection

    def _slow(self, side: Side) -> list[int]:
        """Servers, one for each connection, that owe an answer longer than answers usually take.

        Who comes next goes elsewhere, and need not share their fate; none are slow where there is
        no other server to go to.
        """
        slow = side.late(time.monotonic() - SLOW) if side.out else []
        if not slow:
            return slow
        others = (not s.failed and rank not in slow for rank, s in enumerate(self.servers))
        return slow if any(others) else []

    def _free(self, side: Side) -> None:
        """Give back a place without a connection."""
        with self._lock:
            side.lent -= 1
            side.grant(None)

    def _reserve(self, side: Side, end: float) -> Connection | None:
        """The idle connection used last, or None: the place to open one is the caller's."""
        with self._lock:
            self._mind_closed()
            if not side.waiting and (side.idle or self._has_room(side)):
                side.lent += 1
                return side.idle.pop() if side.idle else None
            waiter = Waiter()
            side.waiting.append(waiter)
        while True:
            left = end - self._clock()
            waiter.wait(min(left, SLOW))
            with self._lock:
                if waiter.granted:
                    return waiter.connection
                self._mind_closed()
                if self._has_room(side):
                    side.waiting.remove(waiter)
                    side.lent += 1
                    return None
                if left <= SLOW:
                    side.waiting.remove(waiter)
                    size = self.profile.pool_size
                    raise Unavailable(f"All {size} connections to the directory are busy.")

    def _has_room(self, side: Side) -> bool:
        """Return whether one more connection may be opened; what a slow server keeps does not
        count."""
        return side.lent - len(self._slow(side)) < self.profile.pool_size

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
            side.out.discard(connection)
            self.operations += connection.operations - connection.counted
            connection.counted = connection.operations
            if connection.closed:
                side.grant(None)
            elif self._closed:
                stale = connection
            elif not side.grant(connection):
                side.idle.append(connection)
                if not self._usable(side.idle[0], self._slow(side)):
                    stale = side.idle.pop(0)
        if stale is not None:
            stale.close()

    def _usable(self, connection: Connection, slow: Collection[int]) -> bool:
        """Young enough, on a server that has not failed since, with no better one in health."""
        now = self._clock()
        return (
            now - connection.used < IDLE_LIMIT
            and now - connection.opened < AGE_LIMIT
            and connection.epoch == self._health.servers[connection.rank].epoch
            and self._health.is_best(connection.rank, slow)
        )

    def _mind_fork(self) -> None:
        """A child process must neither use nor close its parent's connections."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._searching, self._verifying = Side(), Side()
        self._opening.forget()
