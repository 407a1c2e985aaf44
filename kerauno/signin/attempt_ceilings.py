"""The most that attempts to sign in may leave in the database, whoever makes them.

Each address has its budget (`kerauno.signin.throttle`); a flood from very many has this ceiling,
which a task of every minute keeps. The oldest rows go. What counts for a person stays: nobody gets
more guesses at a password because others make the tables full.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from kerauno.database.engine import Database
from kerauno.tables.core import Attempt, Audit, Throttle

COUNTS = 200_000
"""Names and addresses that are counted or kept waiting; a person's own counts besides."""

EVENTS = 500_000
"""Events that name nobody whom we know; of these, attempts to sign in go."""

_NO_SYNC = {"synchronize_session": False}
_PERSONS = ("guid:", "user:", "device:")


def keep(database: Database, *, counts: int = COUNTS, events: int = EVENTS) -> int:
    """Remove the oldest rows above the ceilings; return how many.

    Looks without holding up whoever writes.
    """
    names_nobody, attempt = Audit.user_id.is_(None), Audit.event == "sign-in"
    ceilings = (
        (Attempt.counted_from, counts, _of_no_person(Attempt.key), true()),
        (Throttle.noted_at, counts, _of_no_person(Throttle.key), true()),
        (Audit.at, events, names_nobody, attempt),
    )
    with database.read() as s:
        doomed = [
            delete(when.class_).where(when <= last, counted, removable)
            for when, most, counted, removable in ceilings
            if (last := _last_above(s, when, most, counted)) is not None
        ]
    if not doomed:
        return 0
    with database.write() as s:
        gone = [s.execute(statement, execution_options=_NO_SYNC) for statement in doomed]
        return sum(max(0, getattr(result, "rowcount", 0)) for result in gone)


def _last_above(
    s: Session, when: InstrumentedAttribute[datetime], most: int, counted: ColumnElement[bool]
) -> datetime | None:
    """Return the newest moment of what is above the ceiling; None where nothing is."""
    return s.scalar(select(when).where(counted).order_by(when.desc()).offset(most).limit(1))


def _of_no_person(key: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return not_(or_(*(func.substr(key, 1, len(word)) == word for word in _PERSONS)))
