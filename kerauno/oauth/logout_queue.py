"""The queue of apps still to be told that someone is signed out, shared by all processes.

A worker claims what is due by moving it ahead in time: if the worker dies, it comes due again by
itself. Nothing is lost by a restart, and two workers seldom tell the same app the same thing
(which the specification allows: a logout token may arrive twice).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.tables.oauth import Client, LogoutDelivery

CLAIM_SECONDS = 30
GIVE_UP_AFTER = timedelta(hours=24)
_FIRST_PAUSE = 1.0  # seconds; doubles with each try
_LONGEST_PAUSE = 600.0
_FARTHEST = timedelta(seconds=2 * _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One app to be told: where, about whom, and how often it was tried before."""

    id: int
    client_id: str
    client_name: str
    uri: str
    user_id: int | None
    subject: str
    sid: str | None
    queued_at: datetime
    attempts: int


def waiting(h: PreparedConnection, now: datetime) -> bool:
    """Return whether anything is due; a cheap look without the write lock."""
    return h.one(_DUE, now=now, farthest=now + _FARTHEST) is not None


def claim(s: Session, now: datetime, limit: int = 32) -> list[Delivery]:
    """Take up to `limit` deliveries that are due, for CLAIM_SECONDS, one for each app first."""
    rows = s.execute(
        select(LogoutDelivery, Client.name, Client.backchannel_logout_uri)
        .join(Client, Client.id == LogoutDelivery.client_id)
        .where(_is_due(now, now + _FARTHEST))
        .order_by(LogoutDelivery.attempts, LogoutDelivery.due_at, LogoutDelivery.id)
        .limit(limit)
        .with_for_update(of=LogoutDelivery, skip_locked=True)
    ).all()
    claimed = []
    for row, name, uri in rows:
        row.due_at = now + timedelta(seconds=CLAIM_SECONDS)
        claimed.append(
            Delivery(
                row.id,
                row.client_id,
                name,
                uri,
                row.user_id,
                row.subject,
                row.sid,
                row.queued_at,
                row.attempts,
            )
        )
    s.flush()
    return claimed


def delivered(s: Session, ids: Collection[int]) -> None:
    """The apps answered: nothing is left to tell them."""
    s.execute(delete(LogoutDelivery).where(LogoutDelivery.id.in_(ids)))


def failed(s: Session, delivery: Delivery, error: str, now: datetime) -> datetime | None:
    """The app did not answer well. Return when it is tried again, or None when that was the last.

    Pauses double from one second to ten minutes; after a day the app is given up.
    """
    if now - delivery.queued_at >= GIVE_UP_AFTER:
        delivered(s, [delivery.id])
        return None
    pause = min(_FIRST_PAUSE * 2**delivery.attempts, _LONGEST_PAUSE)
    again = now + timedelta(seconds=pause)
    s.execute(
        update(LogoutDelivery)
        .where(LogoutDelivery.id == delivery.id)
        .values(attempts=delivery.attempts + 1, due_at=again, error=error[:500])
    )
    return again


def pending(s: Session) -> int:
    """How many apps still wait to be told; for the console and the metrics."""
    return s.scalar(select(func.count()).select_from(LogoutDelivery)) or 0


def _is_due(now: Any, farthest: Any) -> ColumnElement[bool]:
    """Due, or put off for longer than ever happens: the clock was set back since."""
    return or_(LogoutDelivery.due_at <= now, LogoutDelivery.due_at > farthest)


_DUE = Statement(
    select(LogoutDelivery.id).where(_is_due(bindparam("now"), bindparam("farthest"))).limit(1)
)
