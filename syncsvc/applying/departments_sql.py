"""Write one department's action: department, ring group, number, members and journal, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Guid
from kerauno.accounts import departments
from kerauno.sync import runs
from provisioning.actions import DepartmentAction
from syncsvc.applying.people_sql import Target


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


def write_imports(s: Session, target: Target, actions: Sequence[DepartmentAction]) -> None:
    """Write several imports at once, all or none by the caller's savepoint. Raises RowRefused."""
    imports = [_wanted(target, action) for action in actions]
    ids = departments.import_many(s, imports, target.now)
    entries = [
        _imported(each, ids[each.source.guid], departments.clean_name(each.source.name))
        for each in imports
    ]
    runs.journal(s, target.run_id, entries)


def _import(s: Session, target: Target, action: DepartmentAction) -> None:
    each = _wanted(target, action)
    made = departments.import_(s, each.source, each.number, each.user_ids, target.now)
    runs.journal(s, target.run_id, [_imported(each, made.id, made.name)])


def _wanted(target: Target, action: DepartmentAction) -> departments.Import:
    source = departments.Source(
        target.directory_id, str(action.guid), action.dn, action.name, action.kind
    )
    members = sorted({*action.add, *_new_users(target, action.add_people)})
    return departments.Import(source, action.number, members)


def _imported(each: departments.Import, department_id: int, name: str) -> Mapping[str, Any]:
    after = {
        "name": name,
        "dn": each.source.dn,
        "kind": each.source.kind,
        "number": each.number,
        "members": list(each.user_ids),
    }
    return {
        "action": "import",
        "subject": "department",
        "guid": each.source.guid,
        "subject_id": department_id,
        "name": name,
        "after": after,
    }


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
