"""Which phones may read the phone book, each by an address of its own that can be withdrawn."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.base.errors import InvalidValue, NotFound
from kerauno.tables.phone_access import PhoneAccess

KINDS = ("yealink", "grandstream", "cisco")
NOTED_EVERY = timedelta(minutes=5)
"""That an access was used is written at most this often."""


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(s: Session, name: str, kind: str, *, by: str, now: datetime) -> tuple[PhoneAccess, str]:
    """Make an access; returns it with its token, which is shown this once. Raises InvalidValue."""
    name = " ".join(name.split())
    if not name or len(name) > 128 or not name.isprintable():
        raise InvalidValue(
            "The access needs a name.", field="name", remedy="Use 1 to 128 characters."
        )
    if kind not in KINDS:
        raise InvalidValue(
            "This make of phone is not known.", field="kind", remedy=f"Use {', '.join(KINDS)}."
        )
    token = secrets.token_urlsafe(24)
    access = PhoneAccess(
        name=name, kind=kind, token_digest=digest(token), created_at=now, created_by=by
    )
    s.add(access)
    s.flush()
    return access, token


def listing(s: Session) -> list[PhoneAccess]:
    """Every access, by name."""
    return list(s.scalars(select(PhoneAccess).order_by(PhoneAccess.name, PhoneAccess.id)))


def remove(s: Session, access_id: int) -> PhoneAccess:
    """Withdraw an access; from the next request on its address is worth nothing.

    Raises NotFound.
    """
    access = s.get(PhoneAccess, access_id)
    if access is None:
        raise NotFound("There is no such phone access.")
    s.delete(access)
    s.flush()
    return access


def by_token(s: Session, token: str) -> PhoneAccess | None:
    """The access that this token opens; None when there is none (any more)."""
    return s.scalar(select(PhoneAccess).where(PhoneAccess.token_digest == digest(token)))


def note_use(s: Session, access_id: int, address: str, now: datetime) -> None:
    """Note that a phone read the phone book."""
    access = s.get(PhoneAccess, access_id)
    if access is not None:
        access.used_at = now
        access.used_from = address[:64]
