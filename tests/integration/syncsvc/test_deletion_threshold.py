"""The threshold for leavers over a sliding hour, and what AD's word about one person ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.database.engine import Database
from kerauno.signin import sessions, user_lookup
from kerauno.tables.core import Directory, WebSession
from provisioning.plan import Mode
from syncsvc.runs import departments, plan_review
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync

CLI = RunOptions("cli", wait=0.0)


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def _inactive(sync: Sync) -> int:
    return sum(not user["active"] for user in sync.users().values())


def test_people_removed_one_by_one_are_held_at_the_threshold(sync: Sync) -> None:
    """Every 3 s one of 60; by turns all kinds of runs, each by a service that just started."""
    people = sync.people(60)
    sync.build()
    triggers = ("change", "timer", "console", "cli")
    statuses = []
    for number, person in enumerate(people[:14]):
        sync.fake.remove_person(person.guid)
        sync.engine = sync.another()
        report = sync.run(trigger=triggers[number % 4])
        statuses.append(report["status"])
        sync.clock.move(seconds=3)
    assert statuses == ["applied"] * 6 + ["held"] * 8
    assert _inactive(sync) == 6
    assert report["error"] == (
        "14 of 60 linked users would be deactivated within an hour, 8 of them by this run."
    )
    planned = sync.engine.preview(Mode.KEEP)
    assert " ".join(sync.engine.reasons_to_hold(planned)) == report["error"]


def test_what_was_confirmed_does_not_count_again(sync: Sync) -> None:
    people = sync.people(60)
    sync.build()
    for person in people[:7]:
        sync.fake.remove_person(person.guid)
    plan_review.confirm(sync.engine, sync.run()["run"], CLI)
    statuses = []
    for person in people[7:14]:
        sync.fake.remove_person(person.guid)
        statuses.append(sync.run(trigger="change")["status"])
    # 10 % of the 53 who stayed are 5.3; of 5 people nobody asks.
    assert statuses == ["applied"] * 5 + ["held"] * 2


def test_the_hour_ends(sync: Sync) -> None:
    people = sync.people(60)
    sync.build()
    for person in people[:6]:
        sync.fake.remove_person(person.guid)
        sync.run(trigger="change")
    sync.fake.remove_person(people[6].guid)
    assert sync.run(trigger="change")["status"] == "held"
    sync.clock.move(minutes=61)
    assert sync.run(trigger="timer")["status"] == "applied"


def test_the_one_who_returns_and_leaves_again_counts_once(sync: Sync) -> None:
    people = sync.people(60)
    sync.build()
    for _ in range(8):
        for in_scope in (False, True):
            sync.fake.set_scope(people[0].guid, in_scope)
            assert sync.run(trigger="change")["status"] == "applied"
    for person in people[:6]:
        sync.fake.set_scope(person.guid, False)
        assert sync.run(trigger="change")["status"] == "applied"
    sync.fake.set_scope(people[6].guid, False)
    assert sync.run(trigger="change")["status"] == "held"


def test_what_was_undone_does_not_count(sync: Sync) -> None:
    people = sync.people(60)
    sync.build()
    for person in people[:6]:
        sync.fake.set_scope(person.guid, False)
    run = sync.run()["run"]
    for person in people[:6]:
        sync.fake.set_scope(person.guid, True)
    plan_review.undo(sync.engine, run, CLI)
    sync.run()
    for person in people[6:12]:
        sync.fake.set_scope(person.guid, False)
    assert sync.run()["status"] == "applied"


def _open_session(sync: Sync, username: str) -> None:
    user_id, now = sync.users()[username]["id"], sync.clock()
    with sync.db.write() as s:
        sessions.create(s, user_id, method="directory", now=now, lifetime=sessions.Lifetime())


@pytest.mark.parametrize("state", [AccountState.DISABLED, AccountState.EXPIRED])
def test_a_held_run_keeps_nobody_signed_in_whom_the_directory_refuses(
    sync: Sync, state: AccountState
) -> None:
    """Sessions end and sign-in is refused while held, after discarding, and until AD says so."""
    people = sync.people(12)
    sync.build()
    directory_id = sync.rows(Directory)[0]["id"]
    for number in range(1, 13):
        _open_session(sync, f"p{number}.q{number}")

    def may_sign_in() -> list[bool]:
        with sync.db.read() as s:
            users = [user_lookup.find_person(s, directory_id, str(p.guid)) for p in people]
        return [user is not None and user.active for user in users]

    for person in people[:7]:
        sync.fake.change_person(person.guid, state=state)
    sync.fake.set_scope(people[7].guid, False)
    held = sync.run(trigger="change")
    assert held["status"] == "held"
    assert held["held_because"] == "8 of 12 linked users would be deactivated."
    assert sorted(action["reason"] for action in held["actions"]) == (
        [state.value] * 7 + ["out_of_scope"]
    )
    by = {action["reason"]: action["since_by"] for action in held["actions"]}
    disabled = state is AccountState.DISABLED
    assert by == {state.value: "ad" if disabled else "sync", "out_of_scope": "sync"}
    assert len(sync.rows(WebSession)) == 5  # out of scope waits with the rest
    assert may_sign_in() == [False] * 7 + [True] * 5
    assert _inactive(sync) == 0
    plan_review.discard(sync.engine, held["run"])
    assert may_sign_in() == [False] * 7 + [True] * 5
    sync.fake.change_person(people[0].guid, state=AccountState.ACTIVE)
    held = sync.run(trigger="change")
    assert held["status"] == "held"
    assert may_sign_in() == [True] + [False] * 6 + [True] * 5
    done = plan_review.confirm(sync.engine, held["run"], CLI)
    assert (done["status"], done["deactivated"]) == ("applied", 7)


def test_a_run_that_fails_while_planning_still_ends_the_access_of_who_is_disabled(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory's word about a person waits for no plan."""

    def broken(*_: object) -> None:
        raise ArithmeticError

    person, _ = sync.people(2)
    sync.build()
    for number in (1, 2):
        _open_session(sync, f"p{number}.q{number}")
    sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    monkeypatch.setattr("syncsvc.runs.engine.make_plan", broken)
    with pytest.raises(ArithmeticError):
        sync.run()
    assert [row["user_id"] for row in sync.rows(WebSession)] == [sync.users()["p2.q2"]["id"]]
    assert sync.users()["p1.q1"]["active"]


def test_an_import_ends_the_access_of_who_is_disabled_though_it_fails(sync: Sync) -> None:
    person, _ = sync.people(2)
    sync.build()
    for number in (1, 2):
        _open_session(sync, f"p{number}.q{number}")
    sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    done = departments.import_department(sync.engine, CLI, "CN=Nowhere,DC=company,DC=local", "600")
    assert done["status"] == "failed"
    assert [row["user_id"] for row in sync.rows(WebSession)] == [sync.users()["p2.q2"]["id"]]
