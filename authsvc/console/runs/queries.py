"""Runs: history, one run's changes before and after, what waits held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authsvc.console import labels
from authsvc.console.pagination import Page, pack, unpack
from authsvc.i18n.translate import gettext
from kerauno.tables.core import Run, RunChange

PAGE = 50
CHANGES_PAGE = 100
FINISHED = frozenset(
    {"applied", "unchanged", "held", "failed", "discarded", "expired", "undone", "planned"}
)
COUNTED = ("created", "linked", "updated", "deactivated", "reactivated", "conflicts")
_INNER = frozenset(
    {"mark", "username_key", "email_key", "principal_key", "account_key", "members_digest"}
)
"""Journalled so that an undo can restore them; nobody wants to read them."""

_UNDOABLE = frozenset({"applied"})


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the history shows it."""

    id: int
    trigger: str
    kind: str
    status: str
    started: datetime
    finished: datetime | None
    seconds: float
    delay_seconds: float | None
    people: int
    counts: Mapping[str, int]
    departments_imported: int
    departments_updated: int
    complete: bool
    ldap_operations: int
    error: str
    requested_by: str
    phase: str
    done: int
    total: int
    expires_at: datetime | None
    undo_of: int | None

    @property
    def running(self) -> bool:
        """Return whether it is still going on."""
        return self.status == "running"

    @property
    def waits(self) -> bool:
        """Return whether its plan waits for an administrator."""
        return self.status in ("held", "planned")

    @property
    def undoable(self) -> bool:
        """Return whether an administrator may undo it: it changed records and was not undone
        yet."""
        return self.status in _UNDOABLE and self.kind != "undo"

    @property
    def percent(self) -> int | None:
        """How far it has come; None while nobody knows how much there is."""
        return min(100, self.done * 100 // self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one record, before and after."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One user or department that a run changed, or could not change (`error`)."""

    id: int
    action: str
    subject: str
    subject_id: int | None
    guid: str | None
    name: str
    fields: tuple[FieldChange, ...]
    error: str


def row_of(run: Run) -> RunRow:
    """A run for the page. Counts that a run did not write are zero."""
    departments = run.counts.get("departments")
    if not isinstance(departments, dict):
        departments = {}
    return RunRow(
        id=run.id,
        trigger=run.trigger,
        kind=run.kind,
        status=run.status,
        started=run.started,
        finished=run.finished,
        seconds=run.seconds,
        delay_seconds=run.delay_seconds,
        people=run.people,
        counts={name: int(run.counts.get(name) or 0) for name in COUNTED},
        departments_imported=int(departments.get("imported") or 0),
        departments_updated=int(departments.get("updated") or 0),
        complete=run.complete,
        ldap_operations=run.ldap_operations,
        error=run.error,
        requested_by=run.requested_by,
        phase=run.phase,
        done=run.done,
        total=run.total,
        expires_at=run.expires_at,
        undo_of=run.undo_of,
    )


def history(
    s: Session, *, status: str = "", trigger: str = "", changed_only: bool = False, cursor: str = ""
) -> Page[RunRow]:
    """Newest first. `changed_only` leaves out runs that found nothing to do."""
    query = select(Run)
    if status:
        query = query.where(Run.status == status)
    if trigger:
        query = query.where(Run.trigger == trigger)
    if changed_only:
        query = query.where(Run.status != "unchanged")
    where = unpack(cursor, (int,))
    if where is not None:
        query = query.where(Run.id < where[0])
    runs = s.scalars(query.order_by(Run.id.desc()).limit(PAGE + 1)).all()
    rows = tuple(row_of(run) for run in runs[:PAGE])
    return Page(rows, after=pack([rows[-1].id]) if len(runs) > PAGE else "")


def one(s: Session, run_id: int) -> RunRow | None:
    """One run, or None."""
    run = s.get(Run, run_id)
    return None if run is None else row_of(run)


def changes(s: Session, run_id: int, *, cursor: str = "") -> Page[ChangeRow]:
    """Return what the run changed, in the order it did it, with the total number."""
    query = select(RunChange).where(RunChange.run_id == run_id)
    where = unpack(cursor, (int,))
    if where is not None:
        query = query.where(RunChange.id > where[0])
    changes = s.scalars(query.order_by(RunChange.id).limit(CHANGES_PAGE + 1)).all()
    rows = tuple(_change(change) for change in changes[:CHANGES_PAGE])
    total = s.scalar(select(func.count()).where(RunChange.run_id == run_id))
    more = len(changes) > CHANGES_PAGE
    return Page(rows, after=pack([rows[-1].id]) if more else "", total=total)


def _change(change: RunChange) -> ChangeRow:
    return ChangeRow(
        id=change.id,
        action=change.action,
        subject=change.subject,
        subject_id=change.subject_id,
        guid=change.guid,
        name=change.name,
        fields=field_changes(change.before, change.after),
        error=change.error,
    )


def field_changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[FieldChange, ...]:
    """The fields that differ, in words; of a record made or removed every field it has."""
    before, after = before or {}, after or {}
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        FieldChange(
            labels.label(labels.FIELDS, name), spoken(before.get(name)), spoken(after.get(name))
        )
        for name in names
        if name not in _INNER and before.get(name) != after.get(name)
    )


def spoken(value: object) -> str:
    """A journalled value for people: yes and no, lists with commas, an en dash for nothing."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(spoken(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{labels.label(labels.FIELDS, name)} {spoken(item)}" for name, item in value.items()
        )
    return str(value)


def held(s: Session) -> tuple[RunRow, ...]:
    """Every run that waits for an administrator, newest first."""
    query = select(Run).where(Run.status == "held").order_by(Run.id.desc())
    return tuple(row_of(run) for run in s.scalars(query))
