"""Attempts whose end could not be written down: written as soon as the database takes it.

Else each counts as under way for a minute after the name's last attempt. A database that fails
again and again would so keep out whoever signs in often, with the right password.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

from authsvc.signin.outcomes import Verdict
from kerauno.base.clock import elapsed
from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.database.prepared import PreparedConnection
from kerauno.signin import throttle
from kerauno.signin.throttle import Reservation

T = TypeVar("T")

MOST = 1000
"""So many are remembered; the oldest then lapse by themselves."""


class _Owed(NamedTuple):
    slot: Reservation
    settled: Verdict
    since: datetime


class Unsettled:
    """Those of one process. Safe to share by threads."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._owed: deque[_Owed] = deque(maxlen=MOST)

    def settling(
        self, slot: Reservation | None, settled: Verdict, work: Callable[[PreparedConnection], T]
    ) -> T:
        """Do what settles an attempt, in a transaction; remember it where nothing of it was kept.

        Where PostgreSQL broke off in the commit itself nobody knows: such an attempt lapses.
        """
        return self._do(None if slot is None else _Owed(slot, settled, self._now()), work)

    def write(self) -> None:
        """Settle what is owed, unless it has lapsed. Raises DatabaseUnavailable."""
        while self._owed:
            owed = self._owed.popleft()
            if elapsed(owed.since, self._now()) < throttle.LAPSES_AFTER:
                self._settle(owed)

    def _settle(self, owed: _Owed) -> None:
        self._do(owed, lambda hot: settle(hot, owed.slot, owed.settled, self._now()))

    def _do(self, owed: _Owed | None, work: Callable[[PreparedConnection], T]) -> T:
        is_done = False

        def watched(hot: PreparedConnection) -> T:
            nonlocal is_done
            is_done = False  # it may be done again
            given = work(hot)
            is_done = True
            return given

        try:
            return self._database.fast_work(watched)
        except DatabaseUnavailable:
            if owed is not None and (self._database.sqlite or not is_done):
                self._owed.append(owed)
            raise


def settle(hot: PreparedConnection, slot: Reservation, settled: Verdict, now: datetime) -> None:
    """Count an attempt as what it came to."""
    if settled is Verdict.CORRECT:
        throttle.succeed(hot, slot)
    elif settled is Verdict.WRONG:
        throttle.fail(hot, slot, now)
    elif settled is Verdict.UNKNOWN:
        throttle.lose(hot, slot, now)
    else:
        throttle.cancel(hot, slot)
