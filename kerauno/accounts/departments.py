"""Departments and their ring groups: one cannot be without the other, nor without a number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from kerauno.accounts import dial_plan
from kerauno.accounts.department_labels import Labels
from kerauno.base.errors import InvalidValue, NotFound, ReadOnly
from kerauno.database.bulk import insert_rows, parts
from kerauno.tables.core import Department, Link, Membership, Number, RingGroup, SyncExclusion, User

NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Source:
    """The directory object that a department is built from. `kind`: group or ou."""

    directory_id: int
    guid: str
    dn: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A department with its ring group's number and how many active members it rings."""

    id: int
    name: str
    guid: str | None
    dn: str
    kind: str
    ring_group_id: int
    number: str | None
    members: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a department. `static`: AD put them there, and only AD removes them."""

    user_id: int
    username: str
    first_name: str
    last_name: str
    extension: str | None
    static: bool


@dataclass(frozen=True, slots=True)
class Unimported:
    """The result of an unimport. `only_here`: users whom only this department had brought in."""

    department_id: int
    name: str
    number: str | None
    user_ids: tuple[int, ...]
    only_here: tuple[int, ...]


def import_(
    s: Session, source: Source, number: str, user_ids: Collection[int], now: datetime
) -> Department:
    """Make department, ring group and static memberships together; the number is taken first.

    Raises InvalidValue, NumberTaken, and InvalidValue when it is imported already. An earlier
    hold by an unimport ends.
    """
    if by_guid(s, source.directory_id, source.guid) is not None:
        raise InvalidValue(
            f"{source.name} is imported already.",
            field="department",
            remedy="Change its ring group number instead.",
        )
    name = clean_name(source.name)
    label, label_key = Labels.of(s).give(name, source.guid)
    department = Department(
        name=name,
        label=label,
        label_key=label_key,
        directory_id=source.directory_id,
        guid=source.guid,
        dn=source.dn,
        kind=source.kind,
        imported_at=now,
    )
    s.add(department)
    s.flush()
    ring_group = RingGroup(department_id=department.id, name=name)
    s.add(ring_group)
    s.flush()
    dial_plan.give_ring_group(s, ring_group.id, number, now)
    add_members(s, department.id, user_ids)
    s.execute(
        delete(SyncExclusion).where(
            SyncExclusion.directory_id == source.directory_id, SyncExclusion.guid == source.guid
        )
    )
    return department


@dataclass(frozen=True, slots=True)
class Import:
    """One of several departments to import together, with its number and its members' ids."""

    source: Source
    number: str
    user_ids: Collection[int]


def import_many(s: Session, imports: Sequence[Import], now: datetime) -> dict[str, int]:
    """Import several at once, all or none; returns their ids by GUID. Costs a few statements.

    Raises RowRefused when any of them breaks a rule: `import_` one by one tells which, and why.
    """
    last = s.scalar(select(func.max(Department.id))) or 0
    names = {each.source.guid: clean_name(each.source.name) for each in imports}
    labels = Labels.of(s)
    insert_rows(
        s,
        (
            *(Department.name, Department.label, Department.label_key),
            *(Department.directory_id, Department.guid),
            *(Department.dn, Department.kind, Department.imported_at),
        ),
        [
            (
                *(names[of.guid], *labels.give(names[of.guid], of.guid)),
                *(of.directory_id, of.guid, of.dn, of.kind, now),
            )
            for of in (each.source for each in imports)
        ],
    )
    # Ids only grow, so the new departments are above the last.
    made = select(Department.guid, Department.id).where(Department.id > last)
    ids = {guid: id for guid, id in s.execute(made) if guid in names}
    insert_rows(
        s,
        (RingGroup.department_id, RingGroup.name, RingGroup.strategy),
        [(ids[guid], name, "ring-all") for guid, name in names.items()],
    )
    rings: dict[int, int] = {}
    for part in parts(ids.values()):
        statement = select(RingGroup.department_id, RingGroup.id)
        rings.update(s.execute(statement.where(RingGroup.department_id.in_(part))).all())
    for part in parts(each.number for each in imports):
        s.execute(delete(Number).where(Number.number.in_(part), Number.reserved_until <= now))
    insert_rows(
        s,
        (Number.number, Number.ring_group_id),
        [(each.number, rings[ids[each.source.guid]]) for each in imports],
    )
    insert_rows(
        s,
        (Membership.department_id, Membership.user_id, Membership.static),
        [
            (ids[each.source.guid], user_id, True)
            for each in imports
            for user_id in dict.fromkeys(each.user_ids)
        ],
    )
    for part in parts(names):
        s.execute(
            delete(SyncExclusion).where(
                SyncExclusion.guid.in_(part), SyncExclusion.user_id.is_(None)
            )
        )
    return ids


def unimport(s: Session, department_id: int, *, by: str, now: datetime) -> Unimported:
    """Remove department, ring group and memberships, and free the number.

    The directory department is held out, so that it is not imported again by itself. De-syncing
    the people in `only_here` is the caller's. Raises NotFound.
    """
    department = get(s, department_id)
    removed = Unimported(
        department_id,
        department.name,
        number_of(s, department_id),
        tuple(member_ids(s, department_id)),
        tuple(only_here(s, department_id)),
    )
    if department.directory_id is not None and department.guid is not None:
        s.merge(
            SyncExclusion(
                directory_id=department.directory_id,
                guid=department.guid,
                user_id=None,
                held_at=now,
                held_by=by,
            )
        )
    s.delete(department)  # ring group, number and memberships go with it
    s.flush()
    return removed


def get(s: Session, department_id: int) -> Department:
    """The department of this id. Raises NotFound."""
    department = s.get(Department, department_id)
    if department is None:
        raise NotFound("There is no such department.")
    return department


def by_guid(s: Session, directory_id: int, guid: str) -> Department | None:
    """The department built from this directory object, or None while it is not imported."""
    return s.execute(
        select(Department).where(Department.directory_id == directory_id, Department.guid == guid)
    ).scalar_one_or_none()


def rename(s: Session, department_id: int, name: str, dn: str) -> None:
    """The directory object has another name or place: the ring group follows, the number stays."""
    department = get(s, department_id)
    if clean_name(name) != department.name:
        department.name = clean_name(name)
        labels = Labels.of(s, but=department_id)
        department.label, department.label_key = labels.give(department.name, department.guid)
    department.dn = dn
    s.execute(
        update(RingGroup)
        .where(RingGroup.department_id == department_id)
        .values(name=department.name)
    )
    s.flush()


def set_number(s: Session, department_id: int, number: str, now: datetime) -> None:
    """Give the ring group another number. Raises InvalidValue, NumberTaken, NotFound."""
    ring_group_id = s.execute(
        select(RingGroup.id).where(RingGroup.department_id == department_id)
    ).scalar_one_or_none()
    if ring_group_id is None:
        raise NotFound("There is no such department.")
    dial_plan.give_ring_group(s, ring_group_id, number, now)


def number_of(s: Session, department_id: int) -> str | None:
    """The ring group's number."""
    return s.execute(
        select(Number.number)
        .join(RingGroup, RingGroup.id == Number.ring_group_id)
        .where(RingGroup.department_id == department_id)
    ).scalar_one_or_none()


def add_members(
    s: Session, department_id: int, user_ids: Iterable[int], *, static: bool = True
) -> None:
    """Put users in; who is in already stays, and becomes AD's when `static`."""
    rows = [
        {"department_id": department_id, "user_id": user_id, "static": static}
        for user_id in dict.fromkeys(user_ids)
    ]
    if not rows:
        return
    insert = postgresql.insert if s.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(Membership)
    if static:
        statement = statement.on_conflict_do_update(
            index_elements=[Membership.department_id, Membership.user_id], set_={"static": True}
        )
    else:
        statement = statement.on_conflict_do_nothing()
    s.connection().execute(statement, rows)


def drop_members(s: Session, department_id: int, user_ids: Collection[int]) -> None:
    """Take users out because the directory did."""
    ids = list(user_ids)
    for start in range(0, len(ids), 500):
        s.execute(
            delete(Membership).where(
                Membership.department_id == department_id,
                Membership.user_id.in_(ids[start : start + 500]),
            )
        )


def remove_member(s: Session, department_id: int, user_id: int) -> None:
    """Take somebody out by hand. Raises ReadOnly for a member that AD put there, NotFound."""
    membership = s.get(Membership, (department_id, user_id))
    if membership is None:
        raise NotFound("They are not a member of this department.")
    if membership.static:
        raise ReadOnly(
            "membership",
            "Members that Active Directory put into a department can only be removed there.",
        )
    s.delete(membership)
    s.flush()


def member_ids(s: Session, department_id: int) -> list[int]:
    """The ids of the department's members."""
    return list(
        s.execute(
            select(Membership.user_id)
            .where(Membership.department_id == department_id)
            .order_by(Membership.user_id)
        ).scalars()
    )


def members(s: Session, department_id: int) -> list[Member]:
    """The members by last and first name."""
    rows = s.execute(
        select(
            User.id,
            User.username,
            User.first_name,
            User.last_name,
            Number.number,
            Membership.static,
        )
        .join(Membership, Membership.user_id == User.id)
        .outerjoin(Number, Number.user_id == User.id)
        .where(Membership.department_id == department_id)
        .order_by(User.last_name, User.first_name, User.id)
    )
    return [Member(*row) for row in rows]


def only_here(s: Session, department_id: int) -> list[int]:
    """Members whom this import alone brought in: their link's origin, and no other department."""
    other = aliased(Membership)
    elsewhere = exists().where(
        other.user_id == Membership.user_id,
        other.department_id != department_id,
        other.static,
    )
    return list(
        s.execute(
            select(Membership.user_id)
            .join(Link, Link.user_id == Membership.user_id)
            .where(
                Membership.department_id == department_id,
                Link.origin == "department",
                ~elsewhere,
            )
            .order_by(Membership.user_id)
        ).scalars()
    )


def listing(s: Session) -> list[Listed]:
    """Every department, by name."""
    return [Listed(*row) for row in s.execute(_listing().order_by(Department.name, Department.id))]


def listed(s: Session, department_id: int) -> Listed:
    """One department as the list shows it. Raises NotFound."""
    row = s.execute(_listing().where(Department.id == department_id)).first()
    if row is None:
        raise NotFound("There is no such department.")
    return Listed(*row)


def clean_name(name: str) -> str:
    """A name of a directory object as it can be stored: as it is, but bounded and UTF-8.

    Whatever shows it marks the signs that nobody sees (`kerauno.base.visible_text`).
    """
    text = name.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return text.strip()[:NAME_LENGTH] or "(no name)"


def _listing() -> Select[*tuple[Any, ...]]:
    ringing = (
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.department_id == Department.id, User.active)
        .scalar_subquery()
    )
    return (
        select(
            Department.id,
            Department.name,
            Department.guid,
            Department.dn,
            Department.kind,
            RingGroup.id,
            Number.number,
            ringing,
        )
        .join(RingGroup, RingGroup.department_id == Department.id)
        .outerjoin(Number, Number.ring_group_id == RingGroup.id)
    )
