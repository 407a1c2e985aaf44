"""Write one department's action: department, ring group, number, members and journal, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from dirclient.model import Guid
from kerauno import departments, runs
from syncsvc.actions import DepartmentAction
from syncsvc.people_sql import Target


def write_department(s: Session, target: Target, action: DepartmentAction) -> None:
    """Write one action, all or none by the caller's savepoint.

    Raises RecordError when the department is gone or its number was taken meanwhile.
    """
    if action.record is None:
        _import(s, target, action)
    else:
        _update(s, target, action)


def note_department_failure(
    s: Session, target: Target, action: DepartmentAction, reason: str
) -> None:
    """Journal that this department was not changed, and why."""
    kind = "import" if action.record is None else "update"
    department_id = action.record.id if action.record else None
    journal_department(
        s, target.run_id, kind, action.guid, department_id, action.name, reason=reason
    )


def journal_department(
    s: Session,
    run_id: int,
    kind: str,
    guid: str,
    department_id: int | None,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """One line of the journal about a department."""
    entry = {
        "action": kind,
        "subject": "department",
        "guid": str(guid),
        "subject_id": department_id,
        "name": name,
        "before": before,
        "after": after,
        "error": reason,
    }
    runs.journal(s, run_id, [entry])


def _import(s: Session, target: Target, action: DepartmentAction) -> None:
    members = sorted({*action.add, *_new_users(target, action.add_people)})
    source = departments.Source(
        target.directory_id, str(action.guid), action.dn, action.name, action.kind
    )
    made = departments.import_(s, source, action.number, members, target.now)
    after = {
        "name": made.name,
        "dn": action.dn,
        "kind": action.kind,
        "number": action.number,
        "members": members,
    }
    journal_department(s, target.run_id, "import", action.guid, made.id, made.name, after=after)


def _update(s: Session, target: Target, action: DepartmentAction) -> None:
    record = action.record
    assert record is not None
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if (record.name, record.dn) != (action.name, action.dn):
        departments.rename(s, record.id, action.name, action.dn)
        before |= {"name": record.name, "dn": record.dn}
        after |= {"name": action.name, "dn": action.dn}
    else:
        departments.get(s, record.id)
    before["removed"], after["added"] = sorted(action.remove), sorted(action.add)
    departments.drop_members(s, record.id, before["removed"])
    departments.add_members(s, record.id, after["added"])
    journal_department(
        s, target.run_id, "update", action.guid, record.id, action.name, before, after
    )


def _new_users(target: Target, people: Iterable[Guid]) -> Iterable[int]:
    """Those of these people who did become users."""
    return (target.user_ids[guid] for guid in people if guid in target.user_ids)
