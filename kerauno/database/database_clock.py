"""The clock that every host of one database goes by.

What one host writes another reads: a code that lives for a minute is of no use between hosts whose
clocks are five minutes apart. So the hosts of a PostgreSQL go by its clock. A SQLite file has the
clock of its one host.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select

from kerauno.base.clock import utc_now
from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.database.prepared import Statement

APART = 30.0
"""Seconds between two clocks from which an administrator is warned."""

_LONGEST_LOOK = 2.0  # seconds; an answer that took longer tells little of the time
_NOW = Statement(select(func.clock_timestamp()))
_log = structlog.get_logger(__name__)


class DatabaseClock:
    """The moment it is, by the database. `measure` it again now and then.

    Between two measures it goes by this host's monotonic clock, which nobody sets. Until the first
    one, and as long as the database cannot be asked, it is this host's own clock.
    """

    def __init__(self, database: Database, *, local: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._local = local
        self._measured: tuple[datetime, float] | None = None
        self._told = False

    def __call__(self) -> datetime:
        """This moment, aware."""
        measured = self._measured
        if measured is None:
            return self._local()
        moment, at = measured
        return moment + timedelta(seconds=time.monotonic() - at)

    def measure(self) -> float | None:
        """Return how many seconds this host's clock is ahead of the database's.

        None where there is nothing to compare: the database is a file, or cannot be asked. Clocks
        that are far apart are told in the log, once.
        """
        if self._database.sqlite:
            return None
        with suppress(DatabaseUnavailable):
            return self._compare()
        return None

    def _compare(self) -> float | None:
        began = time.monotonic()
        with self._database.fast() as hot:
            began = time.monotonic()  # without the time that a new connection takes
            row = hot.one(_NOW)
        ended, local = time.monotonic(), self._local()
        assert row is not None
        if ended - began > _LONGEST_LOOK:
            return None
        moment: datetime = row[0]
        half = (ended - began) / 2
        self._measured = (moment.astimezone(local.tzinfo), began + half)
        ahead = (local - moment).total_seconds() - half
        self._tell(ahead)
        return ahead

    def _tell(self, ahead: float) -> None:
        apart = abs(ahead) >= APART
        if apart and not self._told:
            _log.warning("this host's clock is wrong", remedy=SAME_TIME, seconds_ahead=round(ahead))
        elif self._told and not apart:
            _log.info("this host's clock is right again")
        self._told = apart


SAME_TIME = "Set the clocks of all hosts, of the database and of the directory by one time server."


def clock_fault(ahead: float, other: str) -> str:
    """Return a sentence for an administrator where the clocks are far apart; else an empty text."""
    if abs(ahead) < APART:
        return ""
    where = "ahead of" if ahead > 0 else "behind"
    return f"This machine's clock is {abs(ahead):.0f} s {where} {other}. {SAME_TIME}"
