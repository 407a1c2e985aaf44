"""The phone book: everyone with an extension, and every ring group, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Select, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from kerauno.keys import lookup_key
from kerauno.tables import Department, Membership, Number, RingGroup, User

PAGE = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a person or a ring group (`kind` is `user` or `ring-group`)."""

    kind: str
    name: str
    number: str
    email: str
    departments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries `first` to `last` of `total`, counted from one."""

    entries: tuple[Entry, ...]
    first: int
    last: int
    total: int


@dataclass(frozen=True, slots=True)
class OwnDepartment:
    """A department somebody is in, with its ring group's number."""

    name: str
    number: str | None


def page(s: Session, query: str, number: int) -> Page:
    """The page of this number (from 1) of those who match every word of the query."""
    matching = _matching(query).subquery()
    total = s.execute(select(func.count()).select_from(matching)).scalar_one()
    rows = s.execute(
        select(matching)
        .order_by(matching.c.sort, matching.c.number)
        .offset((number - 1) * PAGE)
        .limit(PAGE)
    ).all()
    people = [row.user_id for row in rows if row.user_id is not None]
    departments = _departments(s, people)
    entries = tuple(
        Entry(row.kind, row.name, row.number, row.email, departments.get(row.user_id, ()))
        for row in rows
    )
    first = (number - 1) * PAGE + 1 if entries else 0
    return Page(entries, first, first + len(entries) - 1 if entries else 0, total)


def departments_of(s: Session, user_id: int) -> list[OwnDepartment]:
    """The departments of one person, by name."""
    rows = s.execute(
        select(Department.name, Number.number)
        .join(Membership, Membership.department_id == Department.id)
        .outerjoin(RingGroup, RingGroup.department_id == Department.id)
        .outerjoin(Number, Number.ring_group_id == RingGroup.id)
        .where(Membership.user_id == user_id)
        .order_by(Department.name)
    )
    return [OwnDepartment(name, number) for name, number in rows]


def address(query: str, number: int) -> str:
    """Where a page of the phone book is."""
    parts = {"q": query} if query else {}
    return "/phonebook?" + urlencode(parts | {"page": str(number)})


def _matching(query: str) -> Select[Any]:
    people = (
        select(
            literal("user").label("kind"),
            (User.first_name + " " + User.last_name).label("name"),
            func.lower(User.last_name + " " + User.first_name).label("sort"),
            Number.number.label("number"),
            User.email.label("email"),
            User.id.label("user_id"),
        )
        .join(Number, Number.user_id == User.id)
        .where(User.active, Number.reserved_until.is_(None))
    )
    groups = select(
        literal("ring-group"),
        RingGroup.name,
        func.lower(RingGroup.name),
        Number.number,
        literal(""),
        literal(None, User.id.type),
    ).join(Number, Number.ring_group_id == RingGroup.id)
    for word in lookup_key(query).split()[:5]:
        like = f"%{_escaped(word)}%"
        people = people.where(
            or_(
                func.lower(User.first_name).like(like, escape="\\"),
                func.lower(User.last_name).like(like, escape="\\"),
                User.email_key.like(like, escape="\\"),
                Number.number.like(like, escape="\\"),
                User.id.in_(
                    select(Membership.user_id)
                    .join(Department, Department.id == Membership.department_id)
                    .where(func.lower(Department.name).like(like, escape="\\"))
                ),
            )
        )
        groups = groups.where(
            or_(
                func.lower(RingGroup.name).like(like, escape="\\"),
                Number.number.like(like, escape="\\"),
            )
        )
    return select(union_all(people, groups).subquery())


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _departments(s: Session, user_ids: list[int]) -> dict[int | None, tuple[str, ...]]:
    found: dict[int | None, tuple[str, ...]] = {}
    rows = s.execute(
        select(Membership.user_id, Department.name)
        .join(Department, Department.id == Membership.department_id)
        .where(Membership.user_id.in_(user_ids))
        .order_by(Department.name)
    )
    for user_id, name in rows:
        found[user_id] = (*found.get(user_id, ()), name)
    return found
