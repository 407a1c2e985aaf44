"""Kerauno's users: making, changing and ending them. Whom a sign-in name means: `signin`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kerauno.accounts import dial_plan
from kerauno.accounts.access_revocation import Ended, end_access
from kerauno.base.errors import EmailTaken, InvalidValue, NotFound, ReadOnly, Stale, UsernameTaken
from kerauno.base.lookup_keys import lookup_key
from kerauno.base.passwords import hash_password
from kerauno.base.validation import valid_email, valid_name, valid_role, valid_username
from kerauno.tables.core import Link, Membership, Number, User

OWNED = {
    "full": frozenset({"username", "email", "first_name", "last_name", "extension"}),
    "login": frozenset({"username", "email"}),
}
"""Which fields the directory owns, by the scope of the user's link."""

FIELDS = frozenset({"username", "email", "first_name", "last_name", "extension"})
"""The fields that `change` takes."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """The values of a new user. `username` empty: the part of the email before `@`."""

    email: str
    first_name: str
    last_name: str
    username: str = ""
    extension: str | None = None
    role: str = "user"
    password: str | None = None


def create(s: Session, new: NewUser, now: datetime) -> User:
    """Make a user with all that belongs to them. Raises InvalidValue and its kinds."""
    email = valid_email(new.email)
    user = User(
        username=valid_username(new.username or email.partition("@")[0]),
        email=email,
        first_name=valid_name(new.first_name, "first_name"),
        last_name=valid_name(new.last_name, "last_name"),
        role=valid_role(new.role),
        password_hash=None if new.password is None else hash_password(new.password),
        created_at=now,
        updated_at=now,
    )
    user.username_key, user.email_key = lookup_key(user.username), lookup_key(email)
    _refuse_taken(s, user)
    _flush(s, user)
    if new.extension:
        dial_plan.give_user(s, user.id, new.extension, now)
    return user


def get(s: Session, user_id: int) -> User:
    """The user of this id. Raises NotFound."""
    user = s.get(User, user_id)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def by_email(s: Session, email: str) -> User:
    """The user with this email, regardless of case. Raises NotFound."""
    user = s.execute(select(User).where(User.email_key == lookup_key(email))).scalar_one_or_none()
    if user is None:
        raise NotFound(f"No user has the email {email[:254]}.")
    return user


def owned(s: Session, user_id: int) -> frozenset[str]:
    """The fields of this user that only the directory may change."""
    scope = s.execute(select(Link.scope).where(Link.user_id == user_id)).scalar_one_or_none()
    return OWNED[scope] if scope else frozenset()


def change(
    s: Session,
    user_id: int,
    changes: Mapping[str, str],
    now: datetime,
    *,
    version: int | None = None,
) -> User:
    """Change some of FIELDS; an empty extension takes the number away.

    A value equal to the present one is no change, also where the directory owns the field.
    Raises NotFound, ReadOnly, InvalidValue and its kinds, and Stale when `version` is given and
    somebody saved since.
    """
    user = get(s, user_id)
    if version is not None and user.version != version:
        raise Stale(f"{user.username} was changed by somebody else meanwhile. Look at it again.")
    number = dial_plan.of_user(s, user_id)
    present = {
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "extension": number.number if number else "",
    }
    changed = {name: _valid(name, text) for name, text in changes.items()}
    changed = {name: value for name, value in changed.items() if value != present[name]}
    for name in sorted(owned(s, user_id) & changed.keys()):
        raise ReadOnly(name.replace("_", " "))
    extension = changed.pop("extension", None)
    for name, value in changed.items():
        setattr(user, name, value)
    user.username_key, user.email_key = lookup_key(user.username), lookup_key(user.email)
    if changed or extension is not None:
        user.version += 1
        user.updated_at = now
        with s.no_autoflush:
            _refuse_taken(s, user)
        _flush(s, user)
    if extension:
        dial_plan.give_user(s, user_id, extension, now)
    elif extension is not None:
        dial_plan.free_user(s, user_id)
    return user


def set_role(s: Session, user_id: int, role: str, now: datetime) -> User:
    """Give the user a role. Raises InvalidValue for the last administrator, NotFound."""
    user = get(s, user_id)
    if valid_role(role) != "admin":
        _keep_an_admin(s, user)
    user.role = role
    _touch(user, now)
    s.flush()
    return user


def set_password(s: Session, user_id: int, password: str, now: datetime, *, keep: str = "") -> User:
    """Give a local user a password; what they were signed in with ends, but for session `keep`.

    Raises ReadOnly for a linked user, whose password is the directory's.
    """
    user = get(s, user_id)
    if s.get(Link, user_id) is not None:
        raise ReadOnly(
            "password", f"{user.username} signs in with their Active Directory password."
        )
    user.password_hash = hash_password(password)
    _touch(user, now)
    end_access(s, [user_id], now, keep=keep)
    s.flush()
    return user


def block(s: Session, user_id: int, now: datetime) -> User:
    """An administrator's no: the user may not sign in, whatever the directory says."""
    user = get(s, user_id)
    _keep_an_admin(s, user)
    user.blocked = True
    _touch(user, now)
    end_access(s, [user_id])
    s.flush()
    return user


def unblock(s: Session, user_id: int, now: datetime) -> User:
    """Take the administrator's no back."""
    user = get(s, user_id)
    user.blocked = False
    _touch(user, now)
    s.flush()
    return user


def deactivate(
    s: Session, user_ids: Collection[int], now: datetime, *, reserve_until: datetime
) -> Ended:
    """Leavers: access and memberships end, the number is kept for them until then.

    One transaction for all of them; who is inactive already is left as they are.
    """
    ended = Ended()
    ids = list(user_ids)
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        s.execute(
            update(User)
            .where(User.id.in_(part), User.active)
            .values(active=False, deactivated_at=now, updated_at=now, version=User.version + 1)
        )
        s.execute(
            update(Number)
            .where(Number.user_id.in_(part), Number.reserved_until.is_(None))
            .values(reserved_until=reserve_until)
        )
        s.execute(delete(Membership).where(Membership.user_id.in_(part)))
        ended += end_access(s, part)
    return ended


def reactivate(s: Session, user_id: int, now: datetime) -> str | None:
    """Somebody came back. Return their number if it is still theirs, else None."""
    user = get(s, user_id)
    user.active = True
    user.deactivated_at = None
    _touch(user, now)
    s.flush()
    return dial_plan.take_back(s, user_id)


def _valid(name: str, text: str) -> str:
    if name == "username":
        return valid_username(text)
    if name == "email":
        return valid_email(text)
    if name in ("first_name", "last_name"):
        return valid_name(text, name)
    if name == "extension":
        return dial_plan.parse_extension(text) if text.strip() else ""
    raise KeyError(f"users have no field {name!r} that can be changed here")


def _touch(user: User, now: datetime) -> None:
    user.updated_at = now
    user.version += 1


def words(user: User) -> str:
    """The user in a sentence, such as `John Doe (john.doe)`."""
    return f"{user.first_name} {user.last_name} ({user.username})"


def _refuse_taken(s: Session, user: User) -> None:
    """Raise if another user has this username or email."""
    others = select(User).where(User.id != user.id) if user.id is not None else select(User)
    other = s.execute(others.where(User.username_key == user.username_key)).scalar_one_or_none()
    if other is not None:
        raise UsernameTaken(user.username, words(other))
    other = s.execute(others.where(User.email_key == user.email_key)).scalar_one_or_none()
    if other is not None:
        raise EmailTaken(user.email, words(other))


def _flush(s: Session, user: User) -> None:
    """Write the user. On PostgreSQL another transaction may have taken a name since we looked."""
    try:
        with s.begin_nested():
            s.add(user)
            s.flush()
    except IntegrityError as error:
        if "email" in str(error.orig):
            raise EmailTaken(user.email, "somebody else") from error
        raise UsernameTaken(user.username, "somebody else") from error


def _keep_an_admin(s: Session, user: User) -> None:
    """Raise if without this user nobody could administer any more."""
    if user.role != "admin" or not user.active or user.blocked:
        return
    others = s.execute(
        select(func.count())
        .select_from(User)
        .where(User.role == "admin", User.active, ~User.blocked, User.id != user.id)
    ).scalar_one()
    if not others:
        raise InvalidValue(
            f"{words(user)} is the last administrator.",
            field="role",
            remedy="Make somebody else an administrator first.",
        )
