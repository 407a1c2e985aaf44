"""Undo on SQLite and PostgreSQL, and the journal that it goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.base.errors import Stale
from kerauno.database.engine import Database
from kerauno.tables.core import RunChange
from syncsvc.runs import departments, plan_review
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


CLI = RunOptions("cli", wait=0.0)


def test_undo_restores_records_links_numbers_and_memberships(sync: Sync) -> None:
    people = sync.people(14)
    group = sync.fake.add_department("Sales", [p.guid for p in people[:6]])
    sync.build()
    departments.import_department(sync.engine, CLI, group.dn, "600")
    before = sync.state()
    sync.fake.change_person(people[0].guid, extension="1002", last_name="New")
    sync.fake.change_person(people[1].guid, extension="1001")
    sync.fake.change_person(people[2].guid, state=AccountState.DISABLED)
    sync.fake.remove_person(people[3].guid)
    sync.people(2, first=50)
    sync.fake.change_department(
        group.guid, name="Sales EMEA", members=[p.guid for p in people[:3]] + [people[9].guid]
    )
    report = sync.build()
    assert (report["created"], report["updated"], report["deactivated"]) == (2, 2, 2)
    assert sync.state() != before
    undone, could_not = plan_review.undo(sync.engine, report["run"], CLI)
    assert (undone["status"], could_not) == ("applied", [])
    assert sync.state() == before
    with pytest.raises(Stale):
        plan_review.undo(sync.engine, report["run"], CLI)


def test_undo_of_the_first_build_leaves_nothing_behind(sync: Sync) -> None:
    sync.people(40)
    report = sync.build()
    _, could_not = plan_review.undo(sync.engine, report["run"], CLI)
    assert (could_not, sync.users()) == ([], {})


def test_undo_says_what_it_could_not(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    sync.fake.change_person(people[0].guid, extension="2001")
    sync.fake.change_person(people[1].guid, last_name="Renamed")
    report = sync.run()
    sync.add_local("quick.one", "1001")
    _, could_not = plan_review.undo(sync.engine, report["run"], CLI)
    assert could_not == ["p1.q1: the former extension 1001 is used by user quick.one (Local User)."]
    assert sync.users()["p2.q2"]["last_name"] == "Q2"
    assert sync.users()["p1.q1"]["extension"] == "2001"


def test_what_was_undone_is_not_done_again_by_itself(sync: Sync) -> None:
    sync.people(3)
    sync.set(auto_sync=True)
    report = sync.run()
    plan_review.undo(sync.engine, report["run"], CLI)
    again = sync.run(trigger="timer")
    assert (again["status"], again["created"]) == ("held", 0)
    assert plan_review.confirm(sync.engine, again["run"], CLI)["created"] == 3


# Journal, review, settings


def test_the_journal_says_before_and_after(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.people(11, first=30)
    sync.build()
    sync.fake.change_person(person.guid, last_name="New")
    report = sync.run()
    changes = [row for row in sync.rows(RunChange) if row["run_id"] == report["run"]]
    assert [(c["action"], c["name"], c["before"], c["after"], c["error"]) for c in changes] == [
        ("update", "p1.q1", {"last_name": "Q1"}, {"last_name": "New"}, "")
    ]
