"""Audit events: what happened, when, by whom, to whom. Append only; never a password, a token or a
cookie.

A refusal carries a short code such as `K7F3-2Q`, which a person can read out over the phone and
an administrator can look up.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, text, update
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import Audit

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is mistaken for another when read out

_INSERT = Statement(
    insert(Audit).values(
        {c.name: bindparam(c.name) for c in Audit.__table__.columns if c.name != "id"}
    )
)


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


def prune(s: Session, before: datetime) -> int:
    """Forget events older than that; returns how many."""
    return from_session(s).run(_PRUNE, before=before)


_COUNT = Statement(
    update(Audit)
    .where(Audit.code == bindparam("of_code"), text("code <> ''"))  # which lets the index be used
    .values(detail=bindparam("new_detail"))
)
_PRUNE = Statement(delete(Audit).where(Audit.at < bindparam("before")))


def _text(text: str, length: int) -> str:
    """Fit for the column: PostgreSQL takes neither NUL nor a lone surrogate."""
    return text[:length].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
