"""Kerauno's records as the planner sees them, loaded in a handful of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Guid, Person
from kerauno.tables.core import (
    Department,
    Link,
    LinkProposal,
    Membership,
    Number,
    RingGroup,
    SyncExclusion,
    User,
)


class UserRecord(NamedTuple):
    """A user with their number and their link to this directory, each None where there is none."""

    id: int
    username: str
    username_key: str
    email: str
    email_key: str
    first_name: str
    last_name: str
    role: str
    active: bool
    version: int
    extension: str | None = None
    reserved_until: datetime | None = None
    guid: str | None = None
    dn: str | None = None
    principal_key: str | None = None
    account_key: str | None = None
    scope: str | None = None
    origin: str | None = None
    password_set: datetime | None = None

    @property
    def words(self) -> str:
        """This user as the other party of a conflict."""
        kind = "administrator" if self.role == "admin" else "user"
        gone = "" if self.active else ", inactive"
        return f"{kind} {self.username} ({self.first_name} {self.last_name}{gone})"


class DepartmentRecord(NamedTuple):
    """An imported department with its ring group. `static` are the members that AD put there."""

    id: int
    guid: str
    name: str
    dn: str
    kind: str
    ring_group_id: int | None = None
    number: str | None = None
    members: frozenset[int] = frozenset()
    static: frozenset[int] = frozenset()


@dataclass(slots=True)
class Records:
    """All that planning needs to know of Kerauno, at one moment.

    `ring_numbers` maps the number of every ring group, AD's or not, to the group in words.
    `held_out` holds identities of people, and of departments that an administrator unimported.
    """

    users: Mapping[int, UserRecord]
    departments: Mapping[str, DepartmentRecord] = field(default_factory=dict)
    ring_numbers: Mapping[str, str] = field(default_factory=dict)
    held_out: frozenset[str] = frozenset()
    proposals: Mapping[str, int] = field(default_factory=dict)
    by_guid: dict[str, UserRecord] = field(init=False)
    by_username: dict[str, UserRecord] = field(init=False)
    by_email: dict[str, UserRecord] = field(init=False)
    by_extension: dict[str, UserRecord] = field(init=False)

    def __post_init__(self) -> None:
        """Index the users by everything that is unique about them."""
        users = self.users.values()
        self.by_guid = {user.guid: user for user in users if user.guid is not None}
        self.by_username = {user.username_key: user for user in users}
        self.by_email = {user.email_key: user for user in users}
        self.by_extension = {user.extension: user for user in users if user.extension is not None}


def load(s: Session, directory_id: int, seen: Mapping[Guid, Person] | None = None) -> Records:
    """The records as they are now. Seven statements, whatever the number of users.

    `seen` are people as they were read: what a record has in common with its person is held once.
    """
    return Records(
        users=_users(s, directory_id, seen or {}),
        departments=_departments(s, directory_id),
        ring_numbers={
            number: f"ring group {name}"
            for number, name in s.execute(
                select(Number.number, RingGroup.name).join(
                    RingGroup, RingGroup.id == Number.ring_group_id
                )
            )
        },
        held_out=frozenset(
            s.scalars(select(SyncExclusion.guid).where(SyncExclusion.directory_id == directory_id))
        ),
        proposals=dict(
            s.execute(
                select(LinkProposal.guid, LinkProposal.user_id).where(
                    LinkProposal.directory_id == directory_id
                )
            ).all()
        ),
    )


def _users(s: Session, directory_id: int, seen: Mapping[Guid, Person]) -> dict[int, UserRecord]:
    statement = (
        select(
            User.id,
            User.username,
            User.username_key,
            User.email,
            User.email_key,
            User.first_name,
            User.last_name,
            User.role,
            User.active,
            User.version,
            Number.number,
            Number.reserved_until,
            Link.guid,
            Link.dn,
            Link.principal_key,
            Link.account_key,
            Link.scope,
            Link.origin,
            Link.password_set,
        )
        .outerjoin(Number, Number.user_id == User.id)
        .outerjoin(Link, and_(Link.user_id == User.id, Link.directory_id == directory_id))
    )
    rows = s.connection().execute(statement)
    users = {}
    for row in rows:
        person = seen.get(row[12])
        users[row[0]] = UserRecord._make(row if person is None else _sharing(row, person))
    return users


def _sharing(row: Sequence[Any], person: Person) -> tuple[Any, ...]:
    """The values of a user's row, with the very objects of the person where they are equal.

    Of a hundred thousand users that halves the memory.
    """
    (id_, username, username_key, email, email_key, first, last, role, active, version) = row[:10]
    (number, reserved_until, _, dn, principal_key, account_key, scope, origin) = row[10:18]
    password_set = row[18]
    username = _same(username, person.account_name)
    email = _same(email, person.login)
    email_key = _same(email_key, email)
    username_key = _same(username_key, username)
    return (
        id_,
        username,
        username_key,
        email,
        email_key,
        _same(first, person.first_name),
        _same(last, person.last_name),
        intern(role),
        active,
        version,
        _same(number, person.extension),
        reserved_until,
        person.guid,
        _same(dn, person.dn),
        _same(principal_key, email_key),
        _same(account_key, username_key),
        intern(scope),
        intern(origin),
        person.password_set if password_set == person.password_set else password_set,
    )


def _same(value: str, other: str | None) -> str:
    """The value: as the other object where that is equal."""
    return other if other is not None and other == value else value


def _departments(s: Session, directory_id: int) -> dict[str, DepartmentRecord]:
    members: dict[int, set[int]] = {}
    static: dict[int, set[int]] = {}
    rows = s.connection().execute(
        select(Membership.department_id, Membership.user_id, Membership.static)
        .join(Department, Department.id == Membership.department_id)
        .where(Department.directory_id == directory_id)
    )
    for department_id, user_id, is_static in rows:
        members.setdefault(department_id, set()).add(user_id)
        if is_static:
            static.setdefault(department_id, set()).add(user_id)
    departments = s.execute(
        select(
            Department.id,
            Department.guid,
            Department.name,
            Department.dn,
            Department.kind,
            RingGroup.id.label("ring_group_id"),
            Number.number,
        )
        .outerjoin(RingGroup, RingGroup.department_id == Department.id)
        .outerjoin(Number, Number.ring_group_id == RingGroup.id)
        .where(Department.directory_id == directory_id, Department.guid.is_not(None))
    )
    return {
        row.guid: DepartmentRecord(
            row.id,
            row.guid,
            row.name,
            row.dn,
            row.kind,
            row.ring_group_id,
            row.number,
            members=frozenset(members.get(row.id, ())),
            static=frozenset(static.get(row.id, ())),
        )
        for row in departments
    }
