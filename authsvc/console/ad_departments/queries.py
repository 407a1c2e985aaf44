"""The AD Departments tab: directory departments, their members, and what an import would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from authsvc.console.ad_users.queries import ConflictView, conflicts_of, name_of
from authsvc.console.pagination import Page, pack, unpack
from authsvc.i18n.translate import gettext, translate_sentence
from dirclient.config.profile import Profile
from kerauno.accounts import departments, dial_plan
from kerauno.base.errors import InvalidValue
from kerauno.base.lookup_keys import lookup_key
from kerauno.tables.core import (
    Department,
    Directory,
    Membership,
    Number,
    RingGroup,
    SeenDepartment,
    SeenMember,
    SeenPerson,
    User,
)

MEMBERS_PAGE = 100
_NAMED = 20  # of those who would be de-synced
_USUAL_RANGE = ("600", "699")


@dataclass(frozen=True, slots=True)
class DepartmentRow:
    """One directory department in the table. `gone`: imported, but no longer found in AD."""

    guid: str
    name: str
    kind: str
    path: tuple[str, ...]
    dn: str
    members: int
    imported: bool
    gone: bool
    number: str
    department_id: int | None
    ring_group_members: int
    conflicts: tuple[ConflictView, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member, and what they are: synced, ready, conflict, left, held-out."""

    guid: str
    name: str
    login: str
    extension: str
    state: str
    user_id: int | None
    via: tuple[str, ...]
    conflicts: tuple[ConflictView, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of an import or unimport, in numbers and with the first few names."""

    synced: int = 0
    would_sync: int = 0
    conflicts: int = 0
    left: int = 0
    waiting: int = 0
    held_out: int = 0
    leaving: tuple[str, ...] = ()
    leaving_count: int = 0


def rows(
    s: Session, directory: Directory, *, text: str = "", state: str = ""
) -> tuple[tuple[DepartmentRow, ...], Mapping[str, int]]:
    """The table, outermost first, and how many there are by state (of those that match)."""
    profile = Profile.from_stored(directory.profile, "")
    counted = (
        select(Membership.department_id, func.count().label("members"))
        .group_by(Membership.department_id)
        .subquery()
    )
    imported = {
        department.guid: (department, number or "", count or 0)
        for department, number, count in s.execute(
            select(Department, Number.number, counted.c.members)
            .outerjoin(RingGroup, RingGroup.department_id == Department.id)
            .outerjoin(Number, Number.ring_group_id == RingGroup.id)
            .outerjoin(counted, counted.c.department_id == Department.id)
            .where(Department.directory_id == directory.id)
        ).all()
    }
    rows = [
        _row(seen, imported.pop(seen.guid, None), profile)
        for seen in s.scalars(
            select(SeenDepartment).where(SeenDepartment.directory_id == directory.id)
        )
    ]
    rows += [_gone(department, number, n) for department, number, n in imported.values()]
    words = lookup_key(text)
    rows = [row for row in rows if words in lookup_key(" ".join((*row.path, row.name)))]
    rows.sort(key=lambda row: (lookup_key("\t".join((*row.path, row.name))), row.guid))
    by_state = {
        "imported": sum(row.imported for row in rows),
        "available": sum(not row.imported for row in rows),
        "conflict": sum(bool(row.conflicts) for row in rows),
    }
    kept = {
        "imported": lambda row: row.imported,
        "available": lambda row: not row.imported,
        "conflict": lambda row: bool(row.conflicts),
    }.get(state, lambda _: True)
    return tuple(filter(kept, rows)), {"": len(rows), **by_state}


def _row(
    seen: SeenDepartment, built: tuple[Department, str, int] | None, profile: Profile
) -> DepartmentRow:
    path = tuple(str(part) for part in seen.path)
    return DepartmentRow(
        guid=seen.guid,
        name=seen.name,
        kind=seen.kind,
        path=path[:-1] if path and path[-1] == seen.name else path,
        dn=seen.dn,
        members=seen.members,
        imported=built is not None,
        gone=False,
        number=built[1] if built else "",
        department_id=built[0].id if built else None,
        ring_group_members=built[2] if built else 0,
        conflicts=conflicts_of(seen.conflicts, seen.guid, profile),
    )


def _gone(department: Department, number: str, members: int) -> DepartmentRow:
    return DepartmentRow(
        guid=department.guid or "",
        name=department.name,
        kind=department.kind,
        path=(),
        dn=department.dn,
        members=0,
        imported=True,
        gone=True,
        number=number,
        department_id=department.id,
        ring_group_members=members,
        conflicts=(),
    )


def one(s: Session, directory: Directory, guid: str) -> DepartmentRow | None:
    """One directory department, imported or not, or None."""
    return next((row for row in rows(s, directory)[0] if row.guid == guid), None)


def members(
    s: Session, directory: Directory, guid: str, *, state: str = "", cursor: str = ""
) -> Page[MemberRow]:
    """Recognized members by name, with the total."""
    where = [
        SeenMember.directory_id == directory.id,
        SeenMember.department_guid == guid,
    ]
    query = (
        select(SeenPerson, SeenMember.via)
        .join(
            SeenMember,
            and_(
                SeenMember.directory_id == SeenPerson.directory_id,
                SeenMember.person_guid == SeenPerson.guid,
            ),
        )
        .where(*where)
    )
    if state:
        query = query.where(SeenPerson.state == state)
    start = unpack(cursor, (str, str))
    if start is not None:
        key, after = start
        query = query.where(
            (SeenPerson.sort_key > key) | and_(SeenPerson.sort_key == key, SeenPerson.guid > after)
        )
    query = query.order_by(SeenPerson.sort_key, SeenPerson.guid).limit(MEMBERS_PAGE + 1)
    members = s.execute(query).all()
    profile = Profile.from_stored(directory.profile, "")
    shown = members[:MEMBERS_PAGE]
    last = shown[-1][0] if shown else None
    return Page(
        tuple(_member(person, via, profile) for person, via in shown),
        after=pack([last.sort_key, last.guid]) if last and len(members) > MEMBERS_PAGE else "",
        total=s.scalar(select(func.count()).select_from(SeenMember).where(*where)),
    )


def _member(person: SeenPerson, via: list[str], profile: Profile) -> MemberRow:
    return MemberRow(
        guid=person.guid,
        name=name_of(person),
        login=person.login or "",
        extension=person.extension or "",
        state=person.state,
        user_id=person.user_id,
        via=tuple(str(step) for step in via),
        conflicts=conflicts_of(person.conflicts, person.guid, profile),
    )


def import_effect(s: Session, directory: Directory, guid: str) -> Effect:
    """Return who would be in the department: already synced, synced with it, or left out and
    why."""
    query = (
        select(SeenPerson.state, func.count())
        .join(
            SeenMember,
            and_(
                SeenMember.directory_id == SeenPerson.directory_id,
                SeenMember.person_guid == SeenPerson.guid,
            ),
        )
        .where(SeenMember.directory_id == directory.id, SeenMember.department_guid == guid)
        .group_by(SeenPerson.state)
    )
    by_state = {state: int(count) for state, count in s.execute(query).all()}
    return Effect(
        synced=by_state.get("synced", 0),
        would_sync=by_state.get("ready", 0),
        conflicts=by_state.get("conflict", 0),
        left=by_state.get("left", 0),
        waiting=by_state.get("leaving", 0),
        held_out=by_state.get("held-out", 0),
    )


def unimport_effect(s: Session, department_id: int) -> Effect:
    """Return who would be de-synced: the people whom the import of this department alone brought
    in."""
    leaving = departments.only_here(s, department_id)
    first = s.scalars(
        select(User)
        .where(User.id.in_(leaving[:_NAMED]))
        .order_by(User.last_name, User.first_name, User.id)
    )
    return Effect(
        synced=len(departments.member_ids(s, department_id)),
        leaving=tuple(f"{user.first_name} {user.last_name} ({user.email})" for user in first),
        leaving_count=len(leaving),
    )


def offered_number(s: Session, directory: Directory, now: datetime) -> str:
    """The next free ring group number of the range, or of the usual one; empty if all are taken."""
    first = directory.ring_group_first or _USUAL_RANGE[0]
    last = directory.ring_group_last or _USUAL_RANGE[1]
    return dial_plan.next_free(s, first, last, now) or ""


@dataclass(frozen=True, slots=True)
class NumberSaid:
    """The check of a ring group number while it is typed."""

    good: bool
    text: str


def check_number(s: Session, text: str, now: datetime) -> NumberSaid:
    """Return whether a ring group could have this number now, and if not, who has it."""
    text = text.strip()
    if not text:
        return NumberSaid(False, gettext("Type 2 to 10 digits."))
    try:
        number = dial_plan.parse_extension(text) if text.isascii() and text.isdigit() else ""
    except InvalidValue:
        number = ""
    if not number:
        return NumberSaid(False, gettext("A ring group number has 2 to 10 digits."))
    if dial_plan.is_free(s, number, now):
        return NumberSaid(True, gettext("%(number)s is free.", number=number))
    holder = dial_plan.holder(s, number)
    if holder is None:
        return NumberSaid(False, gettext("%(number)s is used by somebody.", number=number))
    return NumberSaid(
        False,
        gettext(
            "%(number)s is used by %(holder)s.",
            number=number,
            holder=translate_sentence(holder.words),
        ),
    )
