"""The moment it is. Everything else takes it as an argument, so that tests turn the clock."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)
