"""After any edits, following the changes shows exactly what a complete read shows."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import AccountState, Snapshot
from dirclient.model.errors import Incomplete
from tests.servers.samba import SambaDC, Scratch, filetime
from tests.servers.slapd import Slapd, company_entries

SECURITY, DISTRIBUTION = str(0x80000002 - 2**32), "2"


class Follower:
    """One client that follows a directory, and a look at how it does."""

    def __init__(self, label: str, profile: dict[str, Any]) -> None:
        self.label = label
        self.client = DirectoryClient(Profile.model_validate(profile))
        self.snapshot = self.client.read()
        self.complete_reads = 0

    def follow(self) -> Snapshot:
        """Bring the snapshot up to date as the sync service does."""
        current = self.client.catch_up(self.snapshot)
        if current is None:
            self.complete_reads += 1
            current = self.client.read()
        elif not current.deletions_visible:
            current = self.client.sweep(current)
        self.snapshot = current
        return current

    def check(self, edit: str) -> None:
        """Following leads to what is there."""
        current, whole = self.follow(), self.client.read()
        for found, expected in (
            (current.people, whole.people),
            (current.departments, whole.departments),
        ):
            differing = {
                guid: (found.get(guid), expected.get(guid))
                for guid in found.keys() | expected.keys()
                if found.get(guid) != expected.get(guid)
            }
            assert not differing, f"{self.label} after: {edit}"


class Company:
    """People, groups and OUs in a corner of a domain, and every kind of edit to them."""

    def __init__(self, scratch: Scratch, chance: random.Random) -> None:
        self.dc, self.scratch, self.chance = scratch.dc, scratch, chance
        self.inside, self.outside = scratch.ou("Inside"), scratch.ou("Outside")
        self.shelf = scratch.ou("Departments", self.inside)
        self.ous = [self.inside, scratch.ou("A", self.inside), scratch.ou("B", self.inside)]
        self.phones = scratch.group("phones", ou=self.outside)
        self.people: list[str] = []
        self.groups: list[str] = [self.phones]
        self.count = 0
        for _ in range(6):
            self.hire()
        for _ in range(4):
            self.found_group()

    def _next(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def _place(self) -> str:
        return self.chance.choice([*self.ous, *self.ous, self.outside])

    def _reindex(self) -> None:
        """Names have changed: look again."""
        base = self.scratch.dn
        found = self.dc.search("(objectClass=*)", ["objectClass"], base)
        kinds = {one["dn"]: one["raw_attributes"]["objectClass"] for one in found}
        self.people = sorted(dn for dn, kind in kinds.items() if b"user" in kind)
        self.groups = sorted(dn for dn, kind in kinds.items() if b"group" in kind)

    def hire(self) -> None:
        account = self._next("p")
        self.people.append(
            self.scratch.user(account, self._place(), ipPhone=str(2000 + self.count))
        )

    def fire(self) -> None:
        self.dc.delete(self.chance.choice(self.people))

    def edit(self) -> None:
        self.dc.modify(self.chance.choice(self.people), ipPhone=str(self.chance.randrange(9999)))

    def marry(self) -> None:
        self.dc.rename(self.chance.choice(self.people), self._next("Smith, "))

    def transfer(self) -> None:
        person, place = self.chance.choice(self.people), self._place()
        if not person.endswith(f",{place}") or person.count(",") != place.count(",") + 1:
            self.dc.move(person, place)

    def disable(self) -> None:
        person = self.chance.choice(self.people)
        self.chance.choice([self.dc.disable, self.dc.enable])(person)

    def lose_email(self) -> None:
        self.dc.modify(self.chance.choice(self.people), mail=self.chance.choice([None, "a@b.co"]))

    def found_group(self) -> None:
        some = self.chance.sample(self.people, min(2, len(self.people)))
        place = self.chance.choice([self.shelf, self.shelf, self.outside])
        self.groups.append(self.scratch.group(self._next("g"), some, place))

    def dissolve_group(self) -> None:
        spare = [dn for dn in self.groups if dn != self.phones]
        if spare:
            self.dc.delete(self.chance.choice(spare))

    def join(self) -> None:
        group, member = self.chance.choice(self.groups), self.chance.choice(self.people)
        self.dc.add_members(group, member)

    def nest(self) -> None:
        group, member = self.chance.choice(self.groups), self.chance.choice(self.groups)
        if group != member:
            self.dc.add_members(group, member)

    def part(self) -> None:
        group = self.chance.choice(self.groups)
        members = [value.decode() for value in self.dc.raw(group, "member")]
        if members:
            self.dc.remove_members(group, self.chance.choice(members))

    def rename_group(self) -> None:
        spare = [dn for dn in self.groups if dn != self.phones]
        if spare:
            self.dc.rename(self.chance.choice(spare), self._next("#Group, "))

    def move_group(self) -> None:
        spare = [dn for dn in self.groups if dn != self.phones]
        if spare:
            group = self.chance.choice(spare)
            self.dc.move(group, self.outside if self.shelf in group else self.shelf)

    def change_kind(self) -> None:
        self.dc.modify(
            self.chance.choice(self.groups),
            groupType=self.chance.choice([SECURITY, DISTRIBUTION]),
        )

    def change_primary(self) -> None:
        person = self.chance.choice(self.people)
        security = [g for g in self.groups if int(self.dc.raw(g, "groupType")[0]) < 0]
        if security:
            self.dc.set_primary_group(person, self.chance.choice(security))

    def found_ou(self) -> None:
        self.ous.append(self.scratch.ou(self._next("ou"), self.chance.choice(self.ous)))

    def rename_ou(self) -> None:
        place = self.chance.choice(self.ous[1:])
        self._relocate(place, self.dc.rename(place, self._next("Renamed ")))

    def move_ou(self) -> None:
        place = self.chance.choice(self.ous[1:])
        target = self.chance.choice([self.inside, self.outside])
        if dn_parent(place) != target:
            self._relocate(place, self.dc.move(place, target))

    def _relocate(self, old: str, new: str) -> None:
        self.ous = [
            dn[: len(dn) - len(old)] + new if dn == old or dn.endswith(f",{old}") else dn
            for dn in self.ous
        ]

    def do(self) -> str:
        """One edit, chosen by chance; its name."""
        often = (self.edit, self.join, self.part, self.transfer, self.hire, self.nest)
        rarely = (
            *(self.fire, self.marry, self.disable, self.lose_email, self.found_group),
            *(self.dissolve_group, self.rename_group, self.move_group, self.change_kind),
            *(self.change_primary, self.found_ou, self.rename_ou, self.move_ou),
        )
        edit: Callable[[], None] = self.chance.choice([*often, *often, *rarely])
        try:
            edit()
        except LDAPException as refused:
            return f"{edit.__name__} (refused: {type(refused).__name__})"
        finally:
            self._reindex()
        return edit.__name__


def dn_parent(dn: str) -> str:
    """The DN above; for names without escapes."""
    return dn.partition(",")[2]


@pytest.mark.samba
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_following_random_edits_is_reading_anew(fresh_ou: Scratch, seed: int) -> None:
    dc = fresh_ou.dc
    company = Company(fresh_ou, random.Random(seed))
    places = {"user_search_dn": company.inside, "department_search_dn": company.shelf}
    tracker = {"username": dc.tracker.upn, "password": dc.tracker.password}
    kinds = {
        "OU": dc.profile(**places),
        "OU, deletions seen": dc.profile(**places, **tracker),
        "group": dc.profile(**places | {"user_search_dn": company.phones}, **tracker),
        "group, advanced": dc.profile(
            user_search_dn=company.phones,
            department_search_dn=company.inside,
            advanced=True,
            user_filter="(!(ipPhone=1*))",
        ),
    }
    followers = [Follower(label, profile) for label, profile in kinds.items()]
    for number in range(20):
        edits = [company.do() for _ in range(company.chance.choice([1, 1, 2, 4]))]
        for follower in followers:
            follower.check(f"step {number} of seed {seed}: {', '.join(edits)}")
    for follower in followers:
        assert follower.complete_reads < 10, follower.label
        follower.client.close()


# ---- what it costs ------------------------------------------------------------------------------


@pytest.mark.samba
def test_the_cost_of_following_is_pinned(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    shelf, place = fresh_ou.ou("Departments"), fresh_ou.ou("People")
    amy, ben = fresh_ou.user("amy", place), fresh_ou.user("ben", place)
    group = fresh_ou.group("g", [amy], shelf)
    follower = Follower("", dc.profile(user_search_dn=place, department_search_dn=shelf))
    client = follower.client

    def cost(work: Callable[[], Any]) -> int:
        before = client.operations
        work()
        return client.operations - before

    assert cost(lambda: client.ring(follower.snapshot.cursor)) == 1
    assert cost(lambda: client.catch_up(follower.snapshot)) == 1
    assert cost(lambda: client.sweep(follower.snapshot)) == 1
    dc.modify(amy, ipPhone="4001")
    assert cost(lambda: client.catch_up(follower.snapshot)) == 2  # the root DSE, what changed
    dc.add_members(group, ben)
    assert cost(lambda: client.catch_up(follower.snapshot)) == 3  # and the group, whole
    dc.delete(ben)
    # the root DSE, all people, all groups and OUs, who is missing
    assert cost(lambda: client.sweep(follower.snapshot)) == 4
    client.close()


@pytest.mark.samba
def test_a_busy_domain_leaves_the_departments_as_they_are(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    place = fresh_ou.ou("People")
    fresh_ou.user("amy", place)
    follower = Follower("", dc.profile(user_search_dn=place))
    before = follower.snapshot
    dc.modify(fresh_ou.user("stranger"), ipPhone="1")
    after = follower.client.catch_up(before)
    assert after is not None
    assert after.people is before.people
    assert after.departments is before.departments
    assert after.cursor.usn > before.cursor.usn
    follower.client.close()


# ---- another server, another time ---------------------------------------------------------------


@pytest.fixture
def restored(samba_fresh: SambaDC, tmp_path: Path) -> tuple[SambaDC, Callable[[], None]]:
    """A domain controller, and what puts it back to how it was at first."""
    backup = tmp_path / "backup"
    samba_fresh.stop()
    shutil.copytree(samba_fresh.dc_folder / "private", backup, ignore=_sockets)
    samba_fresh.start()

    def restore() -> None:
        samba_fresh.stop()
        shutil.copytree(backup, samba_fresh.dc_folder / "private", dirs_exist_ok=True)
        samba_fresh.start()

    return samba_fresh, restore


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_socket()]


@pytest.mark.samba
def test_a_restored_backup_means_a_complete_read(
    restored: tuple[SambaDC, Callable[[], None]],
) -> None:
    dc, restore = restored
    follower = Follower("", dc.profile())
    for number in range(3):
        dc.add_user(f"late{number}", dc.users_dn)
    snapshot = follower.follow()
    assert follower.complete_reads == 0
    assert len(snapshot.people) == 45
    restore()
    assert follower.client.ring(snapshot.cursor).changed
    assert follower.client.catch_up(snapshot) is None
    with pytest.raises(Incomplete):
        follower.client.sweep(snapshot)
    assert len(follower.follow().people) == 42
    follower.client.close()


@pytest.mark.samba
def test_a_cursor_of_another_server_is_worthless(samba_dc: SambaDC) -> None:
    client = DirectoryClient(Profile.model_validate(samba_dc.profile()))
    snapshot = client.read()
    elsewhere = type(snapshot.cursor)("another invocation", snapshot.cursor.usn)
    moved = Snapshot(
        people=snapshot.people,
        departments=snapshot.departments,
        cursor=elsewhere,
        read_at=snapshot.read_at,
        operations=0,
        memory=snapshot.memory,
    )
    assert client.ring(elsewhere).changed
    assert client.catch_up(moved) is None
    with pytest.raises(Incomplete):
        client.sweep(moved)
    client.close()


@pytest.mark.samba
def test_a_snapshot_of_another_process_is_read_anew(samba_dc: SambaDC) -> None:
    client = DirectoryClient(Profile.model_validate(samba_dc.profile()))
    snapshot = client.read()
    bare = Snapshot(
        people=snapshot.people,
        departments=snapshot.departments,
        cursor=snapshot.cursor,
        read_at=snapshot.read_at,
        operations=0,
    )
    assert client.catch_up(bare) is None
    client.close()


@pytest.mark.samba
def test_an_account_expires_without_a_change(fresh_ou: Scratch) -> None:
    now = datetime.now(UTC)
    fresh_ou.user("amy", accountExpires=filetime(now + timedelta(days=2)))
    clock = [now]
    client = DirectoryClient(
        Profile.model_validate(fresh_ou.dc.profile(user_search_dn=fresh_ou.dn)),
        now=lambda: clock[0],
    )
    snapshot = client.read()
    assert [one.state for one in snapshot.people.values()] == [AccountState.ACTIVE]
    clock[0] = now + timedelta(days=3)
    later = client.catch_up(snapshot)
    assert later is not None
    assert [one.state for one in later.people.values()] == [AccountState.EXPIRED]
    assert later.people == client.read().people
    assert [one.state for one in snapshot.people.values()] == [AccountState.ACTIVE]
    client.close()


# ---- OpenLDAP -----------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["contextCSN", "by time"])
def openldap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Slapd]:
    """An OpenLDAP server that counts its changes, and one that does not."""
    server = Slapd(tmp_path, company_entries(), counts_changes=request.param).start()
    yield server
    server.stop()


@pytest.mark.slapd
@pytest.mark.parametrize("scope", ["users_dn", "phone_users_dn"])
def test_openldap_is_followed_too(openldap: Slapd, scope: str) -> None:
    admin = openldap.admin
    fields = openldap.profile(user_search_dn=getattr(openldap, scope))
    follower = Follower(scope, fields)
    amy = openldap.add_user("amy")
    follower.check("add")
    group = f"cn=Sales,{openldap.departments_dn}"
    for name in (group, openldap.phone_users_dn):
        admin.modify(name, {"member": [(ldap3.MODIFY_ADD, [amy])]})
    follower.check("join")
    openldap.modify(amy, telephoneNumber="4001")
    follower.check("edit")
    admin.modify_dn(amy, "uid=amelia")
    follower.check("rename: the groups still name the old DN")
    admin.modify(group, {"member": [(ldap3.MODIFY_ADD, [f"uid=amelia,{openldap.users_dn}"])]})
    follower.check("join again")
    openldap.delete("uid=john.doe," + openldap.users_dn)
    follower.check("delete")
    inner = f"cn=inner,{openldap.base}"
    admin.add(inner, "groupOfNames", {"member": [f"uid=paul.smith,{openldap.users_dn}", group]})
    admin.modify(group, {"member": [(ldap3.MODIFY_ADD, [inner])]})
    follower.check("nest a cycle")
    admin.add(f"ou=new,{openldap.departments_dn}", "organizationalUnit")
    follower.check("add an OU")
    assert follower.complete_reads == 0
    admin.modify_dn(f"ou=new,{openldap.departments_dn}", "ou=newer")
    follower.check("rename an OU")
    assert follower.complete_reads == 1
    follower.client.close()


@pytest.mark.slapd
def test_openldap_rings_when_something_changed(tmp_path: Path) -> None:
    server = Slapd(tmp_path, company_entries(), counts_changes=True).start()
    client = DirectoryClient(Profile.model_validate(server.profile()))
    server.add_user("first")  # from here on there is a contextCSN
    snapshot = client.read()
    before = client.operations
    assert not client.ring(snapshot.cursor).changed
    assert client.operations - before == 1
    server.add_user("second")
    assert client.ring(snapshot.cursor).changed
    client.close()
    server.stop()


@pytest.mark.slapd
def test_openldap_that_does_not_count_rings_by_time(slapd: Slapd) -> None:
    now = datetime.now(UTC)
    clock = [now]
    client = DirectoryClient(Profile.model_validate(slapd.profile()), now=lambda: clock[0])
    snapshot = client.read()
    assert not client.ring(snapshot.cursor).changed
    clock[0] = now + timedelta(seconds=61)
    assert client.ring(snapshot.cursor).changed
    client.close()
