"""A search DN that is renamed, deleted, moved or hidden stops what depends on it and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import AccountState, Snapshot, Unread
from dirclient.model.errors import Incomplete, Misconfigured
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.sync import directory_settings
from kerauno.tables.core import Department, DirectoryState, Link, Run, SeenDepartment, WebSession
from syncsvc.runs import plan_review
from syncsvc.runs.departments import import_department, listing, unimport_department
from syncsvc.runs.engine import RunOptions
from tests.integration.dirclient.test_read_faults import deny
from tests.integration.syncsvc.test_worker import Turned
from tests.servers.process import wait_until
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd, company_entries
from tests.servers.web import Installation, configure_directory
from tests.sync_engine import Sync

GONE = Unread("department_search_dn", "OU=Groups does not exist.", "Enter OU=Teams.")
LIFETIME = sessions.Lifetime(timedelta(hours=12), timedelta(hours=2))


@pytest.fixture
def loop(sqlite_database: Database, tmp_path: Path) -> Turned:
    sync = Sync(sqlite_database, tmp_path)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    people = sync.people(12)
    sync.fake.add_department("Sales", [person.guid for person in people[:3]])
    turned = Turned(sync)
    turned.turn()
    return turned


def state(sync: Sync) -> tuple[str, str]:
    """Why nothing, and why no department, could be read."""
    (row,) = sync.rows(DirectoryState)
    return row["error"], row["unread"]


# ---- the service


def test_people_are_followed_while_departments_wait_and_it_heals_by_itself(loop: Turned) -> None:
    sync = loop.sync
    alice, bob = list(sync.fake.read().people.values())[:2]
    with sync.db.write() as s:
        for username in ("p1.q1", "p2.q2"):
            user_id = sync.users()[username]["id"]
            sessions.create(s, user_id, method="directory", now=sync.clock(), lifetime=LIFETIME)
    mirror = sync.rows(SeenDepartment)
    sync.fake.lose_departments(GONE)
    loop.turn()
    assert state(sync) == ("", f"{GONE}")
    assert sync.members("Sales") == {"p1.q1", "p2.q2", "p3.q3"}
    sync.fake.change_person(alice.guid, state=AccountState.DISABLED)
    sync.fake.remove_person(bob.guid)
    loop.turn()
    assert sync.rows(WebSession) == []
    assert [sync.users()[name]["active"] for name in ("p1.q1", "p2.q2")] == [False, False]
    assert (sync.members("Sales"), sync.rows(SeenDepartment)) == ({"p3.q3"}, mirror)
    sync.fake.lose_departments(None)
    loop.turn()
    assert state(sync) == ("", "")
    assert [row["number"] for row in listing(sync.engine)] == ["600"]


USERS_GONE = Misconfigured("OU=Staff does not exist.", field="user_search_dn", remedy="Enter one.")


def test_who_leaves_while_the_user_search_dn_is_gone_loses_access(loop: Turned) -> None:
    sync = loop.sync
    people = list(sync.fake.read().people.values())
    with sync.db.write() as s:
        for number in range(1, 6):
            user_id = sync.users()[f"p{number}.q{number}"]["id"]
            sessions.create(s, user_id, method="directory", now=sync.clock(), lifetime=LIFETIME)
    before = sync.users()
    sync.fake.people_lost = USERS_GONE
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    sync.fake.change_person(people[1].guid, state=AccountState.EXPIRED)
    sync.fake.remove_person(people[2].guid)
    sync.fake.set_scope(people[3].guid, in_scope=False)
    loop.turn(5.0)
    loop.turn(5.0)
    left = {sync.users()[f"p{number}.q{number}"]["id"] for number in (4, 5)}
    assert {row["user_id"] for row in sync.rows(WebSession)} == left
    assert sync.users() == before  # nobody is deactivated by a read that did not reach its end
    assert state(sync)[0] == f"{USERS_GONE} {USERS_GONE.remedy}"
    refused = {row["guid"] for row in sync.rows(Link) if row["refused_since"] is not None}
    assert refused == {person.guid for person in people[:3]}

    sync.fake.change_person(people[0].guid, state=AccountState.ACTIVE)
    loop.turn(5.0)
    assert len([row for row in sync.rows(Link) if row["refused_since"] is not None]) == 3
    sync.fake.people_lost = None
    loop.turn(5.0)
    loop.turn(5.0)
    assert state(sync)[0] == ""
    inactive = {name for name, user in sync.users().items() if not user["active"]}
    assert inactive == {"p2.q2", "p3.q3", "p4.q4"}


def test_who_is_merely_hidden_keeps_access(loop: Turned) -> None:
    """Without a tombstone, an account that is not found may be one that may not be read."""
    sync = loop.sync
    with sync.db.write() as s:
        user_id = sync.users()["p1.q1"]["id"]
        sessions.create(s, user_id, method="directory", now=sync.clock(), lifetime=LIFETIME)
    first = next(iter(sync.fake.read().people))
    sync.fake.people_lost = USERS_GONE
    sync.fake.deletions_visible = False
    sync.fake.remove_person(first)
    loop.turn(5.0)
    loop.turn(5.0)
    assert [row["user_id"] for row in sync.rows(WebSession)] == [user_id]


def test_an_outage_in_between_leaves_the_reason_where_it_was(loop: Turned) -> None:
    sync = loop.sync
    sync.fake.lose_departments(GONE)
    loop.turn()
    sync.fake.down = True
    loop.turn()
    assert state(sync) == ("No directory server can be reached.", f"{GONE}")
    sync.fake.down = False
    loop.turn(5.0)
    assert state(sync) == ("", f"{GONE}")


def test_what_needs_departments_says_why_and_what_does_not_goes_on(loop: Turned) -> None:
    sync = loop.sync
    sync.fake.lose_departments(GONE)
    report = sync.build()
    assert (report["status"], report["complete"]) == ("unchanged", False)
    assert report["error"] == f"Departments were not read and stay as they are. {GONE}"
    (sales,) = sync.rows(Department)
    refused = import_department(sync.engine, RunOptions("cli", wait=0.0), sales["guid"], "601")
    assert (refused["status"], refused["error"]) == ("failed", f"{GONE}")
    for read in (lambda: listing(sync.engine), lambda: plan_review.try_settings(sync.engine, {})):
        with pytest.raises(Misconfigured, match=r"^OU=Groups does not exist\.$"):
            read()
    done = unimport_department(sync.engine, RunOptions("cli", wait=0.0), sales["guid"])
    assert (done["status"], sync.rows(Department)) == ("applied", [])
    assert sync.rows(Run)[-1]["status"] == "applied"


# ---- a real Active Directory

Edit = Callable[[SambaDC, str], Callable[[], object]]


def _rename(dc: SambaDC, ou: str) -> Callable[[], object]:
    renamed = dc.rename(ou, "Teams")
    return lambda: dc.rename(renamed, "Groups")


def _move(dc: SambaDC, ou: str) -> Callable[[], object]:
    above = ou.partition(",")[2].partition(",")[2]
    moved = dc.move(ou, above)
    return lambda: dc.move(moved, ou.partition(",")[2])


def _delete(dc: SambaDC, ou: str) -> Callable[[], object]:
    dc.delete_tree(ou)
    return lambda: dc.add_ou("Groups", ou.partition(",")[2])


@pytest.mark.samba
@pytest.mark.parametrize("edit", [_rename, _move, _delete])
def test_a_department_search_dn_that_goes_and_comes_back(fresh_ou: Scratch, edit: Edit) -> None:
    dc, people_ou, groups_ou = fresh_ou.dc, fresh_ou.ou("People"), fresh_ou.ou("Groups")
    amy, bob = fresh_ou.user("amy", people_ou), fresh_ou.user("bob", people_ou)
    dc.add_group(fresh_ou.name("sales"), groups_ou, [amy, bob])
    fields = {"user_search_dn": people_ou, "department_search_dn": groups_ou}
    client = DirectoryClient(Profile.model_validate(dc.profile(**fields)))

    def states(snapshot: Snapshot) -> dict[str, AccountState]:
        return {person.dn: person.state for person in snapshot.people.values()}

    whole = client.read()
    assert (len(whole.departments), whole.unread) == (1, None)
    undo = edit(dc, groups_ou)
    if (followed := client.catch_up(whole)) is not None:  # deletions are not seen, but swept up
        with pytest.raises(Incomplete, match=f"^{groups_ou} is gone"):
            client.sweep(followed)
    partly = client.read()
    assert partly.unread is not None
    assert (partly.unread.field, dict(partly.departments)) == ("department_search_dn", {})
    assert partly.unread.message.startswith(groups_ou)
    dc.disable(amy)
    later = client.catch_up(partly)
    assert later is not None
    assert states(later) == {amy: AccountState.DISABLED, bob: AccountState.ACTIVE}
    dc.delete(bob)
    last = client.catch_up(later)
    assert last is not None
    last = last if last.deletions_visible else client.sweep(last)
    assert (states(last), last.unread) == ({amy: AccountState.DISABLED}, partly.unread)
    before = client.operations
    assert client.catch_up(last) is last
    assert client.operations - before == 2  # the root DSE and the DN that is gone
    undo()
    assert client.catch_up(last) is None
    assert client.read().unread is None
    failed = [step for step in client.probe() if not step.ok]
    assert failed == []
    client.close()


@pytest.mark.samba
def test_a_department_search_dn_that_may_not_be_seen_any_more(fresh_ou: Scratch) -> None:
    dc, people_ou, groups_ou = fresh_ou.dc, fresh_ou.ou("People"), fresh_ou.ou("Groups")
    dc.add_group(fresh_ou.name("sales"), groups_ou, [fresh_ou.user("amy", people_ou)])
    fields = {"user_search_dn": people_ou, "department_search_dn": groups_ou}
    client = DirectoryClient(Profile.model_validate(dc.profile(**fields)))
    whole = client.read()
    deny(dc, groups_ou, dc.service.name)
    with pytest.raises(Incomplete, match=f"^{groups_ou} is gone"):
        client.sweep(whole)
    partly = client.read()
    assert partly.people == whole.people
    assert partly.unread is not None
    assert partly.unread.message == f"The service account may not read {groups_ou}."
    client.close()


@pytest.mark.samba
def test_a_user_search_dn_that_is_gone_removes_nobody(fresh_ou: Scratch) -> None:
    """Departments are made of recognized people: without them nothing is concluded at all."""
    dc, people_ou, groups_ou = fresh_ou.dc, fresh_ou.ou("People"), fresh_ou.ou("Groups")
    dc.add_group(fresh_ou.name("sales"), groups_ou, [fresh_ou.user("amy", people_ou)])
    fields = {"user_search_dn": people_ou, "department_search_dn": groups_ou}
    client = DirectoryClient(Profile.model_validate(dc.profile(**fields)))
    whole = client.read()
    renamed = dc.rename(people_ou, "Staff")
    assert client.catch_up(whole) is None
    with pytest.raises(Misconfigured) as caught:
        client.read()
    assert (caught.value.field, caught.value.remedy) == ("user_search_dn", f"Enter {renamed}.")
    dc.rename(groups_ou, "Teams")
    with pytest.raises(Misconfigured) as caught:
        client.read()
    assert caught.value.field == "user_search_dn"
    client.close()


@pytest.mark.slapd
def test_openldap_without_its_departments_is_followed_too(tmp_path: Path) -> None:
    server = Slapd(tmp_path, company_entries(), counts_changes=True).start()
    server.add_user("first")  # from here on there is a contextCSN
    client = DirectoryClient(Profile.model_validate(server.profile()))
    whole = client.read()
    name, _, above = server.departments_dn.partition(",")
    server.admin.modify_dn(server.departments_dn, "ou=Teams")
    assert client.catch_up(whole) is None
    partly = client.read()
    assert partly.unread is not None
    assert (partly.people, partly.departments) == (whole.people, {})
    server.delete(server.add_user("second"))
    later = client.catch_up(partly)
    assert later is not None
    assert (client.sweep(later).people, later.unread) == (whole.people, partly.unread)
    server.admin.modify_dn(f"ou=Teams,{above}", name)
    assert client.catch_up(later) is None
    assert client.read().departments.keys() == whole.departments.keys()
    client.close()
    server.stop()


@pytest.mark.samba
@pytest.mark.timeout(300)
def test_leavers_are_out_within_seconds_of_an_ou_of_departments_renamed(
    installation: Installation, samba_dc: SambaDC, fresh_ou: Scratch
) -> None:
    kerauno = installation
    people_ou, groups_ou = fresh_ou.ou("People"), fresh_ou.ou("Groups")
    staff = [fresh_ou.user(f"p{n}", people_ou, ipPhone=str(3000 + n)) for n in range(4)]
    samba_dc.add_group(fresh_ou.name("sales"), groups_ou, staff)
    kerauno.must("authsvc", "db", "upgrade")
    profile = samba_dc.profile(user_search_dn=people_ou, department_search_dn=groups_ou)
    configure_directory(kerauno, profile, "--auto-sync", "yes", "--ring-group-range", "600-699")
    service = kerauno.spawn("syncsvc", "serve", log="sync.log")

    def active() -> list[bool]:
        return [row["active"] for row in kerauno.json("authsvc", "user", "list")]

    def unread() -> str:
        with Database(kerauno.environ["KERAUNO_DATABASE_URL"]).read() as s:
            directory = directory_settings.load(s)
            assert directory is not None
            return directory_settings.state(s, directory.id).unread

    try:
        wait_until(lambda: active() == [True] * 4, "everybody is there")
        samba_dc.rename(groups_ou, "Teams")
        wait_until(lambda: groups_ou in unread(), "the alarm names the DN")
        samba_dc.disable(staff[0])
        wait_until(lambda: active().count(False) == 1, "out")
        tested = json.loads(kerauno.run("authsvc", "directory", "test", "--json").stdout)
        (failed,) = (step for step in tested["steps"] if not step["ok"])
        assert failed["name"] == "department_search_dn"
        assert groups_ou in kerauno.run("authsvc", "check").stderr
        samba_dc.rename(f"OU=Teams,{groups_ou.partition(',')[2]}", "Groups")
        wait_until(lambda: unread() == "", "it heals by itself")
        (sales,) = kerauno.json("syncsvc", "department", "list")
        assert (sales["state"], len(sales["ring_group_members"])) == ("imported", 3)
    finally:
        service.stop()
