"""The collaborators of the web process, handed to the app once and reached by every view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from flask import Flask, current_app

from authsvc.signin.decision import SignIn
from authsvc.signin.directory_connection import Connect, Directories
from authsvc.signin.lockout_budget import LockoutBudgets
from authsvc.signin.response_delay import ResponseDelay
from authsvc.signin.store import SignInRecords
from kerauno.base.clock import utc_now
from kerauno.base.config import Settings
from kerauno.database.database_clock import DatabaseClock
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.signin.sessions import Lifetime


@dataclass(slots=True)
class Services:
    """Everything that views need. `now` is the clock: tests pass their own."""

    settings: Settings
    database: Database
    sealer: Sealer
    directories: Directories
    records: SignInRecords
    sign_in: SignIn
    now: Callable[[], datetime] = utc_now

    def close(self) -> None:
        """End every connection."""
        self.directories.close()
        self.database.close()


def assemble(
    settings: Settings,
    *,
    connect: Connect,
    now: Callable[[], datetime] | None = None,
    pace: ResponseDelay | None = None,
) -> Services:
    """The collaborators for these settings. Opens no connection; makes a missing key file.

    The clock is the database's unless `now` is given. Raises KeyProblem when the key file cannot
    be used.
    """
    database = Database(settings.database_url)
    now = now or DatabaseClock(database)
    sealer = Sealer(settings.secret_key_file, create=True)
    directories = Directories(database, sealer, connect)
    records = SignInRecords.of(database, settings, now, lifetime_for(settings))
    budgets = LockoutBudgets(database, settings, now)
    sign_in = SignIn(records, directories, budgets, pace or ResponseDelay())
    return Services(settings, database, sealer, directories, records, sign_in, now)


def lifetime_for(settings: Settings) -> Lifetime:
    """How long sessions last, in all and unused."""
    return Lifetime(
        timedelta(hours=settings.session_hours), timedelta(minutes=settings.session_idle_minutes)
    )


def setup_services(app: Flask, collaborators: Services) -> None:
    """Make the collaborators reachable through `current_services()`."""
    app.extensions["kerauno"] = collaborators


def current_services() -> Services:
    """The collaborators of the app that serves this request."""
    return cast("Services", current_app.extensions["kerauno"])
