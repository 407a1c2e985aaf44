"""How many wrong passwords an account may have here: always fewer than lock it in the directory.

The rule is read from the directory (the domain's and every fine-grained policy that the service
account may read; the strictest of them holds for all), kept in the database for every worker and
host, and read again once an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from authsvc.signin.directory_connection import OpenDirectory
from dirclient.model.errors import DirectoryError
from kerauno.base.clock import elapsed
from kerauno.base.config import Settings
from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.signin.throttle import Budget, account_budget
from kerauno.sync import directory_settings

_log = structlog.get_logger(__name__)

BELIEVED = timedelta(seconds=10)
"""How long a worker goes by what it read from the database."""

STALE = timedelta(hours=1)
"""After which the directory is asked again."""

_Thread = Callable[[Callable[[], None]], None]


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="lockout", daemon=True).start()


@dataclass(frozen=True, slots=True)
class _Known:
    """A budget as the database had it a moment ago."""

    saved: tuple[int, int]  # the directory's id and version
    read_at: datetime
    budget: Budget

    def holds(self, saved: tuple[int, int], now: datetime) -> bool:
        """Return True while this cached budget is still valid."""
        return self.saved == saved and elapsed(self.read_at, now) < BELIEVED


class LockoutBudgets:
    """`Budgets` of sign-in. `background` runs work aside: tests run it at once."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        now: Callable[[], datetime],
        *,
        background: _Thread = _in_background,
    ) -> None:
        self._database = database
        self._most = settings.account_failures
        self._window = timedelta(minutes=settings.account_window_minutes)
        self._now = now
        self._background = background
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def of(self, directory: OpenDirectory | None) -> Budget:
        """See `authsvc.signin.ports.Budgets`.

        The directory itself is asked only when nobody did since its settings were saved.
        """
        if directory is None:
            return account_budget(0, None, most=self._most, default_window=self._window)
        now, saved, known = self._now(), (directory.id, directory.version), self._known
        if known is not None and known.holds(saved, now):
            return known.budget
        with self._lock:
            known = self._known
            if known is None or not known.holds(saved, now):
                known = self._known = _Known(saved, now, self._look(directory, now))
            return known.budget

    def _look(self, directory: OpenDirectory, now: datetime) -> Budget:
        with self._database.fast() as hot:
            rule = directory_settings.lockout(hot, directory.id)
        if rule is None or rule.read_at < directory.saved_at:  # or of another server
            self._ask(directory, now)
            with self._database.fast() as hot:
                rule = directory_settings.lockout(hot, directory.id)
        elif elapsed(rule.read_at, now) >= STALE:
            self._background(lambda: self._ask(directory, now))
        threshold = rule.threshold if rule else None
        window = rule.window if rule else None
        return account_budget(threshold, window, most=self._most, default_window=self._window)

    def _ask(self, directory: OpenDirectory, now: datetime) -> None:
        """Read the rule and keep it. What cannot be read is taken to be strict, see `throttle`."""
        try:
            policy = directory.client.lockout_policy()
            with self._database.write() as s:
                directory_settings.set_lockout(
                    s, directory.id, policy.threshold, policy.window, now
                )
        except (DirectoryError, DatabaseUnavailable) as error:
            _log.warning("the lockout policy cannot be read", error=str(error))
