"""The threshold for leavers over a sliding hour, and what AD's word about one person ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerauno.db import Database
from syncsvc import review
from syncsvc.engine import Ask
from syncsvc.plan import Mode
from tests.sync_engine import Sync

CLI = Ask("cli", wait=0.0)


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
    review.confirm(sync.engine, sync.run()["run"], CLI)
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
    review.undo(sync.engine, run, CLI)
    sync.run()
    for person in people[6:12]:
        sync.fake.set_scope(person.guid, False)
    assert sync.run()["status"] == "applied"
