"""The moment it is. Everything else takes it as an argument, so that tests turn the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


SET_BACK = timedelta(seconds=30)
"""A stored moment that lies so far ahead was written before the clock was set back."""


def elapsed(since: datetime, now: datetime) -> timedelta:
    """How long ago that was; longer than anything where the clock has been set back since.

    Else whatever is believed, or refused, for some seconds would be for as long as the clock was
    set back.
    """
    return timedelta.max if since - now > SET_BACK else max(now - since, timedelta(0))
