"""Records for tests: an instant, a directory, users, in a line each."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.accounts import links, users
from kerauno.accounts.users import NewUser
from kerauno.sync import directory_settings
from kerauno.tables.core import Audit, Directory, User

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

_guids = itertools.count(1)


def new_guid() -> str:
    """An identity that no other test's person has."""
    return str(UUID(int=next(_guids)))


def add_directory(s: Session, **settings: object) -> Directory:
    """The configured directory."""
    return directory_settings.save(s, {"profile": {}, **settings}, by="test", now=NOW)


def add_user(
    s: Session,
    name: str,
    extension: str | None = None,
    *,
    role: str = "user",
    password: str | None = None,
) -> User:
    """`john.doe` as John Doe with the email john.doe@goodcompany.local."""
    first, _, last = name.partition(".")
    new = NewUser(
        email=f"{name}@goodcompany.local",
        first_name=first.capitalize(),
        last_name=last.capitalize() or "Doe",
        extension=extension,
        role=role,
        password=password,
    )
    return users.create(s, new, NOW)


def add_linked(
    s: Session,
    directory: Directory,
    name: str,
    extension: str | None = None,
    *,
    scope: str = "full",
    origin: str = "sync",
    guid: str | None = None,
) -> User:
    """The same, linked to a person whose UPN is name@goodcompany.test."""
    user = add_user(s, name, extension)
    person = links.LinkedAccount(
        directory.id,
        guid or new_guid(),
        f"CN={name},OU=People,DC=goodcompany,DC=local",
        f"{name}@goodcompany.test",
        name,
    )
    links.link(s, user.id, person, scope=scope, origin=origin, now=NOW)
    return user


def audit_events(s: Session, *events: str, user_id: int | None = None) -> list[Audit]:
    """Return the audit events of these names, or all; newest first."""
    statement = select(Audit).order_by(Audit.id.desc())
    if events:
        statement = statement.where(Audit.event.in_(events))
    if user_id is not None:
        statement = statement.where(Audit.user_id == user_id)
    return list(s.scalars(statement))
