"""Faults in the middle of a run: nothing is lost, nobody removed, the next one heals."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.base.errors import DatabaseUnavailable, LeaseLost, NumberTaken, Stale
from kerauno.database.engine import Database
from kerauno.sync import lease
from kerauno.tables.core import Lease, Run, RunChange
from provisioning.plan import Mode
from syncsvc.applying import apply, people_sql
from syncsvc.runs import departments
from syncsvc.runs.engine import RunOptions
from syncsvc.runs.run_context import Busy, Stopped
from tests.sync_engine import Interrupted, Saboteur, Sync

CLI = RunOptions("cli", wait=0.0)


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def sabotage(sync: Sync, at: int) -> int:
    """A build that is interrupted at its statement number `at`; gives how many it came to."""
    saboteur = Saboteur(at)
    sync.db._counts.append(saboteur)  # type: ignore[arg-type]
    try:
        sync.build()
    except Interrupted:
        pass
    finally:
        sync.db._counts.remove(saboteur)  # type: ignore[arg-type]
    return saboteur.statements


def mixed_changes(sync: Sync) -> dict[str, object]:
    """A company with a department, and then a bit of everything; gives what must come of it."""
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    people = sync.people(14)
    group = sync.fake.add_department("Sales", [p.guid for p in people[:6]])
    sync.build()
    sync.fake.change_person(people[0].guid, extension="1002", last_name="New")
    sync.fake.change_person(people[1].guid, extension="1001")
    sync.fake.change_person(people[2].guid, state=AccountState.DISABLED)
    sync.fake.remove_person(people[3].guid)
    newcomers = sync.people(3, first=50)
    sync.fake.change_department(
        group.guid, name="EMEA", members=[p.guid for p in (*people[:3], people[9], *newcomers)]
    )
    sync.fake.add_department("Support", [people[5].guid, newcomers[0].guid])
    return {"deactivated": {"p3.q3", "p4.q4"}, "created": {"p50.q50", "p51.q51", "p52.q52"}}


def assert_each_record_is_before_or_after(sync: Sync) -> None:
    """No record stands between: number, link and memberships belong to it or it does not exist."""
    for name, user in sync.users().items():
        assert user["guid"], name
        assert user["extension"], name
        if not user["active"]:
            assert user["reserved_until"] is not None
            assert name not in sync.members("Sales") | sync.members("EMEA")
    swapped = {
        sync.users()[name]["extension"] for name in ("p1.q1", "p2.q2") if name in sync.users()
    }
    assert swapped == {"1001", "1002"}


def assert_finished(sync: Sync) -> None:
    """The next run finishes the work, and the one after it finds nothing."""
    assert sync.build()["status"] in ("applied", "unchanged")
    assert sync.build()["status"] == "unchanged"
    users = sync.users()
    assert (users["p1.q1"]["extension"], users["p2.q2"]["extension"]) == ("1002", "1001")
    assert {name for name, user in users.items() if not user["active"]} == {"p3.q3", "p4.q4"}
    assert sync.members("EMEA") == {"p1.q1", "p2.q2", "p10.q10", "p50.q50", "p51.q51", "p52.q52"}
    assert sync.members("Support") == {"p6.q6", "p50.q50"}
    assert "running" not in {row["status"] for row in sync.rows(Run)}


def test_interrupted_at_every_statement_each_record_is_before_or_after(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """A crash at any point leaves every record before or after, and the next run finishes."""
    sync = Sync(sqlite_database, tmp_path)
    mixed_changes(sync)
    for at in range(1, 400):
        statements = sabotage(sync, at)
        assert_each_record_is_before_or_after(sync)
        if statements < at:
            break
    else:
        pytest.fail("the run never came to its end")
    assert_finished(sync)


def test_interrupted_while_it_gives_the_lease_back_the_next_run_need_not_wait(sync: Sync) -> None:
    mixed_changes(sync)
    sync.build()
    whole = sabotage(sync, 10_000)
    for at in range(whole - 4, whole + 1):  # the last of them are those of the lease
        assert sabotage(sync, at) >= at
        assert sync.build()["status"] == "unchanged"
    assert_finished(sync)


def test_interrupted_at_random_statements_on_both_databases(sync: Sync) -> None:
    mixed_changes(sync)
    luck = random.Random(7)
    for at in sorted(luck.sample(range(10, 90), 12)):
        sabotage(sync, at)
        assert_each_record_is_before_or_after(sync)
    assert_finished(sync)


def killed_in_the_middle(sync: Sync, at: int) -> None:
    """Run in a process of its own that is killed, without any clean-up, at statement `at`."""

    def die() -> BaseException:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def run() -> None:
        sync.db = Database(sync.db.url.render_as_string(hide_password=False))
        sync.engine = sync.another()
        sync.db._counts.append(Saboteur(at, die))  # type: ignore[arg-type]
        sync.build()

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(60)
    assert child.exitcode in (0, -signal.SIGKILL)


def test_killed_at_fifty_random_points_and_restarted(sync: Sync) -> None:
    """Half-created records must never stay: a killed service leaves all or nothing of each."""
    mixed_changes(sync)
    luck = random.Random(11)
    for _ in range(50 if sync.db.sqlite else 10):
        killed_in_the_middle(sync, luck.randrange(8, 110))
        assert_each_record_is_before_or_after(sync)
    assert_finished(sync)


def test_the_database_goes_away_in_the_middle_of_a_run(sync: Sync) -> None:
    mixed_changes(sync)
    for at in range(15, 100, 7):
        saboteur = Saboteur(at, lambda: DatabaseUnavailable("gone"))
        sync.db._counts.append(saboteur)  # type: ignore[arg-type]
        try:
            sync.build()
        except DatabaseUnavailable:
            pass
        finally:
            sync.db._counts.remove(saboteur)  # type: ignore[arg-type]
        assert_each_record_is_before_or_after(sync)
    assert_finished(sync)


def test_a_locked_database_fails_the_run_and_the_next_one_works(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Sync(sqlite_database, tmp_path)
    sync.people(3)
    path = sqlite_database.url.database
    assert path
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("kerauno.database.engine.LOCK_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable):
        sync.build()
    other.execute("ROLLBACK")
    other.close()
    assert sync.build()["created"] == 3


def test_two_services_never_run_at_once(sync: Sync) -> None:
    """Overlapping runs: the second waits for the lease, or says that it is busy."""
    sync.people(5)
    second = sync.another()
    met: list[BaseException] = []

    def meanwhile(_operation: str) -> None:
        sync.fake.on_operation = None
        try:
            second.run(RunOptions("timer", mode=Mode.BUILD, wait=0.0))
        except Busy as busy:
            met.append(busy)

    sync.fake.on_operation = meanwhile
    assert sync.build()["created"] == 5
    assert len(met) == 1
    assert second.run(RunOptions("timer", mode=Mode.BUILD))["status"] == "unchanged"


def test_two_services_starting_together_create_everybody_once(sync: Sync) -> None:
    sync.people(60)
    engines = [sync.another() for _ in range(3)]
    reports: list[dict[str, object]] = []

    def run(engine: object) -> None:
        reports.append(engine.run(RunOptions("timer", mode=Mode.BUILD, wait=60.0)))  # type: ignore[attr-defined]

    threads = [threading.Thread(target=run, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(r["created"]) for r in reports) == ["0", "0", "60"]
    assert len(sync.users()) == 60


def test_who_lost_the_lease_writes_nothing_more(sync: Sync) -> None:
    """A run that was paused too long is fenced off by the lease's token."""
    sync.people(5)

    def overtaken(_operation: str) -> None:
        sync.fake.on_operation = None
        configured = sync.engine.configured()
        with sync.db.write() as s:
            row = s.get(Lease, f"sync {configured.id}")
            assert row is not None
            row.expires_at = None
        assert lease.acquire(sync.db, f"sync {configured.id}", "another host") is not None

    sync.fake.on_operation = overtaken
    with pytest.raises(LeaseLost):
        sync.build()
    assert sync.users() == {}


def test_a_stopping_service_ends_between_two_batches(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncsvc.applying.apply.PEOPLE_PER_BATCH", 10)
    sync.people(50)

    def stop_soon(phase: str, done: int, _total: int) -> None:
        if phase == "applying" and done >= 20:
            sync.engine.stop.set()

    with pytest.raises(Stopped):
        sync.build(progress=stop_soon)
    assert len(sync.users()) == 20
    assert sync.rows(Run)[-1]["status"] == "failed"
    sync.engine.stop.clear()
    assert sync.build()["created"] == 30


def test_a_crashed_run_is_put_right_by_the_next(sync: Sync) -> None:
    sync.people(5)
    sabotage(sync, 25)
    report = sync.build()
    assert [row["status"] for row in sync.rows(Run)][-1] == report["status"]
    assert "running" not in {row["status"] for row in sync.rows(Run)}


def test_ten_thousand_conflicts_at_once(sqlite_database: Database, tmp_path: Path) -> None:
    sync = Sync(sqlite_database, tmp_path)
    for n in range(10_000):
        sync.fake.add_person(f"p{n}.q{n}", extension="1000")
    report = sync.build()
    assert (report["status"], report["conflicts"], report["created"]) == ("unchanged", 10_000, 0)
    assert sync.build()["conflicts"] == 10_000


def test_people_with_hostile_values_lose_nothing(sync: Sync) -> None:
    """Names in AD are an attacker's text: control characters, markup, 10,000 characters."""
    hostile = "<script>alert('x')</script>\x00\x1b[31m\u202e" + "x" * 10_000
    person = sync.fake.add_person(
        "odd.one",
        extension="1000",
        first_name=hostile,
        last_name="O'Neil; DROP TABLE user",
        display_name=hostile,
        dn='CN=a\\,b\\+c\\"d\\\\e\x00,OU=Staff,DC=goodcompany,DC=local',
    )
    sync.fake.add_department("D\x00e\u202ept" + "y" * 10_000, [person.guid])
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    report = sync.run()
    assert (report["status"], report["created"]) == ("applied", 1)
    assert report["departments"] == {"imported": 1, "updated": 0}
    assert sync.run()["status"] == "unchanged"


def test_the_reason_of_each_failure_is_in_the_journal(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad record must not roll back the whole run, and must say who it is."""
    sync.people(30)
    honest = people_sql._number

    def unlucky(s: object, ids: dict[str, int], creates: list[object], changes: object) -> None:
        honest(s, ids, creates, changes)  # type: ignore[arg-type]
        if any(a.want.extension == "1013" for a in creates):  # type: ignore[attr-defined]
            raise Stale("moved")

    monkeypatch.setattr(people_sql, "_number", unlucky)
    report = sync.build()
    assert (report["status"], report["created"]) == ("applied", 29)
    assert [(r["name"], r["error"]) for r in sync.rows(RunChange) if r["error"]] == [
        ("p13.q13", "moved")
    ]
    monkeypatch.undo()
    assert sync.build()["created"] == 1


def test_an_import_that_cannot_be_written_changes_nothing(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = sync.fake.add_department("Sales", [p.guid for p in sync.people(3)])

    def taken(*_args: object) -> None:
        raise NumberTaken("600", "somebody quicker")

    monkeypatch.setattr(apply, "write_department", taken)
    report = departments.import_department(sync.engine, CLI, group.dn, "600")
    assert (report["status"], sync.users()) == ("failed", {})
