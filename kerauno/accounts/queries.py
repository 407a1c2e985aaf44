"""Lists of users and numbers: for the console, the phone book and the commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from kerauno.base.lookup_keys import search_words
from kerauno.tables.core import (
    USER_FIRST_ORDER,
    USER_LAST_ORDER,
    Department,
    Link,
    Membership,
    Number,
    RingGroup,
    User,
)

_ORDER = (
    literal_column(USER_LAST_ORDER, String),
    literal_column(USER_FIRST_ORDER, String),
    User.id,
)


@dataclass(frozen=True, slots=True)
class UserLine:
    """One user in a list. `reserved_until` is set while their number is kept for a leaver."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    active: bool
    blocked: bool
    extension: str | None
    reserved_until: datetime | None
    guid: str | None  # None: not synced
    scope: str | None
    local: bool  # signs in with a password of Kerauno's own
    departments: tuple[str, ...] = ()

    @property
    def synced(self) -> bool:
        """Return whether the user is linked to a person in the directory."""
        return self.guid is not None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users: every word of `search` occurs in name, username, email or extension.

    `state`: active, inactive, blocked, synced, local, admin or manager; None does not narrow.
    """

    search: str = ""
    state: str | None = None
    department_id: int | None = None


@dataclass(frozen=True, slots=True)
class UserPlace:
    """The end of a page of users."""

    last: str
    first: str
    id: int


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some users by last and first name, and where the pages around begin (None: there is none)."""

    users: tuple[UserLine, ...]
    before: UserPlace | None
    after: UserPlace | None
    total: int


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One line of the phone book: a user with an extension, or a department's ring group."""

    name: str
    number: str
    email: str = ""
    departments: tuple[str, ...] = ()
    first_name: str = ""
    last_name: str = ""
    user_id: int | None = None
    department_id: int | None = None


STATES: dict[str, ColumnElement[bool]] = {
    "active": and_(User.active, ~User.blocked),
    "inactive": ~User.active,
    "blocked": User.blocked.is_(True),
    "synced": Link.guid.is_not(None),
    "local": User.password_hash.is_not(None),
    "admin": User.role == "admin",
    "manager": User.role == "manager",
}
"""What `UserFilter.state` may be."""


def users(
    s: Session,
    filter_: UserFilter,
    *,
    limit: int = 50,
    after: UserPlace | None = None,
    before: UserPlace | None = None,
) -> UserPage:
    """One page of users, after or before a place of a page with the same filter."""
    conditions = _conditions(filter_)
    total = s.execute(
        _joined(select(func.count())).where(*conditions)  # the same joins as the page itself
        if conditions
        else select(func.count()).select_from(User)
    ).scalar_one()
    if not total:
        return UserPage((), None, None, 0)
    statement = _lines().add_columns(*_ORDER[:2]).where(*conditions)
    backwards = before is not None
    if (place := before or after) is not None:
        row, edge = tuple_(*_ORDER), tuple_(place.last, place.first, place.id)
        statement = statement.where(row < edge if backwards else row > edge)
    order = [column.desc() if backwards else column for column in _ORDER]
    rows = list(s.execute(statement.order_by(*order).limit(limit + 1)))
    more, rows = len(rows) > limit, rows[:limit]
    if not rows:
        return UserPage((), None, None, total)
    if backwards:
        rows.reverse()
    first, last = (UserPlace(row[-2], row[-1], row[0]) for row in (rows[0], rows[-1]))
    return UserPage(
        _with_departments(s, [UserLine(*row[:-2]) for row in rows]),
        first if (more if backwards else after is not None) else None,
        last if backwards or more else None,
        total,
    )


def user(s: Session, user_id: int) -> UserLine | None:
    """One user as a list shows them, or None."""
    row = s.execute(_lines().where(User.id == user_id)).first()
    return None if row is None else _with_departments(s, [UserLine(*row)])[0]


def everyone(s: Session) -> list[UserLine]:
    """Every user, by id, with departments: two statements."""
    lines = [UserLine(*row) for row in s.execute(_lines().order_by(User.id))]
    names: dict[int, list[str]] = {}
    for user_id, name in s.execute(_department_names()):
        names.setdefault(user_id, []).append(name)
    return [
        replace(line, departments=tuple(names[line.id])) if line.id in names else line
        for line in lines
    ]


def as_data(line: UserLine) -> dict[str, Any]:
    """The user in the fields that commands and the API give."""
    return {
        "id": line.id,
        "username": line.username,
        "email": line.email,
        "first_name": line.first_name,
        "last_name": line.last_name,
        "extension": line.extension if line.reserved_until is None else None,
        "role": line.role,
        "active": line.active,
        "synced": line.synced,
        "guid": line.guid,
        "departments": list(line.departments),
    }


def phonebook(s: Session, search: str = "", *, limit: int | None = None) -> list[DirectoryEntry]:
    """Everyone who can be dialled: active users with an extension, then departments; by name."""
    statement = _lines().where(
        STATES["active"],
        Number.number.is_not(None),
        Number.reserved_until.is_(None),
        *_conditions(UserFilter(search)),
    )
    rows = s.execute(statement.order_by(*_ORDER).limit(limit))
    people = _with_departments(s, [UserLine(*row) for row in rows])
    entries = [
        DirectoryEntry(
            name=f"{line.first_name} {line.last_name}",
            number=line.extension or "",
            email=line.email,
            departments=line.departments,
            first_name=line.first_name,
            last_name=line.last_name,
            user_id=line.id,
        )
        for line in people
    ]
    return entries + _ring_groups(s, search)


def _ring_groups(s: Session, search: str) -> list[DirectoryEntry]:
    statement = (
        select(Department.label, Number.number, RingGroup.department_id)
        .join(RingGroup, RingGroup.department_id == Department.id)
        .join(Number, Number.ring_group_id == RingGroup.id)
        .order_by(func.lower(RingGroup.name), RingGroup.id)
    )
    for word in search_words(search):
        statement = statement.where(
            _contains(func.lower(RingGroup.name), word)
            | Number.number.contains(word, autoescape=True)
        )
    return [
        DirectoryEntry(name=name, number=number, department_id=department_id)
        for name, number, department_id in s.execute(statement)
    ]


def _joined(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return (
        statement.select_from(User)
        .outerjoin(Number, Number.user_id == User.id)
        .outerjoin(Link, Link.user_id == User.id)
    )


def _lines() -> Select[*tuple[Any, ...]]:
    return _joined(
        select(
            User.id,
            User.username,
            User.email,
            User.first_name,
            User.last_name,
            User.role,
            User.active,
            User.blocked,
            Number.number,
            Number.reserved_until,
            Link.guid,
            Link.scope,
            User.password_hash.is_not(None),
        )
    )


def _conditions(filter_: UserFilter) -> list[ColumnElement[bool]]:
    conditions = [_matches(word) for word in search_words(filter_.search)]
    if filter_.state is not None:
        conditions.append(STATES[filter_.state])
    if filter_.department_id is not None:
        inside = select(Membership.user_id).where(Membership.department_id == filter_.department_id)
        conditions.append(User.id.in_(inside))
    return conditions


def _matches(word: str) -> ColumnElement[bool]:
    """The users in whom the word occurs: found first, by an index that holds all it takes."""
    matches: list[Select[*tuple[Any, ...]]] = [
        select(User.id).where(
            or_(
                User.username_key.contains(word, autoescape=True),
                User.email_key.contains(word, autoescape=True),
                _contains(func.lower(User.first_name), word),
                _contains(func.lower(User.last_name), word),
            )
        )
    ]
    if word.isdecimal():
        matches.append(select(Number.user_id).where(Number.number.contains(word, autoescape=True)))
    return User.id.in_(union_all(*matches))


def _contains(text: ColumnElement[str], word: str) -> ColumnElement[bool]:
    """Return whether the word occurs in lower-case text; SQLite lowers ASCII letters only."""
    spellings = (word,) if word.isascii() else (word, word.title(), word.upper())
    return or_(*(text.contains(spelling, autoescape=True) for spelling in spellings))


def _department_names() -> Select[*tuple[Any, ...]]:
    return (
        select(Membership.user_id, Department.label)
        .join(Department, Department.id == Membership.department_id)
        .order_by(Department.label, Department.id)
    )


def _with_departments(s: Session, lines: list[UserLine]) -> tuple[UserLine, ...]:
    """The users with the names of their departments."""
    names: dict[int, list[str]] = {}
    ids = [line.id for line in lines]
    for start in range(0, len(ids), 500):
        statement = _department_names().where(Membership.user_id.in_(ids[start : start + 500]))
        for user_id, name in s.execute(statement):
            names.setdefault(user_id, []).append(name)
    return tuple(replace(line, departments=tuple(names.get(line.id, ()))) for line in lines)
