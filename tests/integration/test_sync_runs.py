"""Whole runs on SQLite and PostgreSQL: build, keep, leave, come back, departments, undo."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dirclient.errors import Incomplete, Misconfigured, Unavailable
from dirclient.model import AccountState, DepartmentKind
from kerauno import directories, links, sessions, users
from kerauno.db import Database
from kerauno.errors import InvalidValue, NumberTaken, Stale
from kerauno.tables import Link, LinkProposal, Run, RunChange, SeenPerson, User, WebSession
from kerauno.users import NewUser
from syncsvc import departments, oneuser, review
from syncsvc.apply import apply_plan
from syncsvc.engine import Ask
from syncsvc.people_sql import Target
from syncsvc.plan import Mode
from tests.sync_engine import START, Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


CLI = Ask("cli", wait=0.0)


def add_local(sync: Sync, name: str, extension: str | None = None, **fields: str) -> int:
    """A local user of the company."""
    new = NewUser(
        email=f"{name}@company.com",
        first_name="Local",
        last_name="User",
        extension=extension,
        **fields,
    )
    with sync.db.write() as s:
        return users.create(s, new, sync.clock()).id


def test_the_first_build_creates_everybody_and_the_second_nothing(sync: Sync) -> None:
    """A run with nothing changed writes nothing but its own run record."""
    sync.people(30)
    first = sync.build()
    assert (first["status"], first["created"], first["people"]) == ("applied", 30, 30)
    assert first["complete"] is True
    user = sync.users()["p1.q1"]
    assert (user["extension"], user["first_name"], user["last_name"]) == ("1001", "P1", "Q1")
    assert (user["role"], user["active"], user["password_hash"]) == ("user", True, None)
    before = sync.mirror()
    with sync.db.counting() as counts:
        second = sync.build()
    assert (second["status"], second["created"], second["delay_seconds"]) == ("unchanged", 0, None)
    written = {
        sql.split()[2 if sql.startswith("INSERT") else 1].strip('"')
        for sql in counts.texts
        if sql.startswith(("INSERT", "UPDATE", "DELETE"))
    }
    assert written <= {"run", "lease"}
    assert sync.mirror() == before


def test_the_statements_of_a_run_do_not_grow_with_people(sync: Sync) -> None:
    """Big directories must finish: no query for each user."""
    sync.people(50)
    with sync.db.counting() as few:
        sync.build()
    sync.people(400, first=100)
    with sync.db.counting() as many:
        sync.build()
    assert many.statements <= few.statements + 5


def test_keep_builds_nobody_while_the_toggle_is_off_and_build_does_when_it_is_on(
    sync: Sync,
) -> None:
    sync.people(3)
    assert sync.run()["created"] == 0
    assert {row["state"] for row in sync.rows(SeenPerson)} == {"ready"}
    sync.set(auto_sync=True)
    assert sync.run()["created"] == 3
    assert {row["state"] for row in sync.rows(SeenPerson)} == {"synced"}
    sync.set(auto_sync=False)
    sync.people(1, first=10)
    report = sync.run()
    assert (report["created"], report["deactivated"]) == (0, 0)


def test_changes_in_ad_are_followed(sync: Sync) -> None:
    """A rename, a move, a new extension: the same user, updated."""
    people = sync.people(3)
    sync.build()
    sync.fake.change_person(
        people[0].guid, last_name="Married", login="p1.married@company.com", extension="2001"
    )
    sync.fake.change_person(people[1].guid, dn="CN=p2,OU=Elsewhere,DC=goodcompany,DC=local")
    sync.clock.move(seconds=3)
    report = sync.run()
    assert (report["updated"], report["created"]) == (2, 0)
    user = sync.users()["p1.married"]
    assert (user["last_name"], user["email"], user["extension"]) == (
        "Married",
        "p1.married@company.com",
        "2001",
    )
    assert report["delay_seconds"] == pytest.approx(3.0, abs=0.5)


def test_two_people_swap_numbers_and_three_rotate_names(sync: Sync) -> None:
    people = sync.people(5)
    sync.build()
    sync.fake.change_person(people[0].guid, extension="1002")
    sync.fake.change_person(people[1].guid, extension="1001")
    for giver, taker in ((2, 3), (3, 4), (4, 2)):
        sync.fake.change_person(people[taker].guid, login=people[giver].login)
    report = sync.run()
    assert (report["updated"], report["conflicts"]) == (5, 0)
    users = {row["guid"]: row for row in sync.users().values()}
    assert [users[p.guid]["extension"] for p in people[:2]] == ["1002", "1001"]
    assert users[people[3].guid]["username"] == "p3.q3"
    assert users[people[2].guid]["username"] == "p5.q5"


def test_a_leaver_loses_sessions_in_the_same_run_and_gets_everything_back(sync: Sync) -> None:
    """Disabled in AD must not stay logged in; enabled again is active again."""
    people = sync.people(12)
    sync.fake.add_department("Sales", [p.guid for p in people])
    sync.build()
    departments.import_department(sync.engine, CLI, _dn(sync, "Sales"), "600")
    user = sync.users()["p1.q1"]
    with sync.db.write() as s:
        sessions.create(
            s,
            user["id"],
            method="directory",
            now=sync.clock(),
            lifetime=sessions.Lifetime(timedelta(hours=12), timedelta(hours=2)),
        )
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    report = sync.run()
    assert (report["deactivated"], report["departments"]["updated"]) == (1, 1)
    assert sync.rows(WebSession) == []
    left = sync.users()["p1.q1"]
    assert (left["active"], left["extension"]) == (False, "1001")
    assert left["reserved_until"] is not None
    assert "p1.q1" not in sync.members("Sales")
    sync.fake.change_person(people[0].guid, state=AccountState.ACTIVE)
    assert sync.run()["reactivated"] == 1
    back = sync.users()["p1.q1"]
    assert (back["id"], back["active"], back["reserved_until"]) == (user["id"], True, None)
    assert "p1.q1" in sync.members("Sales")


def test_who_leaves_the_scope_or_is_deleted_is_deactivated_not_deleted(sync: Sync) -> None:
    """Local data survives: leaving the scope suspends and never deletes."""
    people = sync.people(12)
    sync.build()
    sync.fake.remove_person(people[0].guid)
    sync.fake.set_scope(people[1].guid, False)
    assert sync.run()["deactivated"] == 2
    assert len(sync.users()) == 12


def test_a_local_user_is_linked_by_email_and_loses_the_local_password(sync: Sync) -> None:
    user_id = add_local(sync, "p1.q1", "77", password="Local!Passw0rd")
    sync.people(1)
    report = sync.build()
    assert (report["linked"], report["created"]) == (1, 0)
    user = sync.users()["p1.q1"]
    assert (user["id"], user["password_hash"], user["extension"]) == (user_id, None, "1001")


def test_an_administrator_is_proposed_and_linked_only_when_asked(sync: Sync) -> None:
    """An administrator's account is never taken over on a name match."""
    user_id = add_local(sync, "p1.q1", role="admin", password="Local!Passw0rd")
    sync.people(1)
    report = sync.build()
    assert (report["linked"], report["conflicts"]) == (0, 1)
    assert [row["user_id"] for row in sync.rows(LinkProposal)] == [user_id]
    assert sync.build()["status"] == "unchanged"
    oneuser.sync_user(sync.engine, "P1.Q1@company.com", by="admin")
    link = sync.rows(Link)[0]
    assert (link["user_id"], link["scope"], link["origin"]) == (user_id, "login", "admin")
    after = sync.build()
    assert (after["conflicts"], sync.rows(LinkProposal)) == (0, [])


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
        directory = directories.load(s)
        assert directory is not None
        assert directories.state(s, directory.id).error == report["error"]
    sync.fake.incomplete = sync.fake.down = False
    assert sync.run()["status"] == "unchanged"
    with sync.db.read() as s:
        assert directories.state(s, directory.id).error == ""


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
    done = review.confirm(sync.engine, report["run"], CLI)
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
        review.confirm(sync.engine, held["run"], CLI)
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
        review.confirm(sync.engine, held["run"], CLI)


def test_a_held_plan_expires_and_can_be_discarded(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    sync.clock.move(days=4)
    with pytest.raises(Stale):
        review.confirm(sync.engine, held["run"], CLI)
    again = sync.run()
    assert again["status"] == "held"
    assert again["run"] != held["run"]
    review.discard(sync.engine, again["run"])
    with pytest.raises(Stale):
        review.confirm(sync.engine, again["run"], CLI)


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


def _dn(sync: Sync, name: str) -> str:
    return next(d.dn for d in sync.fake.read().departments.values() if d.name == name)


def test_import_makes_department_ring_group_and_members_together(sync: Sync) -> None:
    people = sync.people(4)
    sync.fake.change_person(people[3].guid, extension=None)
    group = sync.fake.add_department("Sales", [p.guid for p in people])
    report = departments.import_department(sync.engine, CLI, group.dn.upper(), "600")
    assert (report["status"], report["created"]) == ("applied", 3)
    assert report["departments"] == {"imported": 1, "updated": 0}
    assert sync.members("Sales") == {"p1.q1", "p2.q2", "p3.q3"}
    (row,) = departments.listing(sync.engine)
    assert row == {
        "guid": str(group.guid),
        "dn": group.dn,
        "name": "Sales",
        "kind": "group",
        "members": 4,
        "state": "imported",
        "number": "600",
        "ring_group_members": ["p1.q1", "p2.q2", "p3.q3"],
        "conflicts": [],
    }
    assert sync.run()["status"] == "unchanged"


def test_a_taken_number_is_refused_saying_by_whom_and_nothing_changes(sync: Sync) -> None:
    add_local(sync, "front.desk", "600")
    sync.people(2)
    group = sync.fake.add_department("Sales", [p.guid for p in sync.people(2, first=5)])
    before = sync.state()
    report = departments.import_department(sync.engine, CLI, group.dn, "600")
    assert report["status"] == "failed"
    assert "front.desk" in report["error"]
    assert sync.state() == before
    report = departments.import_department(sync.engine, CLI, group.dn, "7")
    assert report["error"] == "“7” is not a ring group number. Use 2 to 10 digits."


def test_unimport_frees_the_number_and_desyncs_those_it_alone_brought_in(sync: Sync) -> None:
    people = sync.people(3)
    sync.build(only=frozenset({str(people[0].guid)}))
    group = sync.fake.add_department("Sales", [p.guid for p in people[:2]])
    both = sync.fake.add_department("Support", [people[2].guid])
    departments.import_department(sync.engine, CLI, group.dn, "600")
    departments.import_department(sync.engine, CLI, both.dn, "601")
    before = sync.state()
    report = departments.unimport_department(sync.engine, CLI, group.dn)
    assert report["status"] == "applied"
    linked = {name for name, row in sync.users().items() if row["guid"]}
    assert linked == {"p1.q1", "p3.q3"}
    assert set(sync.users()) == {"p1.q1", "p2.q2", "p3.q3"}
    again = departments.import_department(sync.engine, CLI, both.dn, "600")
    assert "imported already" in again["error"]
    _, could_not = review.undo(sync.engine, report["run"], CLI)
    assert (could_not, sync.state()) == ([], before)


def test_departments_import_themselves_by_range_and_keep_their_number(sync: Sync) -> None:
    people = sync.people(4)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="601")
    sales = sync.fake.add_department("Sales", [p.guid for p in people[:2]])
    sync.fake.add_department("Engineering", [people[2].guid], kind=DepartmentKind.OU)
    sync.fake.add_department("Training")
    report = sync.run()
    assert report["departments"] == {"imported": 2, "updated": 0}
    rows = {row["name"]: row for row in departments.listing(sync.engine)}
    assert (rows["Engineering"]["number"], rows["Sales"]["number"]) == ("600", "601")
    assert [c["code"] for c in rows["Training"]["conflicts"]] == ["number_missing"]
    sync.fake.change_department(sales.guid, name="Sales EMEA", dn="CN=Sales EMEA,OU=Moved,DC=x")
    report = sync.run()
    assert report["departments"] == {"imported": 0, "updated": 1}
    rows = {row["name"]: row for row in departments.listing(sync.engine)}
    assert rows["Sales EMEA"]["number"] == "601"
    departments.unimport_department(sync.engine, CLI, rows["Sales EMEA"]["dn"])
    assert sync.run()["departments"] == {"imported": 1, "updated": 0}  # Training has one now
    assert {r["name"]: r["state"] for r in departments.listing(sync.engine)} == {
        "Engineering": "imported",
        "Sales EMEA": "available",
        "Training": "imported",
    }


def test_without_auto_synchronization_synchronize_users_imports_no_department(sync: Sync) -> None:
    people = sync.people(2)
    sync.set(auto_sync=False, ring_group_first="600", ring_group_last="699")
    sync.fake.add_department("Sales", [p.guid for p in people])
    report = sync.build()
    assert (report["created"], report["departments"]) == (2, {"imported": 0, "updated": 0})
    (sales,) = departments.listing(sync.engine)
    assert (sales["state"], sales["number"], sales["conflicts"]) == ("available", None, [])


# One user by hand


def test_desync_ends_sign_in_and_holds_out_until_they_leave_the_scope(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.people(11, first=20)
    sync.build()
    oneuser.desync_user(sync.engine, "p1.q1@company.com", by="admin")
    user = sync.users()["p1.q1"]
    assert (user["active"], user["guid"]) == (True, None)
    report = sync.build()
    assert (report["linked"], report["conflicts"]) == (0, 1)
    sync.fake.set_scope(person.guid, False)
    sync.build()
    assert sync.held_out() == set()
    sync.fake.set_scope(person.guid, True)
    assert sync.build()["linked"] == 1


def test_sync_of_one_user_links_for_sign_in_alone(sync: Sync) -> None:
    add_local(sync, "p1.q1", "77")
    sync.people(1)
    oneuser.sync_user(sync.engine, "p1.q1@company.com", by="admin")
    assert sync.build()["status"] == "unchanged"
    user = sync.users()["p1.q1"]
    assert (user["extension"], user["first_name"], user["origin"]) == ("77", "Local", "admin")


def test_sync_of_one_user_refuses_what_cannot_be(sync: Sync) -> None:
    (person,) = sync.people(1)
    add_local(sync, "p1.q1")
    sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    with pytest.raises(InvalidValue):
        oneuser.sync_user(sync.engine, "p1.q1@company.com", by="admin")
    assert sync.rows(Link) == []


# Undo


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
    undone, could_not = review.undo(sync.engine, report["run"], CLI)
    assert (undone["status"], could_not) == ("applied", [])
    assert sync.state() == before
    with pytest.raises(Stale):
        review.undo(sync.engine, report["run"], CLI)


def test_undo_of_the_first_build_leaves_nothing_behind(sync: Sync) -> None:
    sync.people(40)
    report = sync.build()
    _, could_not = review.undo(sync.engine, report["run"], CLI)
    assert (could_not, sync.users()) == ([], {})


def test_undo_says_what_it_could_not(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    sync.fake.change_person(people[0].guid, extension="2001")
    sync.fake.change_person(people[1].guid, last_name="Renamed")
    report = sync.run()
    add_local(sync, "quick.one", "1001")
    _, could_not = review.undo(sync.engine, report["run"], CLI)
    assert could_not == ["p1.q1: the former extension 1001 is used by user quick.one (Local User)."]
    assert sync.users()["p2.q2"]["last_name"] == "Q2"
    assert sync.users()["p1.q1"]["extension"] == "2001"


def test_what_was_undone_is_not_done_again_by_itself(sync: Sync) -> None:
    sync.people(3)
    sync.set(auto_sync=True)
    report = sync.run()
    review.undo(sync.engine, report["run"], CLI)
    again = sync.run(trigger="timer")
    assert (again["status"], again["created"]) == ("held", 0)
    assert review.confirm(sync.engine, again["run"], CLI)["created"] == 3


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


def test_a_reviewed_plan_is_applied_exactly_or_not_at_all(sync: Sync) -> None:
    """A dry run must not lie: the preview is the stored plan that apply executes."""
    people = sync.people(3)
    only = frozenset({str(people[0].guid)})
    planned = review.plan_for_review(sync.engine, replace(CLI, only=only))
    assert planned["status"] == "planned"
    assert sync.users() == {}
    with pytest.raises(Stale):
        review.confirm(sync.engine, planned["run"], CLI, digest="another")
    # Keep plans nothing new, so this one is empty; a build of one person is not.
    build = replace(CLI, only=only, mode=Mode.BUILD)
    planned = review.plan_for_review(sync.engine, build)
    assert review.confirm(sync.engine, planned["run"], CLI)["created"] == 1
    assert set(sync.users()) == {"p1.q1"}
    planned = review.plan_for_review(sync.engine, replace(CLI, mode=Mode.BUILD))
    sync.fake.change_person(people[1].guid, last_name="Moved")
    with pytest.raises(Stale):
        review.confirm(sync.engine, planned["run"], CLI)
    assert set(sync.users()) == {"p1.q1"}


def test_settings_can_be_tried_out_before_they_are_saved(sync: Sync) -> None:
    """A changed filter or base shows first what it would do to linked users."""
    people = sync.people(3)
    sync.build()
    sync.fake.set_scope(people[0].guid, False)
    tried = review.try_settings(sync.engine, {"auto_sync": True})
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
            row = directories.load(s)
            assert row is not None
            profile = {**row.profile, "user_search_dn": "OU=Other,DC=goodcompany,DC=local"}
            directories.save(s, {"profile": profile}, by="admin", now=START)

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
        links.untie(s, user.id, by="admin", now=sync.clock())
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
        add_local(sync, "quick.one", "1007")
        report = sync.engine.carry_out(running, planned)
    assert (report["status"], report["created"]) == ("applied", 19)
    assert "could not be changed" in report["error"]
    failed = [row for row in sync.rows(RunChange) if row["error"]]
    assert [(row["name"], row["action"]) for row in failed] == [("p7.q7", "create")]
    after = sync.build()
    assert (after["conflicts"], after["status"]) == (1, "unchanged")


def test_numbers_are_checked_before_anything_is_read(sync: Sync) -> None:
    add_local(sync, "a.b", "600")
    with pytest.raises(NumberTaken):
        departments._checked_number(sync.engine, "600")
