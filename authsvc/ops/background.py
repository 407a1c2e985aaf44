"""Small work that a worker does beside its requests, each task in a thread of its own.

Every worker of every host runs every task: a task must not mind another doing the same.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from flask import Flask

from authsvc.services import Services
from kerauno import audit
from kerauno.base.config import Settings
from kerauno.database.database_clock import DatabaseClock
from kerauno.database.engine import Database
from kerauno.signin import attempt_ceilings, sessions, throttle, throttle_list

_log = structlog.get_logger(__name__)
_HOUR = 3600.0
_MINUTE = 60.0
_SESSIONS = 5.0
_CLOCK = 15.0
_SERVICE_ACCOUNT = 5.0
_OWED = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """`work` is called soon after the start and then every `seconds`, give or take a fifth.

    It stops for nothing it raises.
    """

    name: str
    seconds: float
    work: Callable[[], object]
    first: float = 5.0
    """Seconds until the first round, at the most; a service that is often restarted comes to it."""


class Background:
    """The tasks of one app. `start` once in each worker, after the fork."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._stop = threading.Event()

    def add(self, task: Task) -> None:
        """Have this done from `start` on."""
        self.tasks.append(task)

    def start(self) -> None:
        """Begin. The threads are daemons: they hold up no shutdown."""
        for task in self.tasks:
            threading.Thread(target=self._run, args=(task,), name=task.name, daemon=True).start()

    def stop(self) -> None:
        """Begin no further round."""
        self._stop.set()

    def _run(self, task: Task) -> None:
        last_error = ""
        pause = min(task.seconds, task.first)
        while not self._stop.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
            pause = task.seconds
            try:
                task.work()
                last_error = ""
            except Exception as error:
                if (
                    str(error) != last_error
                ):  # twice a second while the database is away helps nobody
                    _log.warning("background task failed", task=task.name, error=str(error))
                last_error = str(error)


def setup_background(app: Flask, collaborators: Services) -> Background:
    """The app's background, with the hourly sweep in it."""
    background = Background()
    app.extensions["kerauno.background"] = background
    background.add(Task("sweep", _HOUR, lambda: sweep(collaborators)))
    background.add(Task("ceilings", _MINUTE, lambda: attempt_ceilings.keep(collaborators.database)))
    background.add(
        Task(
            "sessions",
            _SESSIONS,
            lambda: sessions.keep_newest(collaborators.database, collaborators.now()),
        )
    )
    background.add(
        Task(
            "service-account",
            _SERVICE_ACCOUNT,
            lambda: collaborators.directories.try_again(collaborators.now()),
        )
    )
    background.add(Task("unsettled", _OWED, collaborators.records.unsettled.write, first=_OWED))
    if isinstance(collaborators.now, DatabaseClock):
        background.add(Task("clock", _CLOCK, collaborators.now.measure, first=0.0))
    return background


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows were forgotten."""

    sessions: int
    attempts: int
    audit: int


def sweep(collaborators: Services) -> Swept:
    """`sweep_database` for an app's collaborators."""
    return sweep_database(collaborators.database, collaborators.settings, collaborators.now())


def sweep_database(database: Database, settings: Settings, now: datetime) -> Swept:
    """Forget ended sessions, counts past any window, and audit events older than is wished."""
    with database.write() as s:
        throttle_list.prune(s, now)
        return Swept(
            sessions=sessions.prune(s, now),
            attempts=throttle.prune(s, now),
            audit=audit.prune(s, now - timedelta(days=settings.audit_days)),
        )
