"""Refusals of the throttle, for administrators: noted, listed, cleared.

One audit event stands for all refused attempts of a key within a minute, and counts them: a flood
of attempts is none of events. Its code is on the page of each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.base.lookup_keys import lookup_key
from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.signin import throttle
from kerauno.tables.core import Attempt, Link, Throttle, User

NOTED_EVERY = timedelta(minutes=1)
OUTCOME = "throttled"
_LISTED = 500


@dataclass(frozen=True, slots=True)
class ThrottledKey:
    """A throttled key and its person, as far as known. `label` names it in words."""

    event: str
    label: str
    address: str = ""
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A key whose attempts are used up. `refused` counts those within the event of `code`."""

    key: str
    scope: str
    label: str
    user_id: int | None
    until: datetime
    refused: int
    code: str
    noted_at: datetime


def note(hot: PreparedConnection, error: Throttled, refusal: ThrottledKey, now: datetime) -> str:
    """Count a refused attempt, in the caller's transaction; return the code of its event."""
    code = audit.new_code()
    of_address = error.scope == "address"
    row = hot.one(
        _NOTE[hot.dialect.name],
        key=error.key,
        scope=error.scope,
        label=(refusal.address if of_address else refusal.label)[:320],
        user_id=None if of_address else refusal.user_id,
        limit=error.limit,
        seconds=int(error.window.total_seconds()),
        refused=1,
        code=code,
        noted_at=now,
        since=now - NOTED_EVERY,
    )
    assert row is not None
    if row[0] != code:
        audit.count(hot, row[0], {"counted": error.scope, "attempts": row[1]})
        return str(row[0])
    audit.append(
        hot,
        refusal.event,
        now=now,
        outcome=OUTCOME,
        actor=refusal.label,
        user_id=refusal.user_id,
        address=refusal.address,
        code=code,
        detail={"counted": error.scope, "attempts": 1},
    )
    return code


def listing(s: Session, now: datetime, search: str = "") -> list[Line]:
    """Return the keys that are used up just now, the latest refusal first; 500 at most.

    `search` is part of a label, or a whole name: names that nobody has are stored unreadably.
    """
    query = (
        select(Throttle, Attempt.counted_from)
        .join(Attempt, Attempt.key == Throttle.key)
        .where(Attempt.failures + Attempt.pending >= Throttle.limit)
        .order_by(Throttle.noted_at.desc(), Throttle.key)
    )
    key = lookup_key(search)
    if key:
        parts = (key, key.rpartition("@")[0], key.rpartition("\\")[2])
        names = [throttle.name_key(name) for name in parts if name]
        query = query.where(
            or_(Throttle.label.icontains(key, autoescape=True), Throttle.key.in_(names))
        )
    lines = []
    for row, counted_from in s.execute(query.limit(_LISTED)):
        until = counted_from + timedelta(seconds=row.seconds)
        if until > now:
            lines.append(
                Line(
                    row.key,
                    row.scope,
                    row.label,
                    row.user_id,
                    until,
                    row.refused,
                    row.code,
                    row.noted_at,
                )
            )
    return lines


def keys_of_user(s: Session, user: User) -> list[str]:
    """Return every key under which attempts on this user, or by them, may be counted."""
    link = s.get(Link, user.id)
    names = {user.username, user.email.rpartition("@")[0]}
    keys = [throttle.person_key(user_id=user.id), f"device:{user.id}"]
    if link is not None:
        keys.append(throttle.person_key(guid=link.guid))
        names |= {link.account_key or "", (link.principal_key or "").rpartition("@")[0]} - {""}
    return [*keys, *(key for name in sorted(names) for key in keys_of_name(name))]


def keys_of_name(name: str) -> list[str]:
    """Return the keys of a name, without its domain, whether somebody has it or not."""
    key = throttle.name_key(name)
    return [key, throttle.hollow_key(key)]


def owner(s: Session, key: str) -> tuple[int | None, str]:
    """Return the user whose key this is, if it is one's, and whose it is in words."""
    row = s.get(Throttle, key)
    return (None, "") if row is None else (row.user_id, row.label)


def clear(s: Session, key: str) -> None:
    """Let this key start again, and the user's others if it is a user's."""
    user_id, _ = owner(s, key)
    user = s.get(User, user_id) if user_id is not None else None
    clear_keys(s, [key, *(keys_of_user(s, user) if user is not None else [])])


def clear_keys(s: Session, keys: list[str]) -> None:
    """Let these keys start again."""
    for table in (Attempt, Throttle):
        s.execute(
            delete(table).where(table.key.in_(keys)),
            execution_options={"synchronize_session": False},
        )


def prune(s: Session, now: datetime) -> None:
    """Forget what was refused longer ago than any window lasts."""
    s.execute(delete(Throttle).where(Throttle.noted_at <= now - throttle.KEPT))


def _noting(dialect: type[sqlite.Insert] | type[postgresql.Insert]) -> Statement:
    new = dialect(Throttle).values(
        {column.name: bindparam(column.name) for column in Throttle.__table__.columns}
    )
    lasts = Throttle.noted_at > bindparam("since")
    changed = {name: new.excluded[name] for name in ("scope", "label", "user_id")}
    return Statement(
        new.on_conflict_do_update(
            index_elements=[Throttle.key],
            set_={
                **changed,
                "limit": new.excluded["limit"],
                "seconds": new.excluded["seconds"],
                "refused": case((lasts, Throttle.refused + 1), else_=1),
                "code": case((lasts, Throttle.code), else_=new.excluded["code"]),
                "noted_at": case((lasts, Throttle.noted_at), else_=new.excluded["noted_at"]),
            },
        ).returning(Throttle.code, Throttle.refused)
    )


_NOTE = {"sqlite": _noting(sqlite.Insert), "postgresql": _noting(postgresql.Insert)}
