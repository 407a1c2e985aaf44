"""Users & Devices > Users: the list, one user, what AD owns of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authsvc.console.ad_users.queries import ConflictView, conflicts_of, name_of
from authsvc.console.pagination import Page, pack, unpack
from authsvc.i18n.translate import N_, gettext
from authsvc.web.user_agent import browser_name
from dirclient.config.profile import Profile
from kerauno.accounts import dial_plan, users
from kerauno.accounts import queries as accounts
from kerauno.base.lookup_keys import lookup_key
from kerauno.signin import sessions
from kerauno.tables.core import Directory, Link, LinkProposal, SeenPerson, SyncExclusion, User

PAGE = 50
FILTERS: Mapping[str, str] = {
    "": N_("All"),
    "active": N_("Active"),
    "inactive": N_("Inactive"),
    "blocked": N_("Blocked"),
    "synced": N_("Synced"),
    "local": N_("Local password"),
    "manager": N_("Managers"),
    "admin": N_("Administrators"),
}


def page(
    s: Session, *, text: str = "", state: str = "", cursor: str = "", backwards: bool = False
) -> Page[accounts.UserLine]:
    """One page of users by last and first name, with the number of all that match."""
    start = unpack(cursor, (str, str, int))
    place = None
    if start is not None:
        last, first, user_id = start
        assert isinstance(user_id, int)
        place = accounts.UserPlace(str(last), str(first), user_id)
    users = accounts.users(
        s,
        accounts.UserFilter(text, state if state in accounts.STATES else None),
        limit=PAGE,
        after=None if backwards else place,
        before=place if backwards else None,
    )

    def packed(at: accounts.UserPlace | None) -> str:
        return pack([at.last, at.first, at.id]) if at else ""

    return Page(users.users, packed(users.before), packed(users.after), users.total)


@dataclass(frozen=True, slots=True)
class UserView:
    """One user, as their pages show them. `owned`: the fields that only AD may change."""

    id: int
    name: str
    line: accounts.UserLine
    version: int
    created_at: datetime
    updated_at: datetime
    deactivated_at: datetime | None
    owned: frozenset[str]
    link: Link | None


def one(s: Session, user_id: int) -> UserView:
    """The user. Raises NotFound."""
    user = users.get(s, user_id)
    line = accounts.user(s, user_id)
    assert line is not None
    return UserView(
        id=user.id,
        name=f"{user.first_name} {user.last_name}".strip() or user.username,
        line=line,
        version=user.version,
        created_at=user.created_at,
        updated_at=user.updated_at,
        deactivated_at=user.deactivated_at,
        owned=users.owned(s, user_id),
        link=s.get(Link, user_id),
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recognized person who has this user's username/email."""

    guid: str
    name: str
    login: str
    dn: str
    exclusion: SyncExclusion | None
    proposed: bool
    linked_to: int | None
    conflicts: tuple[ConflictView, ...]


def candidates(s: Session, directory: Directory, user: UserView) -> tuple[Candidate, ...]:
    """Return who in the mirror has this user's email, or waits to be linked to them."""
    proposed = set(
        s.scalars(
            select(LinkProposal.guid).where(
                LinkProposal.directory_id == directory.id, LinkProposal.user_id == user.id
            )
        )
    )
    words = lookup_key(user.line.email)
    rows = s.scalars(
        select(SeenPerson)
        .where(
            SeenPerson.directory_id == directory.id,
            SeenPerson.search_text.contains(words, autoescape=True) | SeenPerson.guid.in_(proposed),
        )
        .limit(20)
    ).all()
    profile = Profile.from_stored(directory.profile, "")
    return tuple(
        Candidate(
            guid=department.guid,
            name=name_of(department),
            login=department.login or "",
            dn=department.dn,
            exclusion=s.get(SyncExclusion, (directory.id, department.guid)),
            proposed=department.guid in proposed,
            linked_to=department.user_id,
            conflicts=conflicts_of(department.conflicts, department.guid, profile),
        )
        for department in rows
        if lookup_key(department.login or "") == words or department.guid in proposed
    )


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A browser that is signed in as this user."""

    handle: str
    browser: str
    address: str
    method: str
    created_at: datetime
    seen_at: datetime


def sessions_of(s: Session, user_id: int, now: datetime) -> tuple[SessionRow, ...]:
    """The user's sessions, last used first."""
    return tuple(
        SessionRow(
            row.handle,
            browser_name(row.user_agent) or gettext("Unknown browser"),
            row.address,
            row.method,
            row.created_at,
            row.seen_at,
        )
        for row in sessions.list_for(s, user_id, now)
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """A number that is kept for somebody who left."""

    number: str
    user_id: int
    name: str
    until: datetime


def reservations(s: Session) -> tuple[Reservation, ...]:
    """Numbers kept for leavers, the ones that free up first first."""
    reservations: list[Reservation] = []
    for number, user in dial_plan.reservations(s):
        assert number.reserved_until is not None
        name = f"{user.first_name} {user.last_name}".strip()
        reservations.append(Reservation(number.number, user.id, name, number.reserved_until))
    return tuple(reservations)


def is_last_admin(s: Session, user_id: int) -> bool:
    """Return whether without this user nobody could administer any more."""
    query = select(User.id).where(User.role == "admin", User.active, ~User.blocked)
    return s.scalars(query).all() == [user_id]
