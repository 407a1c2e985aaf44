"""The collaborators of the web process, handed to the app once and reached by every view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app

from authsvc.directories import Directories
from kerauno.config import Settings
from kerauno.db import Database
from kerauno.sealed import Sealer


def utc_now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Services:
    """What views need. `now` is the clock: tests pass their own."""

    settings: Settings
    database: Database
    sealer: Sealer
    directories: Directories
    now: Callable[[], datetime] = utc_now


def setup_services(app: Flask, collaborators: Services) -> None:
    """Make the collaborators reachable through `services()`."""
    app.extensions["kerauno"] = collaborators


def services() -> Services:
    """The collaborators of the app that serves this request."""
    return cast("Services", current_app.extensions["kerauno"])
