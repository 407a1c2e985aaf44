"""The audit: what happened, when, by whom, to whom; filtered, paged, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from authsvc.console.pagination import Page, pack, unpack
from authsvc.web.csv_cells import csv_line
from kerauno.tables.core import Audit, User

PAGE = 50
_EXPORT_BATCH = 1000
EXPORT_COLUMNS = (
    "at", "event", "outcome", "actor", "user", "guid", "address", "code", "detail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One event. `user` is the username of whom it happened to, where they still exist."""

    id: int
    at: datetime
    event: str
    outcome: str
    actor: str
    user_id: int | None
    user: str
    guid: str | None
    address: str
    code: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; empty fields ask for all. `since` and `until` are whole UTC days."""

    event: str = ""
    outcome: str = ""
    text: str = ""
    code: str = ""
    since: str = ""
    until: str = ""
    user_id: int | None = None
    guid: str = ""

    @property
    def narrowed(self) -> bool:
        """Return whether anything is filtered at all."""
        return self != Filter()


def day(text: str) -> datetime | None:
    """The beginning of a day written as 2026-11-23 (UTC); None for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def tidy_code(text: str) -> str:
    """A code as it is stored; small letters, blanks and a missing dash are understood."""
    plain = "".join(char for char in text.upper() if char.isalnum())[:12]
    return f"{plain[:4]}-{plain[4:]}" if len(plain) > 4 else plain


def _select(filter_: Filter) -> Select[Audit, str | None]:
    query = select(Audit, User.username).outerjoin(User, User.id == Audit.user_id)
    if filter_.event:
        query = query.where(Audit.event == filter_.event)
    if filter_.outcome:
        query = query.where(Audit.outcome == filter_.outcome)
    if filter_.code:
        query = query.where(Audit.code == tidy_code(filter_.code))
    if filter_.user_id is not None and filter_.guid:
        query = query.where(or_(Audit.user_id == filter_.user_id, Audit.guid == filter_.guid))
    elif filter_.user_id is not None:
        query = query.where(Audit.user_id == filter_.user_id)
    elif filter_.guid:
        query = query.where(Audit.guid == filter_.guid)
    since, until = day(filter_.since), day(filter_.until)
    if since is not None:
        query = query.where(Audit.at >= since)
    if until is not None:
        query = query.where(Audit.at < until + timedelta(days=1))
    if filter_.text:
        text = filter_.text.strip()
        query = query.where(
            or_(
                Audit.actor.icontains(text, autoescape=True),
                User.username_key.contains(text.casefold(), autoescape=True),
                User.email_key.contains(text.casefold(), autoescape=True),
                Audit.address.startswith(text, autoescape=True),
                Audit.code == tidy_code(text),
            )
        )
    return query


def _row(event: Audit, username: str | None) -> AuditRow:
    return AuditRow(
        id=event.id,
        at=event.at,
        event=event.event,
        outcome=event.outcome,
        actor=event.actor,
        user_id=event.user_id,
        user=username or "",
        guid=event.guid,
        address=event.address,
        code=event.code,
        detail=event.detail,
    )


def page(s: Session, filter_: Filter, *, cursor: str = "", size: int = PAGE) -> Page[AuditRow]:
    """Newest first."""
    query = _select(filter_)
    where = unpack(cursor, (int,))
    if where is not None:
        query = query.where(Audit.id < where[0])
    matches = s.execute(query.order_by(Audit.id.desc()).limit(size + 1)).all()
    rows = tuple(_row(event, username) for event, username in matches[:size])
    return Page(rows, after=pack([rows[-1].id]) if len(matches) > size else "")


def kinds(s: Session) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The events and the outcomes that there are, for the filters."""
    events = s.scalars(select(Audit.event).distinct().order_by(Audit.event)).all()
    outcomes = s.scalars(select(Audit.outcome).distinct().order_by(Audit.outcome)).all()
    return tuple(filter(None, events)), tuple(filter(None, outcomes))


def by_code(s: Session, code: str) -> AuditRow | None:
    """The newest event with the short code that a person read out, or None."""
    tidy = tidy_code(code)
    rows = page(s, Filter(code=tidy), size=1).rows if tidy else ()
    return rows[0] if rows else None


def export(s: Session, filter_: Filter) -> Iterator[str]:
    """CSV in pieces, oldest last; a cell a spreadsheet would run is led by an apostrophe."""
    yield "\ufeff" + csv_line(EXPORT_COLUMNS)
    cursor: str = ""
    while True:
        page_of_rows = page(s, filter_, cursor=cursor, size=_EXPORT_BATCH)
        s.expunge_all()
        for row in page_of_rows.rows:
            yield csv_line(
                (
                    row.at.isoformat(),
                    row.event,
                    row.outcome,
                    row.actor,
                    row.user,
                    row.guid or "",
                    row.address,
                    row.code,
                    json.dumps(row.detail, ensure_ascii=False, sort_keys=True),
                )
            )
        if not page_of_rows.after:
            return
        cursor = page_of_rows.after
