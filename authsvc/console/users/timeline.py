"""One person's story: what AD said when, what the sync did with it, sign-ins and refusals."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from authsvc.console.audit import queries as audit
from authsvc.console.pagination import Page, pack, unpack
from authsvc.console.runs.queries import FieldChange, field_changes
from kerauno.tables.base import LARGEST_ID
from kerauno.tables.core import Link, Run, RunChange, SeenPerson, User

PAGE = 50


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a timeline: a user, a recognized person, or (linked) both."""

    user_id: int | None
    guid: str | None
    name: str
    login: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: an event of the audit, or a change by a run."""

    at: datetime
    audit: audit.AuditRow | None = None
    run_id: int | None = None
    action: str = ""
    trigger: str = ""
    fields: tuple[FieldChange, ...] = ()
    error: str = ""


def of_user(s: Session, user_id: int) -> Subject | None:
    """The subject for a user."""
    user = s.get(User, user_id)
    if user is None:
        return None
    guid = s.scalar(select(Link.guid).where(Link.user_id == user_id))
    return Subject(user.id, guid, f"{user.first_name} {user.last_name}".strip(), user.email)


def of_person(s: Session, guid: str) -> Subject | None:
    """The subject for a person in AD, linked or not, still recognized or not."""
    user_id = s.scalar(select(Link.user_id).where(Link.guid == guid))
    if user_id is not None:
        return of_user(s, user_id)
    person = s.scalar(select(SeenPerson).where(SeenPerson.guid == guid))
    if person is not None:
        name = person.display_name or f"{person.first_name or ''} {person.last_name or ''}".strip()
        return Subject(None, guid, name, person.login or "")
    change = s.scalar(select(RunChange).where(RunChange.guid == guid).order_by(RunChange.id.desc()))
    return None if change is None else Subject(None, guid, change.name, "")


def moments(s: Session, subject: Subject, *, text: str = "", cursor: str = "") -> Page[Moment]:
    """Newest first, from both sources merged; `text` keeps what mentions it."""
    where = unpack(cursor, (int, int))
    audit_below, change_below = where if where is not None else (None, None)
    both = heapq.merge(
        _audited(s, subject, audit_below),
        _changed(s, subject, change_below),
        key=lambda pair: pair[0].at,
        reverse=True,
    )
    words = text.strip().casefold()
    kept = ((m, key) for m, key in both if not words or words in _searchable(m))
    entries = list(islice(kept, PAGE + 1))
    if len(entries) <= PAGE:
        return Page(tuple(moment for moment, _ in entries))
    last_audit, last_change = audit_below, change_below
    for _, (source, row_id) in entries[:PAGE]:
        if source == "audit":
            last_audit = row_id
        else:
            last_change = row_id
    after = pack(
        [
            int(last_audit) if isinstance(last_audit, int) else LARGEST_ID,
            int(last_change) if isinstance(last_change, int) else LARGEST_ID,
        ]
    )
    return Page(tuple(moment for moment, _ in entries[:PAGE]), after=after)


Keyed = tuple[Moment, tuple[str, int]]


def _audited(s: Session, subject: Subject, below: object) -> Iterator[Keyed]:
    filter_ = audit.Filter(user_id=subject.user_id, guid=subject.guid or "")
    cursor = pack([below]) if isinstance(below, int) else ""
    while True:
        page_of_rows = audit.page(s, filter_, cursor=cursor, size=PAGE + 1)
        for row in page_of_rows.rows:
            yield Moment(row.at, audit=row), ("audit", row.id)
        if not page_of_rows.after:
            return
        cursor = page_of_rows.after


def _changed(s: Session, subject: Subject, below: object) -> Iterator[Keyed]:
    whose: list[ColumnElement[bool]] = []
    if subject.guid:
        whose.append(RunChange.guid == subject.guid)
    if subject.user_id is not None:
        whose.append((RunChange.subject == "user") & (RunChange.subject_id == subject.user_id))
    while True:
        query = select(RunChange, Run).join(Run, Run.id == RunChange.run_id).where(or_(*whose))
        if isinstance(below, int):
            query = query.where(RunChange.id < below)
        rows = s.execute(query.order_by(RunChange.id.desc()).limit(PAGE + 1)).all()
        for change, run in rows:
            yield (
                Moment(
                    at=run.finished or run.started,
                    run_id=run.id,
                    action=change.action,
                    trigger=run.trigger,
                    fields=field_changes(change.before, change.after),
                    error=change.error,
                ),
                ("change", change.id),
            )
        if len(rows) <= PAGE:
            return
        below = rows[-1][0].id


def _searchable(moment: Moment) -> str:
    parts: list[str] = [moment.action, moment.trigger, moment.error]
    for field in moment.fields:
        parts += [field.field, field.before, field.after]
    if moment.audit is not None:
        row = moment.audit
        parts += [row.event, row.outcome, row.actor, row.address, row.code, str(dict(row.detail))]
    return " ".join(parts).casefold()
