"""People, snapshots and records made up for tests of planning, and a model of applying a plan."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dirclient.model.directory_objects import (
    AccountState,
    Cursor,
    DepartmentKind,
    DirectoryDepartment,
    Guid,
    Person,
    Snapshot,
)
from kerauno.base.lookup_keys import lookup_key
from provisioning.actions import ActionKind, PersonAction, Plan
from provisioning.plan import Mode, Rules, make_plan
from provisioning.records import DepartmentRecord, Records, UserRecord

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
STAFF = "OU=Staff,DC=goodcompany,DC=local"

BUILD = Rules(Mode.BUILD, NOW)
KEEP = Rules(Mode.KEEP, NOW)


def guid(number: int) -> Guid:
    """A fixed identity."""
    return Guid(uuid.UUID(int=number))


def person(number: int, account: str = "", **fields: Any) -> Person:
    """A complete person; `fields` replace what is made up."""
    account = account or f"first.last{number}"
    first, _, last = account.partition(".")
    made: dict[str, Any] = {
        "guid": guid(number),
        "dn": f"CN={account},{STAFF}",
        "login": f"{account}@company.com",
        "first_name": first.capitalize(),
        "last_name": last.capitalize() or "Doe",
        "extension": str(1000 + number),
        "account_name": account,
        "principal_name": f"{account}@goodcompany.local",
    }
    return Person(**(made | fields))


def department(number: int, name: str, members: Iterable[int] = (), **fields: Any) -> Any:
    """A directory department of the people with these numbers."""
    made: dict[str, Any] = {
        "guid": guid(number),
        "dn": f"CN={name},OU=Departments,DC=goodcompany,DC=local",
        "name": name,
        "kind": DepartmentKind.GROUP,
        "members": frozenset(guid(member) for member in members),
    }
    return DirectoryDepartment(**(made | fields))


def snapshot(
    people: Iterable[Person] = (), departments: Iterable[DirectoryDepartment] = ()
) -> Snapshot:
    """A complete snapshot."""
    return Snapshot(
        people={p.guid: p for p in people},
        departments={d.guid: d for d in departments},
        cursor=Cursor("here", 1),
        read_at=NOW,
        operations=1,
    )


def user(number: int, account: str = "", **fields: Any) -> UserRecord:
    """A local user; pass `guid` for a link, as `linked` does."""
    account = account or f"first.last{number}"
    first, _, last = account.partition(".")
    made: dict[str, Any] = {
        "id": number,
        "username": account,
        "email": f"{account}@company.com",
        "first_name": first.capitalize(),
        "last_name": last.capitalize() or "Doe",
        "role": "user",
        "active": True,
        "version": 1,
        "extension": str(1000 + number),
    } | fields
    made.setdefault("username_key", lookup_key(made["username"]))
    made.setdefault("email_key", lookup_key(made["email"]))
    return UserRecord(**made)


def linked(number: int, account: str = "", **fields: Any) -> UserRecord:
    """The user that `person(number, account)` has become."""
    account = account or f"first.last{number}"
    made: dict[str, Any] = {
        "guid": str(guid(number)),
        "dn": f"CN={account},{STAFF}",
        "principal_key": f"{account}@goodcompany.local",
        "account_key": account,
        "scope": "full",
        "origin": "sync",
    }
    return user(number, account, **(made | fields))


def records(*users: UserRecord, **parts: Any) -> Records:
    """Records of these users."""
    return Records(users={one.id: one for one in users}, **parts)


def codes(plan: Plan) -> dict[str, list[str]]:
    """Person → conflict codes."""
    found: dict[str, list[str]] = {}
    for conflict in plan.conflicts:
        found.setdefault(conflict.guid, []).append(conflict.code.value)
    return found


def kinds(plan: Plan) -> dict[str, str]:
    """Person → kind of action."""
    return {action.guid: action.kind.value for action in plan.actions}


def plan(
    people: Iterable[Person] = (),
    departments: Iterable[DirectoryDepartment] = (),
    known: Records | None = None,
    rules: Rules = BUILD,
) -> Plan:
    """Plan at once."""
    return make_plan(snapshot(people, departments), known or records(), rules)


def applied(plan: Plan, before: Records) -> Records:
    """The records as they are after the plan: what `syncsvc.applying.apply` does, in memory."""
    users = dict(before.users)
    ids = itertools.count(max(users, default=0) + 1)
    by_guid: dict[str, int] = {user.guid: user.id for user in users.values() if user.guid}
    wanted = {a.want.extension for a in plan.actions if a.want is not None}
    for kept in list(users.values()):
        over = kept.reserved_until is not None and kept.reserved_until <= NOW
        if over and kept.extension in wanted:
            users[kept.id] = kept._replace(extension=None, reserved_until=None)
    members = {d.guid: set(d.members) for d in before.departments.values()}
    static = {d.guid: set(d.static) for d in before.departments.values()}
    guids = {d.id: d.guid for d in before.departments.values()}
    for action in plan.actions:
        after = _after(action, next(ids) if action.user is None else action.user.id)
        users[after.id] = after
        by_guid[action.guid] = after.id
        for department_id in action.joins:
            members[guids[department_id]].add(after.id)
            static[guids[department_id]].add(after.id)
        for department_id in action.leaves:
            members[guids[department_id]].discard(after.id)
            static[guids[department_id]].discard(after.id)
    departments: dict[str, DepartmentRecord] = dict(before.departments)
    rings = dict(before.ring_numbers)
    next_id = itertools.count(max((d.id for d in departments.values()), default=0) + 1)
    for change in plan.departments:
        key = str(change.guid)
        if change.record is None:
            number = next(next_id)
            departments[key] = DepartmentRecord(
                number, key, change.name, change.dn, change.kind, number, change.number
            )
            members[key], static[key] = set(), set()
            rings[change.number] = f"ring group {change.name}"
            added = set(change.add) | {by_guid[g] for g in change.add_people}
        else:
            departments[key] = departments[key]._replace(name=change.name, dn=change.dn)
            added = set(change.add)
        members[key] = (members[key] - change.remove) | added
        static[key] = (static[key] - change.remove) | added
    return Records(
        users=users,
        departments={
            key: record._replace(members=frozenset(members[key]), static=frozenset(static[key]))
            for key, record in departments.items()
        },
        ring_numbers=rings,
        held_out=before.held_out - set(plan.holds_ended),
        proposals=dict(plan.proposals),
    )


def _after(action: PersonAction, user_id: int) -> UserRecord:
    want = action.want
    if action.kind is ActionKind.DEACTIVATE or action.gives_up:
        assert action.user is not None
        left = action.user._replace(active=False, version=2)
        if action.kind is ActionKind.DEACTIVATE:
            left = left._replace(reserved_until=LATER if left.extension else None)
        return left if want is None else left._replace(**want._asdict())
    assert want is not None
    return UserRecord(
        id=user_id,
        username=want.username,
        username_key=want.username_key,
        email=want.email,
        email_key=want.email_key,
        first_name=want.first_name,
        last_name=want.last_name,
        role=want.role,
        active=True,
        version=1,
        extension=want.extension,
        guid=str(action.guid),
        dn=want.dn,
        principal_key=want.principal_key,
        account_key=want.account_key,
        scope=want.scope,
        origin=want.origin,
    )


def disabled(who: Person) -> Person:
    """The same person with the account disabled."""
    return replace(who, state=AccountState.DISABLED)


def by_name(conflicts: Iterable[Any]) -> Mapping[str, Any]:
    """Conflicts by the person's name."""
    return {conflict.person: conflict for conflict in conflicts}
