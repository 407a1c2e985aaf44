"""Taking a slot: both counts or neither, whoever else takes at the same time."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kerauno.base.errors import DatabaseUnavailable, Throttled
from kerauno.database import engine
from kerauno.database.engine import Database
from kerauno.signin import throttle
from kerauno.signin.throttle import LAPSES_AFTER, Budget, Reservation, address_budget
from kerauno.tables.core import Attempt
from tests.properties import examples
from tests.records import NOW

ACCOUNT = Budget(3, timedelta(minutes=30), rolling=True)
ADDRESS = address_budget(7, timedelta(minutes=10))


def counted(database: Database, part: str = "") -> dict[str, tuple[int, int, int, datetime]]:
    """Every count: failures, pending, generation, and where the window begins."""
    with database.read() as s:
        rows = s.scalars(select(Attempt).where(Attempt.key.contains(part)))
        return {
            row.key: (row.failures, row.pending, row.generation, row.counted_from) for row in rows
        }


def outcome(
    database: Database, account: str, address: str, now: datetime = NOW, person: str = ""
) -> Reservation | tuple[str, int]:
    """The slot, or what is over and for how many seconds."""
    try:
        return throttle.reserve(database, account, address, ACCOUNT, ADDRESS, now, person=person)
    except Throttled as full:
        return full.scope, full.retry_after


# -- one statement on SQLite, two in a transaction on PostgreSQL: the same in every case


@dataclass
class _Model:
    """The counts as they must be, in memory: failures, pending, generation, window's begin.

    `taken` is when one was let through last.
    """

    rows: dict[str, tuple[int, int, int, datetime]] = field(default_factory=dict)
    taken: dict[str, datetime] = field(default_factory=dict)

    def take(
        self, account: str, address: str, now: datetime, person: str = ""
    ) -> Reservation | tuple[str, int]:
        asked = [(account, ACCOUNT, "account"), (address, ADDRESS, "address")]
        asked += [(person, ACCOUNT, "person")] if person else []
        for key, budget, scope in asked:
            failures, pending, _, since = self.open(key, budget, now)
            if failures + pending >= budget.limit:
                until = since + budget.window
                if failures < budget.limit and not key.startswith("guid:"):
                    until = min(until, self.taken[key] + LAPSES_AFTER)
                return scope, max(1, math.ceil((until - now).total_seconds()))
        for key, budget, _ in asked:
            failures, pending, generation, since = self.open(key, budget, now)
            begin = now if budget.rolling else since
            self.rows[key] = (failures, pending + 1, generation, begin)
            self.taken[key] = now
        failures, _, generation, _ = self.rows[account]
        if not person:
            return Reservation(account, address, failures, generation)
        others, _, theirs, _ = self.rows[person]
        return Reservation(account, address, failures, generation, person, others, theirs)

    def open(self, key: str, budget: Budget, now: datetime) -> tuple[int, int, int, datetime]:
        if key not in self.rows:
            return 0, 0, 0, now
        failures, pending, generation, since = self.rows[key]
        if self.taken[key] <= now - LAPSES_AFTER and not key.startswith("guid:"):
            pending = 0
        if since > now - budget.window:
            return failures, pending, generation, since
        return 0, 0, generation + 1, now

    def settle(self, slot: Reservation, now: datetime | None) -> None:
        """As a failure, or given back where `now` is None."""
        for key in slot.keys.values():
            failures, pending, generation, since = self.rows[key]
            if not pending:
                continue
            if now is None:
                self.rows[key] = (failures, pending - 1, generation, since)
            else:
                since = since if key == slot.address else now
                self.rows[key] = (failures + 1, pending - 1, generation, since)


_cases = itertools.count()


@pytest.fixture(
    name="shared",
    scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def _shared(request: pytest.FixtureRequest) -> Iterator[Database]:
    with request.getfixturevalue(f"_{request.param}_databases").url() as url:
        database = Database(url)
        yield database
        database.close()


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "fail", "give back", "wait"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=30,
)


@settings(max_examples=examples(40))
@given(events=_EVENTS)
def test_every_order_of_attempts_counts_as_it_must(
    shared: Database, events: list[tuple[str, int, int, int]]
) -> None:
    case = f"case:{next(_cases)}:"
    model, now, under_way = _Model(), NOW, list[Reservation]()
    for event, pick, other, whose in events:
        if event == "wait":
            now += timedelta(minutes=(1, 10, 30)[pick])
        elif event == "take":
            account, address = f"{case}user:{pick}", f"{case}addr:{other}"
            person = f"guid:{case}{whose}" if whose else ""
            found = outcome(shared, account, address, now, person)
            assert found == model.take(account, address, now, person)
            if isinstance(found, Reservation):
                under_way.append(found)
        elif under_way:
            slot = under_way.pop(pick % len(under_way))
            with shared.fast_write() as hot:
                if event == "fail":
                    throttle.fail(hot, slot, now)
                else:
                    throttle.cancel(hot, slot)
            model.settle(slot, now if event == "fail" else None)
    assert counted(shared, case) == model.rows


def test_one_attempt_is_one_statement(database: Database) -> None:
    throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
    with database.counting() as counts:
        throttle.reserve(database, "user:1", "addr:1", ACCOUNT, ADDRESS, NOW, person="guid:1")
    assert (counts.statements, counts.writes) == (1, 1)


# -- at the same time


def _attempts(database: Database, name: str) -> int:
    """As many people as there are turns, each once, all from one address; how many passed."""
    found = [outcome(database, f"user:{name}:{turn}", "addr:1") for turn in range(10)]
    return sum(isinstance(one, Reservation) for one in found)


def _in_a_process(url: str, name: str, gate: Any, results: Any) -> None:
    database = Database(url)
    gate.wait()
    results.put(_attempts(database, name))
    database.close()


def _settled_alike(database: Database) -> None:
    """Compare the rows; a name that the address refused has no count of its own."""
    rows = counted(database)
    assert rows.pop("addr:1")[:2] == (0, ADDRESS.limit)
    assert [row[:2] for row in rows.values()] == [(0, 1)] * ADDRESS.limit


def test_processes_take_both_counts_or_neither(database: Database, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_in_a_process, args=(database_url, str(number), gate, results))
        for number in range(3)
    ]
    for worker in workers:
        worker.start()
    assert sum(results.get(timeout=60) for _ in workers) == ADDRESS.limit
    for worker in workers:
        worker.join()
    _settled_alike(database)


def test_threads_take_both_counts_or_neither(database: Database) -> None:
    gate = threading.Barrier(8)
    passed: list[int] = []

    def attempts(name: str) -> None:
        gate.wait()
        passed.append(_attempts(database, name))

    threads = [threading.Thread(target=attempts, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == ADDRESS.limit
    _settled_alike(database)


# -- while another process writes


def test_taking_waits_for_another_processs_writer(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
    other = sqlite3.connect(
        str(database.url.database), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM attempt")
    timer = threading.Timer(0.05, other.execute, ["COMMIT"])
    timer.start()
    slot = throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
    timer.join()
    assert slot == Reservation("user:0", "addr:0", 0, 0)
    assert [row[1] for row in counted(database).values()] == [1, 1]
    other.close()
    database.close()


def test_taking_from_a_locked_database_gives_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.05)
    database = Database(sqlite_url)
    with closing(sqlite3.connect(str(database.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
        other.execute("ROLLBACK")
    assert counted(database) == {}
    throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
    with database.write(), pytest.raises(RuntimeError, match="inside another"):
        throttle.reserve(database, "user:0", "addr:0", ACCOUNT, ADDRESS, NOW)
    database.close()
