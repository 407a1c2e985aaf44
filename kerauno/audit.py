"""What happened, when, by whom, to whom. Append only; never a password, a token or a cookie.

A refusal carries a short code such as `K7F3-2Q`, which a person can read out over the phone and
an administrator can look up.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, select, text, update
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import Audit

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is mistaken for another when read out

_INSERT = Statement(
    insert(Audit).values(
        {c.name: bindparam(c.name) for c in Audit.__table__.columns if c.name != "id"}
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to give; a field that is None does not narrow. `until` is not included."""

    events: Collection[str] | None = None
    outcome: str | None = None
    user_id: int | None = None
    guid: str | None = None
    actor: str | None = None
    address: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def new_code() -> str:
    """A code to read out: 31^6, nearly a milliard; looked up together with its day."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return f"{letters[:4]}-{letters[4:]}"


def append(
    s: Session | PreparedConnection,
    event: str,
    *,
    now: datetime,
    outcome: str = "",
    actor: str = "",
    user_id: int | None = None,
    guid: str | None = None,
    address: str = "",
    code: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note one event, in the caller's transaction. Texts longer than their column are cut."""
    from_session(s).run(
        _INSERT,
        at=now,
        event=event,
        outcome=outcome[:32],
        actor=_text(actor, 255),
        user_id=user_id,
        guid=guid,
        address=_text(address, 64),
        code=code,
        detail=dict(detail or {}),
    )


def count(s: Session | PreparedConnection, code: str, detail: Mapping[str, Any]) -> None:
    """Replace the detail of the event with this code: the one exception, for what is counted."""
    from_session(s).run(_COUNT, of_code=code, new_detail=dict(detail))


def page(s: Session, wanted: Wanted, *, limit: int = 50, before: int | None = None) -> list[Audit]:
    """The newest events that match, at most `limit`; `before` is the last id of the page before."""
    statement = _matching(wanted).order_by(Audit.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Audit.id < before)
    return list(s.execute(statement).scalars())


def by_code(s: Session, code: str) -> list[Audit]:
    """The events with this code, newest first; small letters and a missing dash are understood."""
    plain = "".join(char for char in code.upper() if char.isalnum())
    return page(s, Wanted(code=f"{plain[:4]}-{plain[4:]}"))


def prune(s: Session, before: datetime) -> int:
    """Forget events older than that; gives how many."""
    return from_session(s).run(_PRUNE, before=before)


_COUNT = Statement(
    update(Audit)
    .where(Audit.code == bindparam("of_code"), text("code <> ''"))  # which lets the index be used
    .values(detail=bindparam("new_detail"))
)
_PRUNE = Statement(delete(Audit).where(Audit.at < bindparam("before")))


def _matching(wanted: Wanted) -> Select[Audit]:
    statement = select(Audit)
    if wanted.events is not None:
        statement = statement.where(Audit.event.in_(wanted.events))
    for name in ("outcome", "user_id", "guid", "actor", "address", "code"):
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(getattr(Audit, name) == value)
    if wanted.code is not None:
        statement = statement.where(text("code <> ''"))  # lets the index be used, which says so
    if wanted.since is not None:
        statement = statement.where(Audit.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(Audit.at < wanted.until)
    return statement


def _text(text: str, length: int) -> str:
    """Fit for the column: PostgreSQL takes neither NUL nor a lone surrogate."""
    return text[:length].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
