"""The AD Departments tab: what there is, import and unimport by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import DirectoryDepartment, Guid, Snapshot
from dirclient.wire import dn_syntax
from kerauno.accounts import departments, dial_plan, links
from kerauno.base.errors import InvalidValue, NotFound, NumberTaken
from kerauno.sync import runs
from kerauno.tables.core import Department, SeenDepartment, User
from provisioning.plan import Mode, Rules, make_plan
from provisioning.plan_departments import Import
from provisioning.records import DepartmentRecord, Records, load
from syncsvc.applying.apply import apply_at_once
from syncsvc.applying.departments_sql import journal_department
from syncsvc.applying.people_sql import Target
from syncsvc.runs.engine import Engine, Planned, Report, RunOptions
from syncsvc.runs.run_context import Running
from syncsvc.runs.run_summary import counts_of, no_counts


def listing(engine: Engine) -> list[dict[str, Any]]:
    """Every directory department as it is now, in the shape of `department list --json`."""
    planned = engine.preview(engine.configured().mode)
    records, snapshot = planned.records, planned.snapshot.whole()
    conflicts: dict[str, list[dict[str, Any]]] = {}
    for conflict in planned.plan.department_conflicts:
        conflicts.setdefault(conflict.guid, []).append(conflict.as_json())
    rows = []
    for guid, seen in snapshot.departments.items():
        row = _row(guid, seen, len(seen.members), records)
        rows.append({**row, "gone": False, "conflicts": conflicts.get(guid, [])})
    for identity, record in records.departments.items():
        if identity not in snapshot.departments:
            gone = identity not in snapshot.hidden and identity not in snapshot.unlisted
            rows.append({**_row(identity, record, 0, records), "gone": gone, "conflicts": []})
    return sorted(rows, key=lambda row: (str(row["name"]).casefold(), row["guid"]))


def _row(
    guid: str, shown: DirectoryDepartment | DepartmentRecord, members: int, records: Records
) -> dict[str, Any]:
    record = records.departments.get(guid)
    ringing = [records.users[id] for id in record.members] if record is not None else []
    return {
        "guid": str(guid),
        "dn": shown.dn,
        "name": shown.name,
        "kind": str(shown.kind),
        "members": members,
        "state": "available" if record is None else "imported",
        "number": None if record is None else record.number,
        "ring_group_members": sorted(user.username for user in ringing if user.active),
    }


def import_department(engine: Engine, ask: RunOptions, which: str, number: str) -> Report:
    """Import one directory department, by its DN or identity, with a ring group number.

    Its members who are recognized but not yet users become users when free of conflicts. All of
    it is one transaction: when the number is taken, or anything else is wrong, nothing changes
    and the run's document says `failed` with the reason.
    """
    configured = engine.configured()
    with (
        engine.leasing(configured, ask.wait) as lease,
        engine.failing(engine.start(lease, configured, "import", ask), configured) as (
            running,
            outcome,
        ),
    ):
        snapshot = engine.snapshot(configured, running.report)
        with engine.db.read() as s:
            records = load(s, configured.id)
        engine.follow_people(configured, snapshot, records, running.fence)
        snapshot = snapshot.whole()
        seen = find(snapshot, which)
        _refuse_number_of_gone(snapshot, records, number.strip())
        number = _checked_number(engine, number)
        if seen.guid in records.departments:
            raise InvalidValue(
                f"{seen.name} is imported already.",
                field="department",
                remedy="Unimport it first to give it another number.",
            )
        rules = Rules(
            Mode.IMPORT,
            engine.now(),
            role_groups=configured.role_groups,
            imports=Import(seen.guid, number),
        )
        plan = make_plan(snapshot, records, rules)
        planned = Planned(configured, snapshot, records, plan, rules)
        engine.check_settings(configured)
        outcome.update(_import(engine, running, planned))
    return outcome


def _import(engine: Engine, running: Running, planned: Planned) -> Report:
    configured, snapshot = planned.configured, planned.snapshot
    now = engine.now()
    until = now + timedelta(days=configured.reserve_days)
    target = Target(configured.id, running.id, now, until)
    with engine.db.write() as s:
        running.fence(s)
        applied = apply_at_once(s, planned.plan, target)
    engine.update_mirror(running, planned, target, applied)
    with engine.db.write() as s:
        return running.finish(
            s,
            "applied",
            complete=True,
            people=len(snapshot.people),
            counts=counts_of(planned.plan, applied),
            ldap_operations=snapshot.operations,
            phase="",
        )


def _refuse_number_of_gone(snapshot: Snapshot, records: Records, number: str) -> None:
    """Raise InvalidValue where a department has the number that AD no longer has."""
    known = snapshot.departments.keys() | snapshot.hidden | snapshot.unlisted.keys()
    for guid, record in records.departments.items():
        if record.number == number and guid not in known:
            raise InvalidValue(
                f"{number} is used by ring group {record.name}, whose group is gone from AD.",
                field="number",
                remedy=f"Unimport that one first: syncsvc department unimport {guid}",
            )


def _checked_number(engine: Engine, number: str) -> str:
    """The number, if it may be given. Raises InvalidValue, NumberTaken saying by whom."""
    number = number.strip()
    if not (number.isascii() and number.isdigit() and 2 <= len(number) <= 10):
        raise InvalidValue(
            f"“{number[:40]}” is not a ring group number.",
            field="number",
            remedy="Use 2 to 10 digits.",
        )
    with engine.db.read() as s:
        holder = dial_plan.holder(s, number)
        if holder is not None and not dial_plan.is_free(s, number, engine.now()):
            raise NumberTaken(number, holder.words, field="number")
    return number


def unimport_department(engine: Engine, ask: RunOptions, which: str) -> Report:
    """Remove department and ring group, free the number, de-sync those whom it alone brought in.

    Needs no directory: what is removed is Kerauno's.
    """
    configured = engine.configured()
    with (
        engine.leasing(configured, ask.wait) as lease,
        engine.failing(engine.start(lease, configured, "unimport", ask), configured) as (
            running,
            outcome,
        ),
        engine.db.write() as s,
    ):
        running.fence(s)
        department = _imported(s, configured.id, which)
        before: dict[str, Any] = {
            "name": department.name,
            "dn": department.dn,
            "kind": department.kind,
        }
        guid, by = department.guid or "", ask.by or ask.trigger
        removed = departments.unimport(s, department.id, by=by, now=engine.now())
        before |= {"number": removed.number or "", "members": list(removed.user_ids)}
        journal_department(
            s, running.id, "unimport", guid, removed.department_id, removed.name, before=before
        )
        for user_id in removed.only_here:
            _desync(s, running, user_id, by)
        counts = no_counts() | {
            "updated": len(removed.only_here),
            "departments": {"imported": 0, "updated": 1},
        }
        outcome.update(running.finish(s, "applied", counts=counts, phase=""))
    return outcome


def _desync(s: Session, running: Running, user_id: int, by: str) -> None:
    link = links.unlink(s, user_id, by=by, now=running.now(), hold=False)
    user = s.get(User, user_id)
    assert user is not None
    values = ("guid", "dn", "principal_key", "account_key", "scope", "origin")
    before: Mapping[str, Any] = {"link": {name: getattr(link, name) for name in values}}
    entry: Mapping[str, Any] = {
        "action": "desync",
        "subject": "user",
        "guid": link.guid,
        "subject_id": user_id,
        "name": user.username,
        "before": before,
        "after": {"link": None},
    }
    runs.journal(s, running.id, [entry])


def find(snapshot: Snapshot, which: str) -> DirectoryDepartment:
    """The directory department with this identity or DN. Raises NotFound."""
    departments = snapshot.departments
    by_guid = departments.get(Guid(_identity(which)))
    if by_guid is not None:
        return by_guid
    key = _dn_key(which)
    for department in departments.values():
        if _dn_key(department.dn) == key:
            return department
    raise NotFound(f"There is no directory department {which} below the Department Search DN.")


def _imported(s: Session, directory_id: int, which: str) -> Department:
    """The imported department with this identity or DN.

    Raises NotFound, and InvalidValue where several have the DN: one was deleted and made again.
    """
    ours = Department.directory_id == directory_id
    imported = s.scalars(select(Department).where(ours).order_by(Department.id)).all()
    guid, key = _identity(which), _dn_key(which)
    matching = [row for row in imported if row.guid == guid]
    matching = matching or [row for row in imported if _dn_key(row.dn) == key]
    if not matching:
        raise NotFound(f"{which} is not an imported department.")
    if len(matching) > 1:
        seen = SeenDepartment.directory_id == directory_id
        living = set(s.scalars(select(SeenDepartment.guid).where(seen)))
        choice = (
            f"{row.guid} ({departments.number_of(s, row.id)}"
            f"{'' if row.guid in living else ', gone from AD'})"
            for row in matching
        )
        raise InvalidValue(
            f"{len(matching)} imported departments have the DN {which}.",
            field="department",
            remedy=f"Give the GUID of the one that you mean: {', '.join(choice)}.",
        )
    return matching[0]


def _identity(which: str) -> str:
    """The GUID that this is, in whatever form it is written; empty where it is none."""
    try:
        return Guid.parse(which.strip())
    except ValueError:
        return ""


def _dn_key(text: str) -> str:
    """For comparing; what is no DN equals only itself."""
    try:
        return dn_syntax.key(text)
    except dn_syntax.InvalidDn:
        return f"\0{text}"
