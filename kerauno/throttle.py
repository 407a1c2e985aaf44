"""How many attempts may be made, per account and per address, across all workers and hosts.

An attempt takes a slot *before* the password is tried, in a transaction that commits first:
however many guesses arrive together, no more are let through than the budget holds. Then it is
settled as a success, a failure, or given back when nothing was asked.

The account's budget stays below the domain's lockout threshold and counts as AD counts: AD
forgets wrong passwords when the observation window has passed since the *last* of them
(MS-ADTS 3.1.1.5.2, lockOutObservationWindow), so the window runs from the last attempt; a right
password forgives what came before it, and nothing that came while it was under way.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Integer,
    Select,
    String,
    bindparam,
    case,
    delete,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from kerauno.addresses import network
from kerauno.db import Database
from kerauno.errors import Throttled
from kerauno.hot import Hot, Statement, of
from kerauno.keys import lookup_key
from kerauno.tables import Attempt, UtcDateTime

_UNKNOWN_THRESHOLD = 4  # assumed while the domain's is not known: three attempts
_MARGIN = timedelta(minutes=1)  # between this clock and the domain's, and a slow bind's answer


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit` failures within `window`; `rolling` when the window runs from the last attempt."""

    limit: int
    window: timedelta
    rolling: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """One attempt that was let through, to be settled exactly once."""

    account: str
    address: str
    seen: int  # failures of the account before this attempt
    generation: int


def account_budget(
    threshold: int | None,
    window: float | None,
    *,
    most: int = 5,
    default_window: timedelta = timedelta(minutes=30),
) -> Budget:
    """The budget of an account whose domain locks at `threshold` failures in `window` seconds.

    One less than the threshold (a threshold of 1 leaves no room, and 1 is given), never more
    than `most`; three while the threshold is unknown (None); `most` where nothing locks (0: no
    lockout, or a local user). The window is the domain's and a minute, so that ours ends last.
    """
    if threshold == 0:
        return Budget(most, default_window, rolling=True)
    limit = max(1, min(most, (_UNKNOWN_THRESHOLD if threshold is None else threshold) - 1))
    length = default_window if window is None else timedelta(seconds=window)
    return Budget(limit, length + _MARGIN, rolling=True)


def address_budget(limit: int, window: timedelta) -> Budget:
    """The budget of an address: larger, since many people may share one."""
    return Budget(limit, window, rolling=False)


def account_key(*, guid: str | None = None, user_id: int | None = None, typed: str = "") -> str:
    """Under which an account is counted: its GUID, else its user, else what was typed.

    The GUID comes first so that every spelling of a name shares one budget.
    """
    if guid:
        return f"guid:{guid}"
    if user_id is not None:
        return f"user:{user_id}"
    digest = hashlib.sha256(lookup_key(typed).encode("utf-8", "surrogatepass")).hexdigest()
    return f"name:{digest}"


def address_key(address: str) -> str:
    """Under which an address is counted: IPv4 as it is, IPv6 by its /64, as one site has it."""
    return f"addr:{network(address)}"


_NOW = bindparam("now", type_=UtcDateTime())
_ROLLING = bindparam("rolling", type_=Boolean())


def _taking(dialect: type[sqlite.Insert] | type[postgresql.Insert]) -> Statement:
    """Count one more pending attempt if the budget allows; gives a row only then."""
    new = dialect(Attempt).values(
        key=bindparam("key"), failures=0, pending=1, generation=0, counted_from=_NOW
    )
    over = Attempt.counted_from <= bindparam("over")
    return Statement(
        new.on_conflict_do_update(
            index_elements=[Attempt.key],
            set_={
                "failures": case((over, 0), else_=Attempt.failures),
                "pending": case((over, 1), else_=Attempt.pending + 1),
                "generation": case((over, Attempt.generation + 1), else_=Attempt.generation),
                "counted_from": case((over | _ROLLING, _NOW), else_=Attempt.counted_from),
            },
            where=over | (Attempt.failures + Attempt.pending < bindparam("limit")),
        ).returning(Attempt.failures, Attempt.generation)
    )


def _wanted(name: str) -> Select[str, datetime, int, bool]:
    """One key and its budget, in a row: a window that is still open began after `since`."""
    return select(
        bindparam(name, type_=String()).label("key"),
        bindparam(f"{name}_since", type_=UtcDateTime()).label("since"),
        bindparam(f"{name}_limit", type_=Integer()).label("limit"),
        bindparam(f"{name}_rolling", type_=Boolean()).label("rolling"),
    )


def _taking_both() -> Statement:
    """Count one more pending attempt of both keys if both budgets allow; gives rows only then.

    For SQLite, where one writes at a time: what the statement reads is so when it writes.
    """
    wanted = union_all(_wanted("account"), _wanted("address")).cte("wanted")
    asked, other, old = wanted.alias(), aliased(Attempt), aliased(Attempt)
    full = (
        select(asked.c.key)
        .join(other, other.key == asked.c.key)
        .where(other.counted_from > asked.c.since)
        .where(other.failures + other.pending >= asked.c.limit)
    )
    still_open = old.counted_from > wanted.c.since
    taken = (
        select(
            wanted.c.key,
            case((still_open, old.failures), else_=0),
            case((still_open, old.pending + 1), else_=1),
            case((still_open, old.generation), else_=func.coalesce(old.generation + 1, 0)),
            case((still_open & ~wanted.c.rolling, old.counted_from), else_=_NOW),
        )
        .select_from(wanted)
        .outerjoin(old, old.key == wanted.c.key)
        .where(~full.exists())
    )
    columns = ["key", "failures", "pending", "generation", "counted_from"]
    new = sqlite.insert(Attempt).from_select(columns, taken)
    return Statement(
        new.on_conflict_do_update(
            index_elements=[Attempt.key], set_={name: new.excluded[name] for name in columns[1:]}
        ).returning(Attempt.key, Attempt.failures, Attempt.generation)
    )


_TAKE_BOTH = _taking_both()
_TAKE = {"sqlite": _taking(sqlite.Insert), "postgresql": _taking(postgresql.Insert)}
_COUNTED_FROM = Statement(select(Attempt.counted_from).where(Attempt.key == bindparam("of")))
_IS_ACCOUNT = Attempt.key == bindparam("account")


def _settling(**changes: Any) -> dict[str, Statement]:
    """Settle an attempt's counts: both in one statement, or the one of `key`."""
    change = (
        update(Attempt).where(Attempt.pending > 0).values(pending=Attempt.pending - 1, **changes)
    )
    both = Attempt.key.in_((bindparam("account"), bindparam("address")))
    return {
        "sqlite": Statement(change.where(both)),
        "postgresql": Statement(change.where(Attempt.key == bindparam("of"))),
    }


_FAIL = _settling(
    failures=Attempt.failures + 1,
    counted_from=case((_IS_ACCOUNT, _NOW), else_=Attempt.counted_from),
)
_GIVE_BACK = _settling()
_FORGIVE = _settling(
    failures=case(
        (
            _IS_ACCOUNT & (Attempt.generation == bindparam("of_generation")),
            Attempt.failures - bindparam("seen"),
        ),
        else_=Attempt.failures,
    ),
    generation=case((_IS_ACCOUNT, Attempt.generation + 1), else_=Attempt.generation),
)
_CLEAR = Statement(delete(Attempt).where(Attempt.key == bindparam("of")))
_PRUNE = Statement(delete(Attempt).where(Attempt.counted_from <= bindparam("before")))


def take(
    db: Database, account: str, address: str, budget: Budget, by_address: Budget, now: datetime
) -> Slot:
    """Let one attempt through, or raise Throttled with the seconds to wait. Commits at once."""
    if db.sqlite:
        rows = db.fast_single(
            _TAKE_BOTH,
            account=account,
            account_since=now - budget.window,
            account_limit=budget.limit,
            account_rolling=budget.rolling,
            address=address,
            address_since=now - by_address.window,
            address_limit=by_address.limit,
            address_rolling=by_address.rolling,
            now=now,
        )
        for key, failures, generation in rows:
            if key == account:
                return Slot(account, address, failures, generation)
    # One after the other: the rows of PostgreSQL are locked so, and this tells which is over.
    with db.fast_write() as hot:
        row = _take(hot, account, budget, now, "account")
        _take(hot, address, by_address, now, "address")
    return Slot(account, address, row[0], row[1])


def succeed(s: Session | Hot, slot: Slot) -> None:
    """The password was right: forgive the account what came before; the address loses nothing."""
    _settle(
        of(s),
        _FORGIVE,
        slot,
        account=slot.account,
        seen=slot.seen,
        of_generation=slot.generation,
    )


def fail(s: Session | Hot, slot: Slot, now: datetime) -> None:
    """The password was wrong, or nobody knows whether the directory counted it."""
    _settle(of(s), _FAIL, slot, account=slot.account, now=now)


def give_back(s: Session | Hot, slot: Slot) -> None:
    """Nothing was asked of anybody, so nothing is counted."""
    _settle(of(s), _GIVE_BACK, slot)


def clear(s: Session | Hot, key: str) -> None:
    """An administrator lets an account or an address start anew."""
    of(s).run(_CLEAR, of=key)


def prune(s: Session | Hot, now: datetime) -> int:
    """Forget counts older than any window (two days); gives how many."""
    return of(s).run(_PRUNE, before=now - timedelta(days=2))


def _settle(hot: Hot, statements: dict[str, Statement], slot: Slot, **values: Any) -> None:
    statement = statements[hot.dialect.name]
    if hot.dialect.name == "sqlite":
        hot.run(statement, **{"account": slot.account, "address": slot.address, **values})
        return
    # PostgreSQL locks row by row: always the account's first, as `take` does, so that two
    # attempts of one person never wait for each other.
    for key in (slot.account, slot.address):
        hot.run(statement, of=key, **values)


def _take(hot: Hot, key: str, budget: Budget, now: datetime, scope: str) -> tuple[int, int]:
    row = hot.one(
        _TAKE[hot.dialect.name],
        key=key,
        now=now,
        over=now - budget.window,
        limit=budget.limit,
        rolling=budget.rolling,
    )
    if row is not None:
        return row[0], row[1]
    since = hot.one(_COUNTED_FROM, of=key)
    until = (since[0] if since else now) + budget.window
    raise Throttled(max(1, math.ceil((until - now).total_seconds())), scope=scope)
