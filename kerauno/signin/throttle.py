"""How many attempts may be made, per account and per address, across all workers and hosts.

An attempt takes a slot *before* the password is tried, in a transaction that commits first:
however many guesses arrive together, no more are let through than the budget holds. Then it is
settled as a success, a failure, or given back when nothing was asked.

An attempt may end without anybody knowing how: the server broke off, the worker was killed, the
database failed. Of a name and an address such an attempt lapses after a minute. Of a person in a
directory it counts until the directory has said how many wrong passwords it counted (`allocate`).

An attempt counts for the name as it was typed, for the person whom the name means, and for the
address. All spellings of a name have one key, whether somebody has that name or not, so that the
throttle does not tell who exists. A person may have several names; their own key keeps the total
below the domain's lockout threshold.

The person's budget counts as AD counts: AD forgets wrong passwords when the observation window has
passed since the *last* of them (MS-ADTS 3.1.1.5.2, lockOutObservationWindow), so the window runs
from the last attempt; a right password forgives what came before it, and nothing that came while
it was under way. A part of it is reserved for browsers in which the person has signed in before.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased
from sqlalchemy.types import TypeEngine

from kerauno.base.clock import SET_BACK
from kerauno.base.errors import Throttled
from kerauno.base.ip_addresses import network
from kerauno.base.lookup_keys import lookup_key
from kerauno.database.engine import Database
from kerauno.database.prepared import PreparedConnection, Row, Statement, from_session
from kerauno.tables.core import Attempt, UtcDateTime

_UNKNOWN_THRESHOLD = 4  # assumed while the domain's is not known: three attempts
_MOST_RESERVED = 3

KEPT = timedelta(days=2)
"""How long counts are kept: longer than any window."""

LAPSES_AFTER = timedelta(minutes=1)
"""How long after the last attempt was let through one that is not settled never will be."""

_MARGIN = timedelta(minutes=1)  # between this clock and the domain's, and a slow bind's answer


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit` failures within `window`; `rolling` when the window runs from the last attempt.

    `reserved` more are for known browsers: they count on the same key, up to `limit + reserved`.
    """

    limit: int
    window: timedelta
    rolling: bool
    reserved: int = 0

    def with_reserve(self) -> Budget:
        """The budget of a known browser."""
        return replace(self, limit=self.limit + self.reserved, reserved=0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """One attempt that was let through, to be settled exactly once.

    `seen` are the failures of the account before this attempt, `person_seen` those of the person.
    `person` is empty where no person is meant.
    """

    account: str
    address: str
    seen: int
    generation: int
    person: str = ""
    person_seen: int = 0
    person_generation: int = 0

    @property
    def keys(self) -> dict[str, str]:
        """The keys on which it counts, by scope."""
        keys = {"account": self.account, "address": self.address}
        return {**keys, "person": self.person} if self.person else keys


def account_budget(
    threshold: int | None,
    window: float | None,
    *,
    most: int = 5,
    default_window: timedelta = timedelta(minutes=30),
) -> Budget:
    """The budget of an account whose domain locks at `threshold` failures in `window` seconds.

    Limit and reserve together are less than the threshold. A third of what is below the
    threshold is reserved, at least 1 and at most 3; a threshold of 2 leaves no reserve, and one
    of 1 no room at all, and 1 is given. The limit is never more than `most`. An unknown threshold
    (None) is taken for 4; 0 means that nothing locks (no lockout, or a local user). The window is
    the domain's and a minute, so that ours ends last.
    """
    if threshold == 0:
        return Budget(most, default_window, rolling=True, reserved=_MOST_RESERVED)
    room = (_UNKNOWN_THRESHOLD if threshold is None else threshold) - 1
    reserved = min(max(room // 3, 1), _MOST_RESERVED) if room > 1 else 0
    limit = max(1, min(most, room - reserved))
    length = default_window if window is None else timedelta(seconds=window)
    return Budget(limit, length + _MARGIN, rolling=True, reserved=reserved)


def address_budget(limit: int, window: timedelta) -> Budget:
    """The budget of an address: larger, since many people may share one."""
    return Budget(limit, window, rolling=False)


def name_key(name: str) -> str:
    """Under which a name is counted: the part without a domain, in whatever spelling."""
    digest = hashlib.sha256(lookup_key(name).encode("utf-8", "surrogatepass")).hexdigest()
    return f"name:{digest}"


def hollow_key(key: str) -> str:
    """Under which attempts of a name are counted that prove nothing, such as an empty password."""
    return f"{key} hollow"


def person_key(*, guid: str | None = None, user_id: int | None = None) -> str:
    """Under which a person is counted: their GUID in the directory, else their user."""
    return f"{_IN_DIRECTORY}{guid}" if guid else f"user:{user_id}"


def guid_of(person: str) -> str:
    """The GUID of a person's key; only for a person in a directory."""
    return person.removeprefix(_IN_DIRECTORY)


def address_key(address: str) -> str:
    """Under which an address is counted: IPv4 as it is, IPv6 by its /64, as one site has it."""
    return f"addr:{network(address)}"


_NOW = bindparam("now", type_=UtcDateTime())
_LONG_AGO = bindparam("long_ago", type_=UtcDateTime())
_IN_DIRECTORY = "guid:"
_SCOPES = ("account", "address", "person")
"""The keys of an attempt, in the order in which they are locked and in which the one that is over
is named: the person's last, since an attempt may go on without it
(see `authsvc.signin.decision`)."""


def _by_scope(name: str, kind: TypeEngine[Any], scopes: Sequence[str]) -> ColumnElement[Any]:
    """The parameter of the key that a row has."""
    of_scope = [
        (Attempt.key == bindparam(scope, type_=String()), bindparam(f"{scope}_{name}", type_=kind))
        for scope in scopes
    ]
    return case(*of_scope)


def _taking_each(
    dialect: type[sqlite.Insert] | type[postgresql.Insert], scopes: Sequence[str]
) -> Statement:
    """Count one more pending attempt of each key whose budget allows; returns a row for these."""
    new = dialect(Attempt).values(
        [
            {
                "key": bindparam(scope, type_=String()),
                "failures": literal(0),
                "pending": literal(1),
                "generation": literal(0),
                "counted_from": _NOW,
                "doubtful": literal(0),
                "taken_at": _NOW,
            }
            for scope in scopes
        ]
    )
    over = Attempt.counted_from <= _by_scope("since", UtcDateTime(), scopes)
    lapsed = (Attempt.taken_at <= _LONG_AGO) & _by_scope("lapses", Boolean(), scopes)
    pending = case((lapsed, 0), else_=Attempt.pending)
    rolling = _by_scope("rolling", Boolean(), scopes)
    limit = _by_scope("limit", Integer(), scopes)
    return Statement(
        new.on_conflict_do_update(
            index_elements=[Attempt.key],
            set_={
                "failures": case((over, 0), else_=Attempt.failures),
                "pending": case((over, 1), else_=pending + 1),
                "doubtful": case((over, 0), else_=Attempt.doubtful),
                "taken_at": _NOW,
                "generation": case((over, Attempt.generation + 1), else_=Attempt.generation),
                "counted_from": case((over | rolling, _NOW), else_=Attempt.counted_from),
            },
            where=over | (Attempt.failures + pending < limit),
        ).returning(Attempt.key, Attempt.failures, Attempt.generation)
    )


def _wanted(name: str) -> Select[str, datetime, int, bool, bool]:
    """One key and its budget, in a row: a window that is still open began after `since`."""
    return select(
        bindparam(name, type_=String()).label("key"),
        bindparam(f"{name}_since", type_=UtcDateTime()).label("since"),
        bindparam(f"{name}_limit", type_=Integer()).label("limit"),
        bindparam(f"{name}_rolling", type_=Boolean()).label("rolling"),
        bindparam(f"{name}_lapses", type_=Boolean()).label("lapses"),
    )


def _taking_all(scopes: Sequence[str]) -> Statement:
    """Count one more pending attempt of all keys if all budgets allow; returns rows only then.

    For SQLite, where one writes at a time: what the statement reads is so when it writes.
    """
    requests = union_all(*map(_wanted, scopes)).cte("wanted")
    request, other, old = requests.alias(), aliased(Attempt), aliased(Attempt)
    full = (
        select(request.c.key)
        .join(other, other.key == request.c.key)
        .where(other.counted_from > request.c.since)
        .where(
            other.failures
            + case(((other.taken_at <= _LONG_AGO) & request.c.lapses, 0), else_=other.pending)
            >= request.c.limit
        )
    )
    still_open = old.counted_from > requests.c.since
    lapsed = (old.taken_at <= _LONG_AGO) & requests.c.lapses
    taken = (
        select(
            requests.c.key,
            case((still_open, old.failures), else_=0),
            case((still_open & ~lapsed, old.pending + 1), else_=1),
            case((still_open, old.generation), else_=func.coalesce(old.generation + 1, 0)),
            case((still_open & ~requests.c.rolling, old.counted_from), else_=_NOW),
            case((still_open, old.doubtful), else_=0),
            _NOW,
        )
        .select_from(requests)
        .outerjoin(old, old.key == requests.c.key)
        .where(~full.exists())
    )
    columns = [
        "key",
        "failures",
        "pending",
        "generation",
        "counted_from",
        "doubtful",
        "taken_at",
    ]
    new = sqlite.insert(Attempt).from_select(columns, taken)
    return Statement(
        new.on_conflict_do_update(
            index_elements=[Attempt.key], set_={name: new.excluded[name] for name in columns[1:]}
        ).returning(Attempt.key, Attempt.failures, Attempt.generation)
    )


_VARIANTS: tuple[tuple[str, ...], ...] = (_SCOPES[:2], _SCOPES)  # without a person, and with one
_TAKE_ALL = {scopes: _taking_all(scopes) for scopes in _VARIANTS}
_TAKE_EACH = {
    (name, scopes): _taking_each(dialect, scopes)
    for name, dialect in (("sqlite", sqlite.Insert), ("postgresql", postgresql.Insert))
    for scopes in _VARIANTS
}
_COUNTED = Statement(
    select(Attempt.counted_from, Attempt.taken_at, Attempt.failures).where(
        Attempt.key == bindparam("of")
    )
)


def _settling(scopes: Sequence[str], **changes: Any) -> dict[str, Statement]:
    """Settle an attempt's counts: all in one statement, or the one of `of`."""
    change = (
        update(Attempt).where(Attempt.pending > 0).values(pending=Attempt.pending - 1, **changes)
    )
    every = Attempt.key.in_([bindparam(scope) for scope in scopes])
    return {
        "sqlite": Statement(change.where(every)),
        "postgresql": Statement(change.where(Attempt.key == bindparam("of"))),
    }


def _forgiving(scopes: Sequence[str]) -> dict[str, Statement]:
    """Settle a success: whose failures are forgiven, and no others."""
    failures = [
        (
            (Attempt.key == bindparam(scope))
            & (Attempt.generation == bindparam(f"{scope}_generation")),
            Attempt.failures - bindparam(f"{scope}_seen"),
        )
        for scope in scopes
        if scope != "address"
    ]
    return _settling(
        scopes,
        failures=case(*failures, else_=Attempt.failures),
        doubtful=0,
        generation=case((_IS_ADDRESS, Attempt.generation), else_=Attempt.generation + 1),
    )


_IS_ADDRESS = Attempt.key == bindparam("address")
_FAIL = {
    scopes: _settling(
        scopes,
        failures=Attempt.failures + 1,
        counted_from=case((_IS_ADDRESS, Attempt.counted_from), else_=_NOW),
    )
    for scopes in _VARIANTS
}
_IS_PERSON = Attempt.key == bindparam("person")
_LOSE = {
    scopes: _settling(
        scopes,
        failures=Attempt.failures + case((_IS_PERSON, 1), else_=0),
        doubtful=Attempt.doubtful + case((_IS_PERSON, 1), else_=0),
        counted_from=case((_IS_PERSON, _NOW), else_=Attempt.counted_from),
    )
    for scopes in _VARIANTS
}
_GIVE_BACK = {scopes: _settling(scopes) for scopes in _VARIANTS}
_FORGIVE = {scopes: _forgiving(scopes) for scopes in _VARIANTS}
_LEFT = case((Attempt.taken_at <= _LONG_AGO, Attempt.pending), else_=0)
"""Pending attempts that nobody will settle any more."""

_UNSETTLED = (Attempt.key == bindparam("of")) & ((Attempt.doubtful > 0) | (_LEFT > 0))
_IS_UNSETTLED = Statement(select(Attempt.key).where(_UNSETTLED))


def _settled_by_directory() -> Statement:
    """Return what is doubtful becomes what the directory counted, within what it can have
    counted."""
    wrong = bindparam("wrong", type_=Integer())
    least, most = Attempt.failures - Attempt.doubtful, Attempt.failures + _LEFT
    return Statement(
        update(Attempt)
        .where(_UNSETTLED)
        .values(
            failures=case((wrong < least, least), (wrong > most, most), else_=wrong),
            pending=Attempt.pending - _LEFT,
            doubtful=0,
            generation=Attempt.generation + 1,
        )
    )


_SETTLE_BY_DIRECTORY = _settled_by_directory()
_BRING_BACK = Statement(
    update(Attempt)
    .where(Attempt.key == bindparam("of"))
    .values(
        counted_from=case((Attempt.counted_from > _NOW, _NOW), else_=Attempt.counted_from),
        taken_at=case((Attempt.taken_at > _NOW, _NOW), else_=Attempt.taken_at),
    )
)
"""What was counted before the clock was set back counts from now: AD may still count it, too."""

_PRUNE = Statement(delete(Attempt).where(Attempt.counted_from <= bindparam("before")))


def reserve(
    db: Database,
    account: str,
    address: str,
    budget: Budget,
    by_address: Budget,
    now: datetime,
    *,
    person: str = "",
) -> Reservation:
    """Let one attempt through, or raise Throttled with the seconds to wait. Commits at once.

    `person` has the budget of the account.
    """
    scopes = _VARIANTS[bool(person)]
    keys = dict(zip(scopes, (account, address, person), strict=False))
    budgets = {"account": budget, "address": by_address, "person": budget}
    values: dict[str, Any] = {"now": now, "long_ago": now - LAPSES_AFTER, **keys}
    for scope in scopes:
        values[f"{scope}_since"] = now - budgets[scope].window
        values[f"{scope}_limit"] = budgets[scope].limit
        values[f"{scope}_rolling"] = budgets[scope].rolling
        values[f"{scope}_lapses"] = not keys[scope].startswith(_IN_DIRECTORY)
    rows = db.fast_single(_TAKE_ALL[scopes], **values) if db.sqlite else []

    def take_each(hot: PreparedConnection) -> list[Row]:
        rows = hot.all(_TAKE_EACH[hot.dialect.name, scopes], **values)
        taken = {row[0] for row in rows}
        for scope in scopes:
            if keys[scope] not in taken:
                raise _throttled(hot, keys[scope], budgets[scope], now, scope)
        return rows

    if not rows:  # on SQLite, to see which is over
        try:
            rows = db.fast_work(take_each)
        except _SetBack as error:
            key = error.key
            db.fast_work(lambda hot: hot.run(_BRING_BACK, of=key, now=now))
            raise
    counts = {key: (failures, generation) for key, failures, generation in rows}
    return Reservation(account, address, *counts[account], person, *counts.get(person, (0, 0)))


def succeed(s: Session | PreparedConnection, slot: Reservation) -> None:
    """The password was right: forgive what came before; the address loses nothing."""
    values = {
        "address": slot.address,
        "account": slot.account,
        "account_seen": slot.seen,
        "account_generation": slot.generation,
    }
    if slot.person:
        values["person"] = slot.person
        values["person_seen"] = slot.person_seen
        values["person_generation"] = slot.person_generation
    _settle(from_session(s), _FORGIVE, slot, values)


def fail(s: Session | PreparedConnection, slot: Reservation, now: datetime) -> None:
    """The password was wrong."""
    _settle(from_session(s), _FAIL, slot, {"address": slot.address, "now": now})


def lose(s: Session | PreparedConnection, slot: Reservation, now: datetime) -> None:
    """The directory was asked and never answered: it alone knows whether it counted a password."""
    _settle(from_session(s), _LOSE, slot, {"person": slot.person, "now": now})


def is_unsettled(s: Session | PreparedConnection, person: str, now: datetime) -> bool:
    """Return whether the directory may know better than we how many wrong passwords a person
    has."""
    in_directory = person.startswith(_IN_DIRECTORY)
    row = (
        from_session(s).one(_IS_UNSETTLED, of=person, long_ago=now - LAPSES_AFTER)
        if in_directory
        else None
    )
    return row is not None


def settle(s: Session | PreparedConnection, person: str, wrong: int, now: datetime) -> None:
    """The directory has counted so many wrong passwords of the person by now."""
    from_session(s).run(_SETTLE_BY_DIRECTORY, of=person, wrong=wrong, long_ago=now - LAPSES_AFTER)


def cancel(s: Session | PreparedConnection, slot: Reservation) -> None:
    """Nothing was asked of anybody, so nothing is counted."""
    _settle(from_session(s), _GIVE_BACK, slot, {})


def prune(s: Session | PreparedConnection, now: datetime) -> int:
    """Forget counts older than any window; returns how many."""
    return from_session(s).run(_PRUNE, before=now - KEPT)


def _settle(
    hot: PreparedConnection,
    statements: Mapping[tuple[str, ...], dict[str, Statement]],
    slot: Reservation,
    values: dict[str, Any],
) -> None:
    keys = slot.keys
    statement = statements[tuple(keys)][hot.dialect.name]
    if hot.dialect.name == "sqlite":
        hot.run(statement, **{**values, **keys})
        return
    # PostgreSQL locks row by row: always in the order in which `reserve` does, so that two attempts
    # of one person never wait for each other.
    for key in keys.values():
        hot.run(statement, of=key, **values)


class _SetBack(Throttled):
    """The same where the count is of a time to come: the clock has been set back since."""


def _throttled(
    hot: PreparedConnection, key: str, budget: Budget, now: datetime, scope: str
) -> Throttled:
    counted_from, taken_at, failures = hot.one(_COUNTED, of=key) or (now, now, budget.limit)
    kind = _SetBack if max(counted_from, taken_at) - now > SET_BACK else Throttled
    until = min(counted_from, now) + budget.window
    if failures < budget.limit and not key.startswith(_IN_DIRECTORY):
        until = min(until, min(taken_at, now) + LAPSES_AFTER)  # full of attempts under way
    return kind(
        max(1, math.ceil((until - now).total_seconds())),
        scope=scope,
        key=key,
        limit=budget.limit,
        window=budget.window,
    )
