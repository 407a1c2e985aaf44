"""The lease to run a sync: one holder at a time, on one host or many.

A lease is taken for some seconds and renewed while its holder lives. Its token only grows, and
every writing transaction of a run begins with `fence`: a holder that was paused, cut off or
overtaken finds another token there and writes nothing more. Times are the database's own, so
that the clocks of several hosts need not agree.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from kerauno.base.errors import DatabaseUnavailable, LeaseLost
from kerauno.database.engine import Database
from kerauno.tables.core import Lease

SECONDS = 30.0
"""How long a lease lasts without being renewed."""


_holding: set[str] = set()  # who in this process has a lease, or is about to


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that was got. `lost` is set when renewing found that another has it."""

    name: str
    holder: str
    token: int
    lost: threading.Event = field(default_factory=threading.Event, compare=False)


def me() -> str:
    """This process, in words by which others on the host can tell when it is gone; never twice."""
    pid = os.getpid()
    return "|".join((socket.gethostname(), _space(), str(pid), _born(pid), secrets.token_hex(4)))


def acquire(
    db: Database, name: str, holder: str, *, seconds: float = SECONDS, now: datetime | None = None
) -> Held | None:
    """Take the lease if it is free, has expired, or its holder is gone; else None."""
    lease: Held | None = None
    _holding.add(holder)  # before others can see that it has the lease
    try:
        lease = _take(db, name, holder, seconds, now)
    finally:
        if lease is None:
            _holding.discard(holder)
    return lease


def _take(
    db: Database, name: str, holder: str, seconds: float, now: datetime | None
) -> Held | None:
    with db.write() as s:
        if not db.sqlite:  # no row to lock may exist yet
            s.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"lease {name}"}
            )
        moment = _now(s, now)
        row = s.get(Lease, name, with_for_update=True)
        if row is None:
            row = Lease(name=name, token=0)
            s.add(row)
        elif row.expires_at is not None and row.expires_at > moment and not _gone(row.holder):
            return None
        row.holder = holder
        row.token += 1
        row.expires_at = moment + timedelta(seconds=seconds)
        s.flush()
        return Held(name, holder, row.token)


def renew(
    db: Database, lease: Held, *, seconds: float = SECONDS, now: datetime | None = None
) -> None:
    """Keep the lease for so long from now. Raises LeaseLost."""
    with db.write() as s:
        row = _mine(s, lease)
        row.expires_at = _now(s, now) + timedelta(seconds=seconds)


def release(db: Database, lease: Held) -> None:
    """Give the lease back; nothing happens when it is another's by now.

    Where that fails, this process can have the lease again at once, and others when it expires.
    """
    _holding.discard(lease.holder)
    with db.write() as s:
        row = s.get(Lease, lease.name, with_for_update=True)
        if row is not None and row.token == lease.token:
            row.expires_at = None


def fence(s: Session, lease: Held) -> None:
    """To be called first in each writing transaction of a run: raises LeaseLost.

    Nobody else can take the lease until the transaction ends. That the time ran out alone is no
    reason to stop: the token tells whether somebody took over.
    """
    _mine(s, lease)


def holder(s: Session, name: str, now: datetime | None = None) -> str | None:
    """Return who has the lease now, or None when it is free."""
    row = s.get(Lease, name)
    if row is None or row.expires_at is None or row.expires_at <= _now(s, now) or _gone(row.holder):
        return None
    return row.holder


@contextmanager
def keeping(db: Database, name: str, *, seconds: float = SECONDS) -> Iterator[Held | None]:
    """Hold the lease for the block, renewed in the background; None when another has it."""
    lease = acquire(db, name, me(), seconds=seconds)
    if lease is None:
        yield None
        return
    done = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(db, lease, seconds, done), name=f"lease {name}", daemon=True
    )
    keeper.start()
    try:
        yield lease
    finally:
        done.set()
        keeper.join()
        with suppress(DatabaseUnavailable):  # what was done is done
            release(db, lease)


def _keep(db: Database, lease: Held, seconds: float, done: threading.Event) -> None:
    """Renew until done or lost. A database that is away is asked again: the fence decides."""
    while not done.wait(seconds / 3):
        try:
            renew(db, lease, seconds=seconds)
        except LeaseLost:
            lease.lost.set()
            return
        except DatabaseUnavailable:
            continue


def _mine(s: Session, lease: Held) -> Lease:
    row = s.get(Lease, lease.name, with_for_update=True, populate_existing=True)
    if row is None or row.token != lease.token:
        lease.lost.set()
        raise LeaseLost(f"Another run took over ({row.holder if row else 'nobody'}).")
    return row


def _now(s: Session, now: datetime | None) -> datetime:
    """The database's clock: a file has its host's, a server its own."""
    if now is not None:
        return now
    if s.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = s.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def _gone(holder_text: str) -> bool:
    """Return whether the holder ran here, among the processes we can see, and does no longer.

    Whoever of this very process could not give the lease back is gone as well.
    """
    parts = holder_text.split("|")
    if len(parts) != 5 or parts[:2] != [socket.gethostname(), _space()]:
        return False
    if int(parts[2]) == os.getpid() and holder_text not in _holding:
        return True
    return _born(int(parts[2])) != parts[3]


def _space() -> str:
    """Which process ids are ours to judge: this boot of this host, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown:{secrets.token_hex(8)}"


def _born(pid: int) -> str:
    """When the process started, in ticks (proc(5), field 22); empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]
