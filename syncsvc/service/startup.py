"""At its start the service waits for a database server that cannot be asked yet."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from kerauno import migrations
from kerauno.base.errors import DatabaseUnavailable, SchemaOutdated
from kerauno.database.engine import Database
from syncsvc.service import systemd

_log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries; doubled each time. systemd wants to hear of us within two minutes."""


def until_ready(db: Database, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until the database can be asked; its tables are then this version's.

    Raises SchemaOutdated, and DatabaseUnavailable where waiting is of no use: a file that cannot
    be read is the operator's to mend.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            migrations.check(db)
            break
        except SchemaOutdated:
            raise
        except DatabaseUnavailable as error:
            if db.sqlite:
                raise
            _log.error("database unavailable", error=str(error), next_try_seconds=pause)
            # Started, though not at work: systemd ends a service that is not ready in time.
            for state in ("READY=1", "WATCHDOG=1", f"STATUS=Waiting for the database: {error}"):
                systemd.notify(state)
        sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    if pause > FIRST_PAUSE:
        _log.info("database available")
        systemd.notify("STATUS=Watching")
