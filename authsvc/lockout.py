"""How many wrong passwords an account may have here: always fewer than lock it in the directory.

The rule is read from the directory (the domain's and every fine-grained policy that the service
account may read; the strictest of them holds for all), kept in the database for every worker and
host, and read anew once an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from cachetools import TTLCache

from authsvc.directories import OpenDirectory
from dirclient.errors import DirectoryError
from kerauno import directories as records
from kerauno.config import Settings
from kerauno.db import Database
from kerauno.errors import DatabaseUnavailable
from kerauno.throttle import Budget, account_budget

_log = structlog.get_logger(__name__)

BELIEVED = timedelta(seconds=10)
"""How long a worker goes by what it read from the database."""

STALE = timedelta(hours=1)
"""After which the directory is asked anew."""

_Thread = Callable[[Callable[[], None]], None]


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="lockout", daemon=True).start()


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
        self._known: TTLCache[tuple[int, int], Budget] = TTLCache(
            1, BELIEVED.total_seconds(), timer=lambda: now().timestamp()
        )

    def of(self, directory: OpenDirectory | None) -> Budget:
        """See `authsvc.signin.Budgets`.

        The directory itself is asked only when nobody did since its settings were saved.
        """
        if directory is None:
            return account_budget(0, None, most=self._most, default_window=self._window)
        now, version = self._now(), (directory.id, directory.version)
        with self._lock:
            budget = self._known.get(version)
            if budget is None:
                budget = self._known[version] = self._look(directory, now)
            return budget

    def _look(self, directory: OpenDirectory, now: datetime) -> Budget:
        with self._database.fast() as hot:
            rule = records.lockout(hot, directory.id)
        if rule is None or rule.read_at < directory.saved_at:  # or of another server
            self._ask(directory, now)
            with self._database.fast() as hot:
                rule = records.lockout(hot, directory.id)
        elif now - rule.read_at >= STALE:
            self._background(lambda: self._ask(directory, now))
        threshold = rule.threshold if rule else None
        window = rule.window if rule else None
        return account_budget(threshold, window, most=self._most, default_window=self._window)

    def _ask(self, directory: OpenDirectory, now: datetime) -> None:
        """Read the rule and keep it. What cannot be read is taken to be strict, see `throttle`."""
        try:
            policy = directory.client.lockout_policy()
            with self._database.write() as s:
                records.set_lockout(s, directory.id, policy.threshold, policy.window, now)
        except (DirectoryError, DatabaseUnavailable) as error:
            _log.warning("the lockout policy cannot be read", error=str(error))
