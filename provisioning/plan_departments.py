"""The departments' part of planning: import, rename, move, members. Pure, as all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dirclient.model.directory_objects import DirectoryDepartment, Guid, Snapshot
from kerauno.accounts.departments import clean_name
from kerauno.base.lookup_keys import lookup_key
from provisioning.actions import ActionKind, DepartmentAction, PersonAction
from provisioning.mapping_rules import Code, Conflict, storable
from provisioning.records import DepartmentRecord, Records


@dataclass(frozen=True, slots=True)
class Import:
    """A department to import by hand, and the number for its ring group."""

    guid: Guid
    number: str


@dataclass(slots=True)
class DepartmentPlan:
    """The planned changes of departments. `joins` and `leaves` travel with the people
    themselves."""

    actions: list[DepartmentAction] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    joins: dict[Guid, list[int]] = field(default_factory=dict)
    leaves: dict[Guid, list[int]] = field(default_factory=dict)
    emptied: list[str] = field(default_factory=list)


class People:
    """People who will be active users when their part of the plan is done."""

    def __init__(self, records: Records, actions: Mapping[Guid, PersonAction]) -> None:
        self.leaving = {
            a.user.id: guid
            for guid, a in actions.items()
            if a.kind is ActionKind.DEACTIVATE and a.user is not None
        }
        self.staying: dict[str, int] = {
            guid: user.id
            for guid, user in records.by_guid.items()
            if user.active and user.id not in self.leaving
        }
        arriving = (ActionKind.CREATE, ActionKind.LINK, ActionKind.REACTIVATE)
        self.arriving = {
            guid: a.user.id if a.user is not None else None
            for guid, a in actions.items()
            if a.kind in arriving
        }


def plan_department_updates(
    snapshot: Snapshot, records: Records, actions: Mapping[Guid, PersonAction]
) -> DepartmentPlan:
    """Keep the imported departments true: name, place and members follow the directory.

    Of a department that was not read or may not be seen nothing is concluded: it only loses those
    who leave Kerauno.
    """
    people = People(records, actions)
    plan = DepartmentPlan()
    hidden = frozenset(
        records.by_guid[guid].id for guid in snapshot.hidden if guid in records.by_guid
    )
    for record in sorted(records.departments.values(), key=lambda record: record.guid):
        leavers = _drop_leavers(plan, record, people)
        if snapshot.unread is None and record.guid not in snapshot.hidden:
            seen = snapshot.departments.get(Guid(record.guid))
            _update(plan, record, seen, people, leavers, hidden)
        elif leavers and leavers == record.members:
            plan.emptied.append(record.name)
    return plan


def _drop_leavers(plan: DepartmentPlan, record: DepartmentRecord, people: People) -> frozenset[int]:
    """Take those who leave Kerauno out of a department; return who they are."""
    leavers = record.members & people.leaving.keys()
    for user_id in leavers:
        plan.leaves.setdefault(people.leaving[user_id], []).append(record.id)
    return leavers


def _update(
    plan: DepartmentPlan,
    record: DepartmentRecord,
    seen: DirectoryDepartment | None,
    people: People,
    leavers: frozenset[int],
    hidden: frozenset[int],
) -> None:
    members = seen.members if seen is not None else frozenset()
    members_wanted = {people.staying[guid] for guid in members if guid in people.staying}
    present = record.members - leavers
    joining = [guid for guid in members if guid in people.arriving]
    # Who is in by hand already becomes AD's member; they need no joining.
    members_wanted.update(
        id for g in joining if (id := people.arriving[g]) in record.members and id
    )
    # Whom the service account may not see, nobody can say has left.
    static = record.static - leavers - hidden
    add = frozenset(members_wanted - static)
    remove = static - members_wanted
    for guid in joining:
        if people.arriving[guid] not in record.members:
            plan.joins.setdefault(guid, []).append(record.id)
    if record.members and not (present - remove or add or joining):
        plan.emptied.append(record.name)
    name, dn = (
        (clean_name(seen.name), storable(seen.dn)) if seen is not None else (record.name, record.dn)
    )
    if add or remove or name != record.name or dn != record.dn:
        number = record.number or ""
        plan.actions.append(
            DepartmentAction(record.guid, record, name, dn, record.kind, number, add, remove)  # type: ignore[arg-type]
        )


def plan_imports(
    plan: DepartmentPlan,
    snapshot: Snapshot,
    records: Records,
    actions: Mapping[Guid, PersonAction],
    *,
    numbers: tuple[str, str],
    claimed: Iterable[str | None],
    now: datetime,
) -> None:
    """Import every new directory department, each with the next free number of the range.

    Numbers that people claim in this run, with or without success, are left to them.
    """
    people = People(records, actions)
    free = _free_numbers(numbers, records, set(claimed), now)
    new = [
        department
        for guid, department in snapshot.departments.items()
        if guid not in records.departments and guid not in records.held_out
    ]
    for department in sorted(new, key=lambda d: (lookup_key(d.name), d.guid)):
        number = next(free, None)
        if number is None:
            plan.conflicts.append(_no_number(department, numbers))
        else:
            plan.actions.append(importing(department, number, people))


def importing(department: DirectoryDepartment, number: str, people: People) -> DepartmentAction:
    """The import of one department, with those of its members who are or become users."""
    staying = people.staying
    return DepartmentAction(
        department.guid,
        None,
        clean_name(department.name),
        storable(department.dn),
        department.kind.value,
        number,
        add=frozenset(staying[guid] for guid in department.members if guid in staying),
        add_people=frozenset(guid for guid in department.members if guid in people.arriving),
    )


def _free_numbers(
    numbers: tuple[str, str], records: Records, claimed: set[str | None], now: datetime
) -> Iterator[str]:
    first, last = numbers
    for value in range(int(first), int(last) + 1):
        number = str(value).zfill(len(first))
        if number in claimed or number in records.ring_numbers:
            continue
        user = records.by_extension.get(number)
        if user is None or (user.reserved_until is not None and user.reserved_until <= now):
            yield number


def _no_number(department: DirectoryDepartment, numbers: tuple[str, str]) -> Conflict:
    first, last = numbers
    return Conflict(
        department.guid,
        clean_name(department.name),
        Code.NUMBER_MISSING,
        "number",
        "",
        "",
        f"Every number from {first} to {last} is used: widen the range on the AD Credentials tab, "
        "or import this department with a number of its own.",
    )
