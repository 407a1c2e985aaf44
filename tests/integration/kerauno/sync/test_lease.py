"""The lease: two runs never overlap, and who lost it writes nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from kerauno.base.errors import DatabaseUnavailable, LeaseLost
from kerauno.database.engine import Database
from kerauno.sync import lease
from kerauno.tables.core import Lease
from tests.records import NOW
from tests.sync_engine import Interrupted, Saboteur

SECONDS = 30.0
LATER = NOW + timedelta(seconds=SECONDS)


def acquire(database: Database, holder: str, now=NOW) -> lease.Held | None:  # type: ignore[no-untyped-def]
    return lease.acquire(database, "sync", holder, seconds=SECONDS, now=now)


def test_one_holder_at_a_time_and_growing_tokens(database: Database) -> None:
    first = acquire(database, "a")
    assert first is not None
    assert acquire(database, "b") is None
    assert acquire(database, "b", LATER - timedelta(seconds=1)) is None
    second = acquire(database, "b", LATER)
    assert second is not None
    assert second.token == first.token + 1
    lease.release(database, second)
    third = acquire(database, "c", LATER)
    assert third is not None
    assert third.token == second.token + 1


def test_renewing_keeps_it(database: Database) -> None:
    held = acquire(database, "a")
    assert held is not None
    lease.renew(database, held, seconds=SECONDS, now=NOW + timedelta(seconds=20))
    assert acquire(database, "b", LATER) is None
    with database.read() as s:
        assert lease.holder(s, "sync", LATER) == "a"
        assert lease.holder(s, "sync", LATER + timedelta(seconds=20)) is None
        assert lease.holder(s, "other", NOW) is None


def test_who_was_overtaken_is_fenced_off(database: Database) -> None:
    held = acquire(database, "a")
    assert held is not None
    assert acquire(database, "b", LATER) is not None
    with pytest.raises(LeaseLost, match="b"), database.write() as s:
        lease.fence(s, held)
    assert held.lost.is_set()
    with pytest.raises(LeaseLost):
        lease.renew(database, held)
    lease.release(database, held)  # not theirs to give back
    with database.read() as s:
        assert lease.holder(s, "sync", LATER) == "b"


def test_late_is_not_lost_while_nobody_took_over(database: Database) -> None:
    held = acquire(database, "a")
    assert held is not None
    with database.write() as s:
        lease.fence(s, held)


def test_nobody_takes_over_while_a_fenced_transaction_writes(database: Database) -> None:
    held = acquire(database, "a")
    assert held is not None
    order: list[str] = []

    def overtake() -> None:
        assert acquire(database, "b", LATER) is not None
        order.append("overtaken")

    with database.write() as s:
        lease.fence(s, held)
        thread = threading.Thread(target=overtake)
        thread.start()
        s.flush()
        order.append("written")
    thread.join()
    assert order == ["written", "overtaken"]
    with pytest.raises(LeaseLost), database.write() as s:
        lease.fence(s, held)


def test_one_of_many_gets_a_free_lease(database: Database) -> None:
    gate = threading.Barrier(8)
    got: list[lease.Held | None] = []

    def want(index: int) -> None:
        gate.wait()
        got.append(acquire(database, f"holder {index}"))

    threads = [threading.Thread(target=want, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held is not None for held in got) == 1


def test_keeping_renews_by_itself_and_gives_back(database: Database) -> None:
    with lease.keeping(database, "sync", seconds=0.3) as held:
        assert held is not None
        with database.read() as s:
            before = s.get(Lease, "sync")
        assert before is not None
        with lease.keeping(database, "sync") as second:
            assert second is None
        renewed = threading.Event()
        while not renewed.wait(0.02):
            with database.read() as s:
                row = s.get(Lease, "sync")
            if row is not None and row.expires_at != before.expires_at:
                renewed.set()
        assert not held.lost.is_set()
    with database.read() as s:
        assert lease.holder(s, "sync") is None


def test_keeping_learns_that_it_was_lost(database: Database) -> None:
    with lease.keeping(database, "sync", seconds=0.1) as held:
        assert held is not None
        with database.write() as s:
            row = s.get(Lease, "sync")
            assert row is not None
            row.token += 1
        assert held.lost.wait(10)


def _hold_for_ever(url: str, ready) -> None:  # type: ignore[no-untyped-def]
    with lease.keeping(Database(url), "sync", seconds=3600):
        ready.set()
        signal.pause()


def test_a_killed_holder_holds_nobody_up(database: Database, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_for_ever, args=(database_url, ready))
    holder.start()
    assert ready.wait(60)
    assert lease.acquire(database, "sync", lease.me()) is None
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    held = lease.acquire(database, "sync", lease.me())
    assert held is not None
    assert held.token == 2


@pytest.mark.parametrize("failure", [Interrupted, lambda: DatabaseUnavailable("gone")])
@pytest.mark.parametrize("statement", [1, 2])
def test_a_lease_that_could_not_be_given_back_holds_its_own_process_up_no_longer(
    database: Database, failure: Callable[[], BaseException], statement: int
) -> None:
    saboteur = Saboteur(statement, failure)
    with suppress(Interrupted), lease.keeping(database, "sync") as held:
        assert acquire(database, "b", None) is None
        database._counts.append(saboteur)  # type: ignore[arg-type]
    database._counts.clear()
    assert held is not None
    assert saboteur.left <= 0
    with lease.keeping(database, "sync") as again:
        assert again is not None
        assert again.token == held.token + 1
        assert lease.acquire(database, "sync", lease.me()) is None


def test_a_holder_elsewhere_is_never_presumed_dead(database: Database) -> None:
    assert acquire(database, "otherhost|boot:pid:[1]|1|12345|abcd") is not None
    assert acquire(database, "b") is None
    assert acquire(database, lease.me(), LATER) is not None
    assert acquire(database, "b", LATER) is None
