"""Carry out a plan: in batches, each person or department wholly or not at all.

A batch is one transaction and is first tried as a whole, which is fast. When the database refuses
anything in it, the batch is done again one unit at a time, each behind a savepoint, so that one
that fails takes nobody with it. A unit is one person, or people who swap values with each other.

Every transaction first proves that this run still holds the lease; whoever lost it writes nothing
more. A crash between two transactions leaves every record before or after its change, and the
next run, planning again, does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Guid
from kerauno.base.errors import LeaseLost, RecordError
from kerauno.database.bulk import RowRefused
from kerauno.database.driver_errors import translate
from kerauno.database.engine import Database
from provisioning.actions import ActionKind, DepartmentAction, PersonAction, Plan
from syncsvc.applying.departments_sql import (
    note_department_failure,
    write_department,
    write_imports,
)
from syncsvc.applying.people_sql import Target, note_failure, write_people

PEOPLE_PER_BATCH = 2000
DEPARTMENTS_PER_BATCH = 100

Fence = Callable[[Session], None]
"""Raises LeaseLost, inside the transaction, when another run took over."""

Step = Callable[[Session, int], None]
"""Notes in the same transaction how many actions are done."""

_REFUSED = (RecordError, RowRefused, DBAPIError)


@dataclass(slots=True)
class Applied:
    """The result of applying a plan. `failed` has the reason for each subject that was not
    changed."""

    people: dict[ActionKind, int] = field(default_factory=lambda: dict.fromkeys(ActionKind, 0))
    imported: int = 0
    changed_departments: set[int] = field(default_factory=set)
    failed: dict[Guid, str] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Return whether any record was changed."""
        return bool(sum(self.people.values()) or self.imported or self.changed_departments)

    def count(self, action: PersonAction) -> None:
        """This person's action was done."""
        self.people[action.kind] += 1
        self.changed_departments.update(action.joins, action.leaves)

    def count_department(self, action: DepartmentAction) -> None:
        """This department's action was done."""
        if action.record is None:
            self.imported += 1
        else:
            self.changed_departments.add(action.record.id)


def apply_plan(db: Database, plan: Plan, target: Target, fence: Fence, step: Step) -> Applied:
    """Apply in as many transactions as it takes. Raises LeaseLost, DatabaseUnavailable."""
    applied = Applied()
    done = 0
    for batch in batches(units(plan.actions), PEOPLE_PER_BATCH):
        done += sum(map(len, batch))
        try:
            with db.write() as s:
                fence(s)
                write_people(s, target, [action for unit in batch for action in unit])
                step(s, done)
        except _REFUSED as error:
            refusal(error)
            with db.write() as s:
                fence(s)
                failed = write_one_by_one(s, target, batch)
                step(s, done)
            applied.failed.update(failed)
        _count(applied, batch)
    for start in range(0, len(plan.departments), DEPARTMENTS_PER_BATCH):
        part = plan.departments[start : start + DEPARTMENTS_PER_BATCH]
        with db.write() as s:
            fence(s)
            _write_departments(s, target, part, applied)
            step(s, done + start + len(part))
    return applied


def apply_at_once(s: Session, plan: Plan, target: Target) -> Applied:
    """Apply in the caller's transaction: an import by hand, which is one whole.

    A person who cannot be written is left out; a department that cannot is the caller's to see.
    """
    applied = Applied()
    for batch in batches(units(plan.actions), PEOPLE_PER_BATCH):
        try:
            with s.begin_nested():
                write_people(s, target, [action for unit in batch for action in unit])
        except _REFUSED:
            applied.failed.update(write_one_by_one(s, target, batch))
        _count(applied, batch)
    for action in plan.departments:
        write_department(s, target, action)
        applied.count_department(action)
    return applied


def write_one_by_one(
    s: Session, target: Target, batch: Sequence[Sequence[PersonAction]]
) -> dict[Guid, str]:
    """Each unit behind its own savepoint; returns those that failed, with the reason,
    journalled."""
    failed: dict[Guid, str] = {}
    for unit in batch:
        try:
            with s.begin_nested():
                write_people(s, target, unit)
        except _REFUSED as error:
            reason = refusal(error)
            for action in unit:
                note_failure(s, target, action, reason)
                failed[action.guid] = reason
    return failed


def units(actions: Sequence[PersonAction]) -> list[list[PersonAction]]:
    """People who take values over from each other, however long the chain, stay together."""
    root: dict[Guid, Guid] = {}

    def find(guid: Guid) -> Guid:
        while (above := root.get(guid, guid)) != guid:
            root[guid] = root.get(above, above)
            guid = above
        return guid

    for action in actions:
        for other in action.takes_from:
            root[find(action.guid)] = find(other)
    if not root:
        return [[action] for action in actions]
    together: dict[Guid, list[PersonAction]] = {}
    for action in actions:
        together.setdefault(find(action.guid), []).append(action)
    return list(together.values())


def batches(whole: Sequence[list[PersonAction]], size: int) -> Iterator[list[list[PersonAction]]]:
    """Units in batches of about `size` people; a unit is never divided."""
    batch: list[list[PersonAction]] = []
    people = 0
    for unit in whole:
        if batch and people + len(unit) > size:
            yield batch
            batch, people = [], 0
        batch.append(unit)
        people += len(unit)
    if batch:
        yield batch


def _write_departments(
    s: Session, target: Target, part: Sequence[DepartmentAction], applied: Applied
) -> None:
    imports = [action for action in part if action.record is None]
    try:
        with s.begin_nested():
            write_imports(s, target, imports)
    except _REFUSED as error:
        refusal(error)
        imports = []
    for action in imports:
        applied.count_department(action)
    for action in part:
        if imports and action.record is None:
            continue
        try:
            with s.begin_nested():
                write_department(s, target, action)
        except _REFUSED as error:
            reason = refusal(error)
            note_department_failure(s, target, action, reason)
            applied.failed[action.guid] = reason
        else:
            applied.count_department(action)


def _count(applied: Applied, batch: Sequence[Sequence[PersonAction]]) -> None:
    for unit in batch:
        for action in unit:
            if action.guid not in applied.failed:
                applied.count(action)


def refusal(error: Exception) -> str:
    """Why the records said no, in words. Raises what is about the run, not the record."""
    if isinstance(error, LeaseLost):
        raise error
    if isinstance(error, DBAPIError) and error.orig is not None:
        unavailable = translate(error.orig)
        if unavailable is not None:
            raise unavailable from error
        return (str(error.orig).strip().splitlines() or ["refused by the database"])[0]
    return str(error)
