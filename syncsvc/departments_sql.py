"""Write one department's action: department, ring group, number, members and journal, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from dirclient.model import Guid
from kerauno.bulk import delete_rows, insert_rows
from kerauno.tables import Department, HeldOut, Membership, Number, RingGroup, RunChange
from syncsvc.actions import DepartmentAction
from syncsvc.people_sql import Moved, Target

_MEMBER = (Membership.department_id, Membership.user_id, Membership.static)


def write_department(s: Session, target: Target, action: DepartmentAction) -> None:
    """Write one action, all or none by the caller's savepoint.

    Raises Moved when the department is no longer there, RowRefused or a DBAPIError when a
    constraint says no, such as a number that somebody took meanwhile.
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
    s.execute(
        insert(RunChange).values(
            run_id=run_id,
            action=kind,
            subject="department",
            guid=str(guid),
            subject_id=department_id,
            name=name,
            before=dict(before) if before is not None else None,
            after=dict(after) if after is not None else None,
            error=reason,
        )
    )


def _import(s: Session, target: Target, action: DepartmentAction) -> None:
    members = sorted({*action.add, *_new_users(target, action.add_people)})
    department_id = create_department(
        s,
        directory_id=target.directory_id,
        guid=action.guid,
        name=action.name,
        dn=action.dn,
        kind=action.kind,
        number=action.number,
        members=members,
        target=target,
    )
    after = {
        "name": action.name,
        "dn": action.dn,
        "kind": action.kind,
        "number": action.number,
        "members": members,
    }
    journal_department(
        s, target.run_id, "import", action.guid, department_id, action.name, None, after
    )


def create_department(
    s: Session,
    *,
    directory_id: int,
    guid: str,
    name: str,
    dn: str,
    kind: str,
    number: str,
    members: Iterable[int],
    target: Target,
) -> int:
    """Department, ring group, number and members; gives the department's id."""
    department_id: int = s.execute(
        insert(Department)
        .values(
            name=name,
            directory_id=directory_id,
            guid=str(guid),
            dn=dn,
            kind=kind,
            imported_at=target.now,
        )
        .returning(Department.id)
    ).scalar_one()
    ring_group_id: int = s.execute(
        insert(RingGroup)
        .values(department_id=department_id, name=name, strategy="ring-all")
        .returning(RingGroup.id)
    ).scalar_one()
    s.execute(
        delete(Number).where(
            Number.number == number,
            Number.user_id.is_not(None),
            Number.reserved_until <= target.now,
        )
    )
    insert_rows(s, (Number.number, Number.ring_group_id), [(number, ring_group_id)])
    insert_rows(s, _MEMBER, [(department_id, user_id, True) for user_id in members])
    s.execute(
        delete(HeldOut).where(HeldOut.directory_id == directory_id, HeldOut.guid == str(guid))
    )
    return department_id


def _update(s: Session, target: Target, action: DepartmentAction) -> None:
    record = action.record
    assert record is not None
    if s.scalar(select(Department.id).where(Department.id == record.id)) is None:
        raise Moved(f"{record.name} is no longer a department.")
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if (record.name, record.dn) != (action.name, action.dn):
        s.execute(
            update(Department)
            .where(Department.id == record.id)
            .values(name=action.name, dn=action.dn)
        )
        s.execute(
            update(RingGroup).where(RingGroup.department_id == record.id).values(name=action.name)
        )
        before |= {"name": record.name, "dn": record.dn}
        after |= {"name": action.name, "dn": action.dn}
    add, remove = sorted(action.add), sorted(action.remove)
    delete_rows(s, (Membership.department_id, Membership.user_id), [(record.id, u) for u in remove])
    insert_rows(s, _MEMBER, [(record.id, user_id, True) for user_id in add])
    before["removed"], after["added"] = remove, add
    journal_department(
        s, target.run_id, "update", action.guid, record.id, action.name, before, after
    )


def _new_users(target: Target, people: Iterable[Guid]) -> Iterable[int]:
    """Those of these people who did become users."""
    return (target.user_ids[guid] for guid in people if guid in target.user_ids)
