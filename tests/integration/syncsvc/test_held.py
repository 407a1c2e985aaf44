"""Nobody is removed by failed reads, held and reviewed plans, changed settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from dirclient.model.errors import Incomplete, Misconfigured, Unavailable
from kerauno.accounts import links, users
from kerauno.base.errors import NumberTaken, Stale
from kerauno.database.engine import Database
from kerauno.sync import directory_settings
from kerauno.tables.core import Run, RunChange, User
from provisioning.plan import Mode
from syncsvc.applying.apply import apply_plan
from syncsvc.applying.people_sql import Target
from syncsvc.runs import departments, plan_review
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import START, Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


CLI = RunOptions("cli", wait=0.0)


@pytest.mark.parametrize("failure", [Incomplete, Unavailable])
def test_a_failed_read_removes_nobody_and_raises_the_alarm(
    sync: Sync, failure: type[Exception]
) -> None:
    """A timeout or outage is not "everyone left": failed runs change nothing and say so."""
    sync.people(12)
    sync.build()
    before = sync.state()
    sync.fake.incomplete = failure is Incomplete
    sync.fake.down = failure is Unavailable
    report = sync.run()
    assert (report["status"], report["complete"], report["deactivated"]) == ("failed", False, 0)
    assert report["error"]
    assert sync.state() == before
    with sync.db.read() as s:
        directory = directory_settings.load(s)
        assert directory is not None
        assert directory_settings.state(s, directory.id).error == report["error"]
    sync.fake.incomplete = sync.fake.down = False
    assert sync.run()["status"] == "unchanged"
    with sync.db.read() as s:
        assert directory_settings.state(s, directory.id).error == ""


def test_a_search_dn_that_was_renamed_removes_nobody(sync: Sync) -> None:
    sync.people(12)
    sync.build()

    def gone(_operation: str) -> None:
        raise Misconfigured("The User Search DN is gone.", field="user_search_dn", remedy="Set it.")

    sync.fake.on_operation = gone
    report = sync.run()
    assert (report["status"], report["error"]) == (
        "failed",
        "The User Search DN is gone. Set it.",
    )
    assert all(user["active"] for user in sync.users().values())


# Held runs


def test_an_empty_result_is_held_and_applied_only_when_confirmed(sync: Sync) -> None:
    """A valid but empty or shrunken result must not wipe users: held, shown, confirmed."""
    people = sync.people(12)
    sync.build()
    for person in people:
        sync.fake.set_scope(person.guid, False)
    report = sync.run()
    assert (report["status"], report["deactivated"]) == ("held", 0)
    assert all(user["active"] for user in sync.users().values())
    assert sync.run()["run"] == report["run"]  # the same plan is held once
    with sync.db.read() as s:
        run = s.get(Run, report["run"])
        assert run is not None
        assert run.plan is not None
        assert len(run.plan["actions"]) == 12
    done = plan_review.confirm(sync.engine, report["run"], CLI)
    assert (done["run"], done["status"], done["deactivated"]) == (report["run"], "applied", 12)
    assert not any(user["active"] for user in sync.users().values())


def test_a_held_plan_is_not_applied_when_people_came_back(sync: Sync) -> None:
    """The preview is what is applied; apply refuses if AD moved."""
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    assert held["status"] == "held"
    sync.fake.set_scope(people[0].guid, True)
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, held["run"], CLI)
    assert all(user["active"] for user in sync.users().values())
    assert sync.rows(Run)[-1]["status"] == "expired"


def test_a_held_plan_is_not_applied_to_records_that_changed(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    with sync.db.write() as s:
        users.set_role(s, sync.users()["p1.q1"]["id"], "manager", sync.clock())
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, held["run"], CLI)


def test_a_held_plan_expires_and_can_be_discarded(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    sync.clock.move(days=4)
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, held["run"], CLI)
    again = sync.run()
    assert again["status"] == "held"
    assert again["run"] != held["run"]
    plan_review.discard(sync.engine, again["run"])
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, again["run"], CLI)


def test_an_emptied_ring_group_holds_the_run(sync: Sync) -> None:
    people = sync.people(12)
    group = sync.fake.add_department("Sales", [people[0].guid, people[1].guid])
    sync.build()
    departments.import_department(sync.engine, CLI, group.dn, "600")
    sync.fake.change_department(group.guid, members=[])
    report = sync.run()
    assert report["status"] == "held"
    assert sync.members("Sales") == {"p1.q1", "p2.q2"}
    assert "Sales" in report["error"]


# Departments by hand


def test_a_reviewed_plan_is_applied_exactly_or_not_at_all(sync: Sync) -> None:
    """A dry run must not lie: the preview is the stored plan that apply executes."""
    people = sync.people(3)
    only = frozenset({str(people[0].guid)})
    planned = plan_review.plan_for_review(sync.engine, replace(CLI, only=only))
    assert planned["status"] == "planned"
    assert sync.users() == {}
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, planned["run"], CLI, digest="another")
    # Keep plans nothing new, so this one is empty; a build of one person is not.
    build = replace(CLI, only=only, mode=Mode.BUILD)
    planned = plan_review.plan_for_review(sync.engine, build)
    assert plan_review.confirm(sync.engine, planned["run"], CLI)["created"] == 1
    assert set(sync.users()) == {"p1.q1"}
    planned = plan_review.plan_for_review(sync.engine, replace(CLI, mode=Mode.BUILD))
    sync.fake.change_person(people[1].guid, last_name="Moved")
    with pytest.raises(Stale):
        plan_review.confirm(sync.engine, planned["run"], CLI)
    assert set(sync.users()) == {"p1.q1"}


def test_settings_can_be_tried_out_before_they_are_saved(sync: Sync) -> None:
    """A changed filter or base shows first what it would do to linked users."""
    people = sync.people(3)
    sync.build()
    sync.fake.set_scope(people[0].guid, False)
    tried = plan_review.try_settings(sync.engine, {"auto_sync": True})
    assert [a["action"] for a in tried["actions"]] == ["deactivate"]
    assert sync.users()["p1.q1"]["active"]


def test_toggled_during_a_run_it_stays_with_what_it_planned(sync: Sync) -> None:
    sync.people(3)
    sync.set(auto_sync=True)

    def toggle(_operation: str) -> None:
        sync.fake.on_operation = None
        sync.set(auto_sync=False)

    sync.fake.on_operation = toggle
    report = sync.run()
    assert (report["created"], report["deactivated"]) == (3, 0)
    assert sync.run()["status"] == "unchanged"


def test_other_credentials_during_a_run_stop_it(sync: Sync) -> None:
    sync.people(3)
    sync.set(auto_sync=True)

    def move(_operation: str) -> None:
        sync.fake.on_operation = None
        with sync.db.write() as s:
            row = directory_settings.load(s)
            assert row is not None
            profile = {**row.profile, "user_search_dn": "OU=Other,DC=goodcompany,DC=local"}
            directory_settings.save(s, {"profile": profile}, by="admin", now=START)

    sync.fake.on_operation = move
    report = sync.run()
    assert (report["status"], sync.users()) == ("failed", {})


def test_a_user_changed_in_kerauno_meanwhile_is_left_for_the_next_run(sync: Sync) -> None:
    """One that fails never takes others with it, and the journal says why it failed."""
    people = sync.people(4)
    sync.build()
    for person in people:
        sync.fake.change_person(person.guid, last_name="New")
    configured = sync.engine.configured()
    planned = sync.engine.planned(configured, sync.fake.read(), Mode.KEEP)
    with sync.db.write() as s:
        user = s.scalar(select(User).where(User.username == "p2.q2"))
        assert user is not None
        links.unlink(s, user.id, by="admin", now=sync.clock())
    run_id = sync.run()["run"]  # brings the other three up to date
    assert sync.users()["p1.q1"]["last_name"] == "New"
    target = Target(configured.id, run_id, sync.clock(), sync.clock())
    applied = apply_plan(sync.db, planned.plan, target, lambda _s: None, lambda _s, _n: None)
    assert not applied.any
    assert set(applied.failed) == {p.guid for p in people}
    assert sync.users()["p2.q2"]["last_name"] == "Q2"


def test_a_number_taken_in_the_middle_of_a_run_costs_only_its_claimant(sync: Sync) -> None:
    sync.people(20)
    configured = sync.engine.configured()
    with sync.engine.leasing(configured, 0.0) as held:
        running = sync.engine.start(held, configured, "build", CLI)
        planned = sync.engine.planned(configured, sync.fake.read(), Mode.BUILD)
        sync.add_local("quick.one", "1007")
        report = sync.engine.carry_out(running, planned)
    assert (report["status"], report["created"]) == ("applied", 19)
    assert "could not be changed" in report["error"]
    failed = [row for row in sync.rows(RunChange) if row["error"]]
    assert [(row["name"], row["action"]) for row in failed] == [("p7.q7", "create")]
    after = sync.build()
    assert (after["conflicts"], after["status"]) == (1, "unchanged")


def test_numbers_are_checked_before_anything_is_read(sync: Sync) -> None:
    sync.add_local("a.b", "600")
    with pytest.raises(NumberTaken):
        departments._checked_number(sync.engine, "600")
