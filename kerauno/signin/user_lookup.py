"""Which user a sign-in name means: one prepared statement, run for every sign-in."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from kerauno.base.lookup_keys import lookup_key
from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import Directory, Link, User


class SignInUser(NamedTuple):
    """The one user that a sign-in name means, with all that deciding about them needs.

    A user whom the directory calls disabled or expired is not `active`, whatever a held run does.
    """

    user_id: int
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    active: bool
    blocked: bool
    password_hash: str | None
    directory_id: int | None  # None: not linked
    guid: str | None
    dn: str | None
    scope: str | None
    directory_version: int | None  # of the linked directory's settings
    login_without_domain: bool | None  # of the linked directory
    browser_key: str | None = None


def _reading(candidates: FromClause) -> Statement:
    """Everything `SignInUser` holds, for the user ids in `candidates`."""
    return Statement(
        select(
            User.id,
            User.username,
            User.email,
            User.first_name,
            User.last_name,
            User.role,
            and_(User.active, Link.refused_since.is_(None)),
            User.blocked,
            User.password_hash,
            Link.directory_id,
            Link.guid,
            Link.dn,
            Link.scope,
            Directory.version,
            Directory.login_without_domain,
            User.browser_key,
        )
        .select_from(candidates)
        .join(User, User.id == candidates.c.id)
        .outerjoin(Link, Link.user_id == User.id)
        .outerjoin(Directory, Directory.id == Link.directory_id)
        .limit(2)
    )


def _either(own: InstrumentedAttribute[str], linked: InstrumentedAttribute[Any]) -> Statement:
    """By the user's own column, which is unique, and only where nobody has it by the link's."""
    of_user = select(User.id.label("id")).where(own == bindparam("key"))
    of_link = select(Link.user_id).where(linked == bindparam("key"), ~of_user.exists())
    return _reading(union_all(of_user, of_link).cte("candidate"))


def _linked(*conditions: ColumnElement[bool]) -> Statement:
    return _reading(select(Link.user_id.label("id")).where(*conditions).cte("candidate"))


_BY_FORM = {
    "bare": _either(User.username_key, Link.account_key),
    "email": _either(User.email_key, Link.principal_key),
    "down-level": _linked(Link.account_key == bindparam("key")),
}
_BY_PERSON = _linked(Link.directory_id == bindparam("directory_id"), Link.guid == bindparam("guid"))
_BY_ID = _reading(
    select(User.id.label("id")).where(User.id == bindparam("user_id")).cte("candidate")
)


def find(
    s: Session | PreparedConnection, form: str, name: str, domain: str = ""
) -> SignInUser | None:
    """The one user whom this sign-in name means, or None.

    `form`, `name` and `domain` are those of a parsed login: `email` (name@domain) is the user's
    email, else the linked account's principal name, and never a username whose domain is another;
    `down-level` (DOMAIN\\name) and `bare` as the linked account's name, `bare` before that as the
    username. A name that several links carry means none of them: whose it is only the directory
    can tell.
    """
    key = lookup_key(f"{name}@{domain}" if form == "email" else name)
    rows = from_session(s).all(_BY_FORM[form], key=key)
    return SignInUser._make(rows[0]) if len(rows) == 1 else None


def find_person(s: Session | PreparedConnection, directory_id: int, guid: str) -> SignInUser | None:
    """The user linked to this person, or None."""
    row = from_session(s).one(_BY_PERSON, directory_id=directory_id, guid=guid)
    return None if row is None else SignInUser._make(row)
