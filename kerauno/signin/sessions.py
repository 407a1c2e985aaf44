"""Signed-in browsers. The cookie holds 256 random bits; the database only their SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    String,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from kerauno.base.clock import SET_BACK
from kerauno.base.errors import AccessEnded, DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.oauth.token_revocation import end_for_session
from kerauno.tables.core import Department, Link, Membership, User, WebSession

TOUCH = timedelta(minutes=1)
"""`seen_at` is written at most this often."""

_SEPARATOR = "\x1f"


class _joined(FunctionElement[str]):  # noqa: N801 - reads as the function it is
    """The column's values in one text, with _SEPARATOR between them."""

    type = String()
    inherit_cache = True


@compiles(_joined, "sqlite")
def _joined_on_sqlite(element: _joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, char(31))"


@compiles(_joined, "postgresql")
def _joined_on_postgresql(element: _joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(31))"


MOST = 50
"""The sessions that one user may have at a time."""
_SOME = 100  # ended in one transaction, so that nobody waits long for it


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts: in all, and without being used."""

    absolute: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=2)

    def end(self, created_at: datetime, seen_at: datetime) -> datetime:
        """When a session of this age and last use ends."""
        return min(created_at + self.absolute, seen_at + self.idle)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just made. `cookie` is shown this once."""

    cookie: str
    id: str
    handle: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Signed:
    """The person of a valid cookie."""

    session_id: str
    handle: str
    user_id: int
    subject: str
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    method: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


def digest(cookie: str) -> str:
    """The id under which the cookie's session is kept."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


_COLUMNS = list(WebSession.__table__.columns)
_LINK = Link.user_id == bindparam("user_id", type_=Link.user_id.type)
_ADMITTED = (
    select(Link.user_id).where(_LINK, Link.refused_since.is_(None)).with_for_update(read=True)
).cte("admitted")
_INSERT = Statement(
    insert(WebSession)
    .from_select(
        [column.name for column in _COLUMNS],
        select(*(bindparam(column.name, type_=column.type) for column in _COLUMNS)).where(
            or_(exists().select_from(_ADMITTED), ~exists(select(Link.user_id).where(_LINK)))
        ),
    )
    .returning(WebSession.id)
)
"""A session, unless the directory refuses the linked person.

The link is locked for that (FOR SHARE): a refusal that is being written is waited for and then
seen, and one that comes later waits for the session, sees it and ends it. SQLite has one writer.
"""
_LOCK = Statement(select(Link.user_id).where(_LINK).with_for_update(read=True))


def create(
    s: Session | PreparedConnection,
    user_id: int,
    *,
    method: str,
    now: datetime,
    lifetime: Lifetime,
    address: str = "",
    user_agent: str = "",
    instead_of: str = "",
) -> NewSession:
    """Sign a browser in. `method`: directory, local or kerberos.

    `instead_of` is the cookie that the browser had: it is worth nothing from now on. Whoever signs
    in again keeps what apps hold by their session, so that signing out reaches those apps; of
    somebody else's session nothing is left.

    Raises AccessEnded for a linked person whom the directory refuses: they may have been let in
    a moment before that was read.
    """
    hot = from_session(s)
    if instead_of:
        hot.one(_LOCK, user_id=user_id)  # before the old session, as whoever ends access does
    handle = (instead_of and _taken_over(hot, instead_of, user_id, now)) or secrets.token_hex(16)
    cookie = secrets.token_urlsafe(32)
    new = NewSession(cookie, digest(cookie), handle, lifetime.end(now, now))
    made = hot.one(
        _INSERT,
        id=new.id,
        handle=new.handle,
        user_id=user_id,
        created_at=now,
        seen_at=now,
        expires_at=new.expires_at,
        method=method,
        address=address[:64],
        user_agent=user_agent[:255].replace("\0", ""),
    )
    if made is None:
        raise AccessEnded("The directory says that this account is disabled or expired.")
    return new


_REPLACE = Statement(
    delete(WebSession)
    .where(WebSession.id == bindparam("id"))
    .returning(WebSession.handle, WebSession.user_id)
)


def _taken_over(hot: PreparedConnection, cookie: str, user_id: int, now: datetime) -> str | None:
    """End the cookie's session; returns its handle if it was the same user's, to go on under."""
    row = hot.one(_REPLACE, id=digest(cookie))
    if row is None:
        return None
    handle, owner = row
    if owner == user_id:
        return str(handle)
    end_for_session(hot, handle, now)
    return None


_SIGNED = (
    WebSession.id,
    WebSession.handle,
    User.id,
    User.subject,
    User.username,
    User.email,
    User.first_name,
    User.last_name,
    User.role,
    WebSession.method,
    WebSession.created_at,
    WebSession.seen_at,
    WebSession.expires_at,
)
_VALID = (
    WebSession.id == bindparam("id"),
    WebSession.expires_at > bindparam("now"),
    User.active,
    ~User.blocked,
)
_CHECK = Statement(select(*_SIGNED).join(User, User.id == WebSession.user_id).where(*_VALID))
_TOUCH = Statement(
    update(WebSession)
    .where(WebSession.id == bindparam("of"), WebSession.seen_at < bindparam("now"))
    .values(seen_at=bindparam("now"), expires_at=bindparam("until"))
)
_DEPARTMENTS = (
    select(_joined(Department.label))
    .join(Membership, Membership.department_id == Department.id)
    .where(Membership.user_id == User.id)
    .scalar_subquery()
)
_CHECK_GROUPS = Statement(
    select(*_SIGNED, _DEPARTMENTS).join(User, User.id == WebSession.user_id).where(*_VALID)
)


def check(db: Database, cookie: str, now: datetime, lifetime: Lifetime) -> Signed | None:
    """Return who is signed in with this cookie; None when nobody is.

    One indexed statement. Notes at most once a minute that the session is in use, which moves
    its idle end; that note is not worth an error when the database is busy elsewhere.
    """
    with db.fast() as hot:
        row = hot.one(_CHECK, id=digest(cookie), now=now)
    return None if row is None else _seen(db, Signed(*row), now, lifetime)


def check_with_departments(
    db: Database, cookie: str, now: datetime, lifetime: Lifetime
) -> tuple[Signed, tuple[str, ...]] | None:
    """As `check`, with the names of the user's departments in order, in the same statement."""
    return check_id_with_departments(db, digest(cookie), now, lifetime)


def check_id_with_departments(
    db: Database, session_id: str, now: datetime, lifetime: Lifetime
) -> tuple[Signed, tuple[str, ...]] | None:
    """The same for a session known by its id, not by its cookie."""
    with db.fast() as hot:
        row = hot.one(_CHECK_GROUPS, id=session_id, now=now)
    if row is None:
        return None
    signed = _seen(db, Signed(*row[:-1]), now, lifetime)
    return signed, tuple(sorted(row[-1].split(_SEPARATOR))) if row[-1] else ()


def _seen(db: Database, signed: Signed, now: datetime, lifetime: Lifetime) -> Signed:
    if now - signed.seen_at >= TOUCH:
        until = lifetime.end(signed.created_at, now)
        with suppress(DatabaseUnavailable), db.fast_write(patient=False) as hot:
            hot.run(_TOUCH, of=signed.session_id, now=now, until=until)
    return signed


_END = Statement(
    delete(WebSession).where(WebSession.id == bindparam("id")).returning(WebSession.handle)
)
_END_EXPIRED = Statement(delete(WebSession).where(WebSession.expires_at <= bindparam("now")))


def end(s: Session | PreparedConnection, session_id: str, now: datetime | None = None) -> None:
    """End one session by its id, and what apps hold by it; nothing happens if it is gone."""
    hot = from_session(s)
    row = hot.one(_END, id=session_id)
    if row is not None:
        end_for_session(hot, row[0], now)


def list_for(s: Session, user_id: int, now: datetime) -> list[WebSession]:
    """The user's sessions that are still good, last used first."""
    return list(
        s.execute(
            select(WebSession)
            .where(WebSession.user_id == user_id, WebSession.expires_at > now)
            .order_by(WebSession.seen_at.desc(), WebSession.id)
        ).scalars()
    )


def end_own(
    s: Session, user_id: int, handle: str, now: datetime | None = None
) -> WebSession | None:
    """End a session of this user by its public name; None when they have no such session."""
    row = s.execute(
        select(WebSession).where(WebSession.handle == handle, WebSession.user_id == user_id)
    ).scalar_one_or_none()
    if row is not None:
        s.delete(row)
        s.flush()
        end_for_session(s, handle, now)
    return row


def end_others(s: Session, user_id: int, keep: str, now: datetime | None = None) -> int:
    """End all sessions of the user but the one of id `keep`; returns how many ended."""
    gone = s.execute(
        delete(WebSession)
        .where(WebSession.user_id == user_id, WebSession.id != keep)
        .returning(WebSession.handle),
        execution_options={"synchronize_session": False},
    )
    handles = list(gone.scalars())
    for handle in handles:
        end_for_session(s, handle, now)
    return len(handles)


def keep_newest(db: Database, now: datetime, most: int = MOST) -> int:
    """End each user's oldest sessions above so many; returns how many ended.

    Looks without holding up whoever writes, and writes in small transactions.
    """
    counted = select(WebSession.user_id).group_by(WebSession.user_id)
    with db.read() as s:
        user_ids = s.scalars(counted.having(func.count() > most)).all()
    ended = 0
    for user_id in user_ids:
        while gone := _end_some_above(db, user_id, most, now):
            ended += gone
    return ended


def _end_some_above(db: Database, user_id: int, most: int, now: datetime) -> int:
    above = select(WebSession.id).where(WebSession.user_id == user_id)
    # Those made before the clock was set back look newer than they are.
    looks_newer = WebSession.created_at > now + SET_BACK
    above = above.order_by(looks_newer, WebSession.created_at.desc(), WebSession.id)
    above = above.offset(most).limit(_SOME)
    with db.write() as s:
        gone = s.scalars(
            delete(WebSession).where(WebSession.id.in_(above)).returning(WebSession.handle),
            execution_options={"synchronize_session": False},
        ).all()
        for handle in gone:
            end_for_session(s, handle, now)
    return len(gone)


def prune(s: Session | PreparedConnection, now: datetime) -> int:
    """Forget sessions that have ended by themselves; returns how many."""
    return from_session(s).run(_END_EXPIRED, now=now)
