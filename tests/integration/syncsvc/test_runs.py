"""Whole runs on SQLite and PostgreSQL: build, keep, leave, come back, link, one user."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.base.errors import InvalidValue
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.tables.core import Link, LinkProposal, SeenPerson, WebSession
from syncsvc.runs import departments, single_user
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


CLI = RunOptions("cli", wait=0.0)


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
    departments.import_department(sync.engine, CLI, sync.department_dn("Sales"), "600")
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
    user_id = sync.add_local("p1.q1", "77", password="Local!Passw0rd")
    sync.people(1)
    report = sync.build()
    assert (report["linked"], report["created"]) == (1, 0)
    user = sync.users()["p1.q1"]
    assert (user["id"], user["password_hash"], user["extension"]) == (user_id, None, "1001")


def test_an_administrator_is_proposed_and_linked_only_when_asked(sync: Sync) -> None:
    """An administrator's account is never taken over on a name match."""
    user_id = sync.add_local("p1.q1", role="admin", password="Local!Passw0rd")
    sync.people(1)
    report = sync.build()
    assert (report["linked"], report["conflicts"]) == (0, 1)
    assert [row["user_id"] for row in sync.rows(LinkProposal)] == [user_id]
    assert sync.build()["status"] == "unchanged"
    single_user.sync_user(sync.engine, "P1.Q1@company.com", by="admin")
    link = sync.rows(Link)[0]
    assert (link["user_id"], link["scope"], link["origin"]) == (user_id, "login", "admin")
    after = sync.build()
    assert (after["conflicts"], sync.rows(LinkProposal)) == (0, [])


def test_desync_ends_sign_in_and_holds_out_until_they_leave_the_scope(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.people(11, first=20)
    sync.build()
    single_user.desync_user(sync.engine, "p1.q1@company.com", by="admin")
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
    sync.add_local("p1.q1", "77")
    sync.people(1)
    single_user.sync_user(sync.engine, "p1.q1@company.com", by="admin")
    assert sync.build()["status"] == "unchanged"
    user = sync.users()["p1.q1"]
    assert (user["extension"], user["first_name"], user["origin"]) == ("77", "Local", "admin")


def test_sync_of_one_user_refuses_what_cannot_be(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.add_local("p1.q1")
    sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    with pytest.raises(InvalidValue):
        single_user.sync_user(sync.engine, "p1.q1@company.com", by="admin")
    assert sync.rows(Link) == []


# Undo
