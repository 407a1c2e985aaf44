"""Replication-conflict objects of a real AD (CNF) are left out everywhere, counted, and told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import Snapshot
from dirclient.model.errors import Misconfigured, NotFound
from dirclient.model.login_name import parse
from tests.servers.samba import Scratch

pytestmark = pytest.mark.samba

TWIN = "\\0ACNF:6b1c3a52-7d0e-4b0f-9a51-0c8a8f6e7d21"
GROUP = {"groupType": str(0x80000002 - 2**32)}


class Domain:
    """A corner of a domain in which two servers made the same things at once."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.dc = scratch, scratch.dc
        self.mail = f"{scratch.name('amy')}@company.com"
        self.people_ou, self.groups_ou = scratch.ou("People"), scratch.ou("Groups")
        self.amy = scratch.user("amy", self.people_ou, mail=self.mail)
        self.twin = f"CN=amy{TWIN},{self.people_ou}"
        self.place = f"OU=Staff{TWIN},{self.people_ou}"
        self.below = f"CN=bob,{self.place}"
        self.sales = scratch.group("sales", [self.amy], self.groups_ou)
        self.twin_of_sales = f"CN=sales{TWIN},{self.groups_ou}"
        self._add(self.twin, "user", "amy2", mail=self.mail)
        self.dc.admin.add(self.place, "organizationalUnit")
        self._add(self.below, "user", "bob2", mail=f"{scratch.name('bob')}@company.com")
        self._add(self.twin_of_sales, "group", "sales2", **GROUP)
        self.dc.admin.add(f"OU=Teams{TWIN},{self.groups_ou}", "organizationalUnit")
        for dn in (self.twin, self.below):
            self.dc.enable(dn)
        carl = scratch.user("carl", self.groups_ou)
        self.dc.add_members(self.twin_of_sales, self.amy, carl)
        self.dc.add_members(self.sales, self.twin, self.below, self.twin_of_sales)

    def _add(self, dn: str, kind: str, account: str, **attributes: str) -> None:
        name = self.scratch.name(account)
        self.dc.admin.add(dn, kind, {"sAMAccountName": name} | attributes)

    def client(self, **fields: Any) -> DirectoryClient:
        """A client that searches the two OUs."""
        places = {"user_search_dn": self.people_ou, "department_search_dn": self.groups_ou}
        return DirectoryClient(Profile.model_validate(self.dc.profile(**places | fields)))


@pytest.fixture
def domain(fresh_ou: Scratch) -> Iterator[Domain]:
    domain = Domain(fresh_ou)
    yield domain
    domain.dc.delete_tree(domain.people_ou)


def people(snapshot: Snapshot) -> list[str]:
    """The DNs of the people."""
    return sorted(person.dn for person in snapshot.people.values())


def departments(snapshot: Snapshot) -> dict[str, list[str]]:
    """The members of each department."""
    return {
        department.dn: sorted(snapshot.people[guid].dn for guid in department.members)
        for department in snapshot.departments.values()
    }


def test_twins_are_no_people_no_departments_and_no_members(domain: Domain) -> None:
    client = domain.client()
    snapshot = client.read()
    assert people(snapshot) == [domain.amy]
    assert departments(snapshot) == {domain.sales: [domain.amy]}
    assert snapshot.hidden == frozenset()
    (warning,) = snapshot.warnings
    assert warning.startswith("5 replication-conflict objects (CNF) were left out, such as CN=amy")
    (step,) = (step for step in client.probe() if step.name == "people")
    assert (step.ok, step.warning, step.remedy) == (True, True, warning)
    client.close()


def test_a_twin_keeps_nobody_out_and_lets_nobody_in(domain: Domain) -> None:
    client = domain.client()
    assert client.find(parse(domain.mail)).dn == domain.amy
    for account in ("amy2", "bob2"):
        with pytest.raises(NotFound):
            client.find(parse(domain.scratch.name(account)))
    client.close()


def test_a_user_group_with_a_twin_in_it_is_complete(domain: Domain) -> None:
    client = domain.client(user_search_dn=domain.sales)
    snapshot = client.read()
    assert people(snapshot) == [domain.amy]
    domain.dc.modify(domain.amy, sn="Married")
    later = client.catch_up(snapshot)
    assert later is not None
    assert client.sweep(later).people == client.read().people
    client.close()


def test_a_twin_is_not_offered_and_not_taken_as_a_search_dn(domain: Domain) -> None:
    client = domain.client()
    name = domain.scratch.name("sales")
    assert client.suggest(name) == (domain.sales,)
    with pytest.raises(Misconfigured, match="is a replication-conflict object"):
        client.resolve(domain.twin_of_sales)
    client.close()


def test_becoming_a_twin_and_being_cleared_up_are_followed(domain: Domain) -> None:
    client, dc = domain.client(), domain.dc
    snapshot = client.read()

    def followed() -> Snapshot:
        """Brought up to date, by a complete read where changes alone do not tell."""
        nonlocal snapshot
        snapshot = client.catch_up(snapshot) or client.read()
        whole = client.read()
        assert (snapshot.people, snapshot.departments) == (whole.people, whole.departments)
        return snapshot

    other = TWIN.replace("6b1c", "7b1c")
    dc.admin.modify_dn(domain.amy, f"CN=amy{other}")
    assert people(followed()) == []
    dc.admin.modify_dn(f"CN=amy{other},{domain.people_ou}", domain.amy.partition(",")[0])
    assert people(followed()) == [domain.amy]
    dc.admin.modify_dn(domain.place, "OU=Staff")
    assert people(followed()) == sorted([domain.amy, f"CN=bob,OU=Staff,{domain.people_ou}"])
    dc.admin.modify_dn(f"OU=Staff,{domain.people_ou}", f"OU=Staff{TWIN}")
    assert people(followed()) == [domain.amy]
    dc.modify(domain.twin, sn="Other")
    dc.modify(domain.below, sn="Other")
    assert people(followed()) == [domain.amy]
    dc.admin.modify_dn(domain.twin_of_sales, "CN=Sales of old")
    assert departments(followed()).keys() == {
        domain.sales,
        f"CN=Sales of old,{domain.groups_ou}",
    }
    dc.admin.modify_dn(domain.sales, f"CN=sales{TWIN}")
    assert departments(followed()).keys() == {f"CN=Sales of old,{domain.groups_ou}"}
    client.close()
