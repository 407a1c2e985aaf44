"""Reads of a real Active Directory and of a real OpenLDAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ldap3
import pytest

from demo import company
from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import (
    AccountState,
    DepartmentKind,
    DirectoryDepartment,
    Snapshot,
)
from dirclient.model.errors import Misconfigured
from dirclient.wire import dn_syntax
from tests.servers.company import ODDITIES
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

Reads = Callable[..., Snapshot]


@pytest.fixture
def reads(samba_dc: SambaDC) -> Iterator[Reads]:
    """Reads the domain with the given fields of the profile."""
    made: list[DirectoryClient] = []

    def read(**fields: Any) -> Snapshot:
        made.append(DirectoryClient(Profile.model_validate(samba_dc.profile(**fields))))
        return made[-1].read()

    yield read
    for client in made:
        client.close()


def accounts(snapshot: Snapshot) -> set[str]:
    """The account names of everyone recognized."""
    return {one.account_name or "" for one in snapshot.people.values()}


def members(snapshot: Snapshot, name: str) -> set[str]:
    """The account names of a department's members."""
    found = department(snapshot, name)
    return {snapshot.people[guid].account_name or "" for guid in found.members}


def department(snapshot: Snapshot, name: str) -> DirectoryDepartment:
    """The department of this name."""
    (found,) = (one for one in snapshot.departments.values() if one.name == name)
    return found


# ---- who is a person, and where -----------------------------------------------------------------


@pytest.mark.samba
def test_an_ou_holds_everyone_below_it(reads: Reads, samba_dc: SambaDC) -> None:
    everyone = {one.account for one in company.PEOPLE}
    assert accounts(reads()) == everyone
    emea = {one.account for one in company.PEOPLE if one.ou == f"OU=EMEA,OU=Sales,{company.STAFF}"}
    assert accounts(reads(user_search_dn=f"OU=EMEA,OU=Sales,{samba_dc.users_dn}")) == emea


@pytest.mark.samba
def test_awkward_names_are_read_as_they_are(reads: Reads, samba_dc: SambaDC) -> None:
    snapshot = reads(user_search_dn=samba_dc.odd_people_dn)
    by_account = {one.account_name: one for one in snapshot.people.values()}
    assert by_account.keys() == {one.account for one in ODDITIES}
    for odd in ODDITIES:
        person = by_account[odd.account]
        assert dn_syntax.name(person.dn) == odd.common_name
        assert person.guid == samba_dc.guid(person.dn)


@pytest.mark.samba
def test_computers_contacts_and_service_accounts_are_no_people(
    reads: Reads, fresh_ou: Scratch
) -> None:
    dc = fresh_ou.dc
    amy = fresh_ou.user("amy")
    admin = dc.admin
    admin.add(f"CN=pc,{fresh_ou.dn}", "computer", {"sAMAccountName": f"{fresh_ou.name('pc')}$"})
    admin.add(f"CN=contact,{fresh_ou.dn}", "contact", {"mail": "contact@company.com"})
    admin.add(
        f"CN=gmsa,{fresh_ou.dn}",
        "msDS-GroupManagedServiceAccount",
        {
            "sAMAccountName": f"{fresh_ou.name('gm')}$",
            "msDS-ManagedPasswordInterval": "30",
            "mail": "gmsa@company.com",
        },
    )
    admin.add(f"CN=inet,{fresh_ou.dn}", "inetOrgPerson", {"sAMAccountName": fresh_ou.name("inet")})
    assert accounts(reads(user_search_dn=fresh_ou.dn)) == {
        fresh_ou.name("amy"),
        fresh_ou.name("inet"),
    }
    things = [f"CN={name},{fresh_ou.dn}" for name in ("pc", "contact", "gmsa")]
    group = fresh_ou.group("phones", [amy, *things])
    assert accounts(reads(user_search_dn=group)) == {fresh_ou.name("amy")}


@pytest.mark.samba
def test_a_group_holds_nested_cyclic_and_primary_members(reads: Reads, fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    place, elsewhere = fresh_ou.ou("People"), fresh_ou.ou("Elsewhere")
    direct, nested, deep, outside = (
        fresh_ou.user(stem, place) for stem in ("direct", "nested", "deep", "outside")
    )
    primary, primary_below = (fresh_ou.user(stem, elsewhere) for stem in ("prim", "primbelow"))
    inner = fresh_ou.group("inner", [deep])
    middle = fresh_ou.group("middle", [nested, inner], elsewhere)
    phones = fresh_ou.group("phones", [direct, middle])
    dc.add_members(inner, phones)  # a cycle
    dc.set_primary_group(primary, phones)
    dc.set_primary_group(primary_below, inner)
    distribution = dc.add_group(fresh_ou.name("mail"), place, [outside], groupType="2")
    dc.add_members(inner, distribution)  # any group leads on to its members
    snapshot = reads(user_search_dn=phones)
    stems = ("direct", "nested", "deep", "prim", "primbelow", "outside")
    assert accounts(snapshot) == {fresh_ou.name(stem) for stem in stems}


@pytest.mark.samba
def test_a_domain_is_read_whole(reads: Reads, samba_dc: SambaDC) -> None:
    snapshot = reads(user_search_dn=samba_dc.base, department_search_dn="")
    expected = {one.account for one in (*company.PEOPLE, *ODDITIES)} | {
        samba_dc.service.name,
        samba_dc.tracker.name,
        "Administrator",
    }
    assert accounts(snapshot) >= expected
    assert not [name for name in accounts(snapshot) if name.endswith("$")]
    assert snapshot.departments == {}
    assert snapshot.warnings == ()


@pytest.mark.samba
def test_advanced_narrows_to_enabled_people_with_an_email(reads: Reads, fresh_ou: Scratch) -> None:
    fresh_ou.user("amy")
    fresh_ou.user("off", enabled=False)
    fresh_ou.user("bare", mail=None, userPrincipalName=None)
    fresh_ou.user("upn", mail=None)
    late = fresh_ou.user("late")
    fresh_ou.dc.expire_account(late)
    shelf = fresh_ou.ou("Departments")
    fresh_ou.group("full", [late], shelf)
    fresh_ou.group("empty", [f"CN={fresh_ou.name('off')},{fresh_ou.dn}"], shelf)
    scope = {"user_search_dn": fresh_ou.dn, "department_search_dn": shelf}

    loose = reads(**scope)
    assert accounts(loose) == {fresh_ou.name(n) for n in ("amy", "off", "bare", "upn", "late")}
    names = {one.name for one in loose.departments.values()}
    assert names == {fresh_ou.name("full"), fresh_ou.name("empty")}

    exact = reads(**scope, advanced=True)
    assert accounts(exact) == {fresh_ou.name(n) for n in ("amy", "upn", "late")}
    assert [one.name for one in exact.departments.values()] == [fresh_ou.name("full")]
    assert [one.name for one in exact.unlisted.values()] == [fresh_ou.name("empty")]
    assert loose.unlisted == {}
    states = {one.account_name: one.state for one in exact.people.values()}
    assert states[fresh_ou.name("late")] is AccountState.EXPIRED


@pytest.mark.samba
def test_an_administrators_filters_narrow_further(reads: Reads, samba_dc: SambaDC) -> None:
    snapshot = reads(
        advanced=True,
        user_filter="(title=*Sales*)",
        department_filter="(|(cn=Sales*)(cn=Support))",
    )
    titles = {one.account for one in company.PEOPLE if "Sales" in one.title}
    assert accounts(snapshot) == titles
    names = {one.name for one in snapshot.departments.values()}
    assert names == {"Sales", "Sales EMEA", "Sales Americas"}  # nobody in Support is recognized
    # A department that the filter leaves out still leads to its members.
    narrow = reads(advanced=True, department_filter="(cn=Engineering)")
    assert members(narrow, "Engineering") >= {"erik.hansen", "goran.petrovic", "nils.berg"}


@pytest.mark.samba
@pytest.mark.parametrize("field", ["user_filter", "department_filter"])
def test_a_filter_that_is_none_is_named(reads: Reads, field: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        reads(advanced=True, **{field: "(cn=oops"})
    assert caught.value.field == field


# ---- departments --------------------------------------------------------------------------------


@pytest.mark.samba
def test_departments_have_effective_members_and_say_how(reads: Reads) -> None:
    snapshot = reads()
    direct = {group.name: set(group.members) for group in company.DEPARTMENT_GROUPS}
    assert {one.name for one in snapshot.departments.values()} == direct.keys()
    assert all(one.kind is DepartmentKind.GROUP for one in snapshot.departments.values())
    assert members(snapshot, "Sales") == (
        (direct["Sales"] | direct["Sales EMEA"] | direct["Sales Americas"])
        - {"Sales EMEA", "Sales Americas"}
    )
    assert members(snapshot, "Operations") == members(snapshot, "On Call")
    assert members(snapshot, "Front Desk") == {"kim.lee", "orla.byrne"}
    engineering = department(snapshot, "Engineering")
    via = {snapshot.people[guid].account_name: path for guid, path in engineering.via.items()}
    assert via == {
        "erik.hansen": ("Quality",),
        "fatima.zahra": ("Quality",),
        "goran.petrovic": ("Operations",),
        "hana.suzuki": ("Operations",),
        "nils.berg": ("Operations", "On Call"),
    }
    assert engineering.path == ("Departments", "Engineering")


@pytest.mark.samba
def test_ous_are_departments_of_their_whole_subtree(reads: Reads, samba_dc: SambaDC) -> None:
    snapshot = reads(department_search_dn=samba_dc.users_dn)
    sales = department(snapshot, "Sales")
    assert sales.kind is DepartmentKind.OU
    inside = {one.account for one in company.PEOPLE if "OU=Sales" in one.ou}
    assert members(snapshot, "Sales") == inside
    marta = next(p.guid for p in snapshot.people.values() if p.account_name == "marta.kowalska")
    assert sales.via[marta] == ("EMEA",)
    assert department(snapshot, "EMEA").path == ("Staff", "Sales", "EMEA")
    assert members(snapshot, "Staff") == {one.account for one in company.PEOPLE}


@pytest.mark.samba
def test_one_group_or_one_ou_is_a_department_itself(reads: Reads, samba_dc: SambaDC) -> None:
    group = reads(department_search_dn=f"CN=Sales,{samba_dc.departments_dn}")
    assert [one.name for one in group.departments.values()] == ["Sales"]
    assert len(members(group, "Sales")) == 12
    unit = reads(department_search_dn=f"OU=EMEA,OU=Sales,{samba_dc.users_dn}")
    assert [one.name for one in unit.departments.values()] == ["EMEA"]


@pytest.mark.samba
def test_distribution_groups_are_no_departments(reads: Reads, fresh_ou: Scratch) -> None:
    amy = fresh_ou.user("amy")
    shelf = fresh_ou.ou("Departments")
    dc = fresh_ou.dc
    dc.add_group(fresh_ou.name("mail"), shelf, [amy], groupType="8")
    dc.add_group(fresh_ou.name("local"), shelf, [amy], groupType=str(0x80000004 - 2**32))
    dc.add_group(fresh_ou.name("universal"), shelf, [amy], groupType=str(0x80000008 - 2**32))
    snapshot = reads(user_search_dn=fresh_ou.dn, department_search_dn=shelf)
    names = {one.name for one in snapshot.departments.values()}
    assert names == {fresh_ou.name("local"), fresh_ou.name("universal")}


@pytest.mark.samba
def test_cyclic_departments_with_awkward_names(reads: Reads, samba_dc: SambaDC) -> None:
    snapshot = reads(
        user_search_dn=samba_dc.odd_people_dn, department_search_dn=samba_dc.odd_departments_dn
    )
    ring = {"odd.umlaut", "odd.emoji", "odd.rtl"}
    for name in ("Ring A", "Ring B", "Ring C"):
        assert members(snapshot, name) == ring
    research = members(snapshot, "Research, Development")
    assert research == ring | {"odd.comma", "odd.plus"}
    assert members(snapshot, "Primary Only") == {"odd.star", "odd.digits"}
    assert members(snapshot, "#Vertrieb+Süd") == {"odd.hash"}


# ---- what it costs ------------------------------------------------------------------------------


@pytest.mark.samba
@pytest.mark.parametrize(
    ("scope", "operations"),
    [
        # root DSE twice, two search DNs, containers, people, departments, deleted objects
        ("users_dn", 8),
        # and: the group, what is nested, its people
        ("phone_users_dn", 10),
    ],
)
def test_the_cost_of_a_read_is_pinned(samba_dc: SambaDC, scope: str, operations: int) -> None:
    fields = samba_dc.profile(user_search_dn=getattr(samba_dc, scope))
    client = DirectoryClient(Profile.model_validate(fields))
    client.read()  # the first look at a server also asks who it is
    assert client.read().operations == operations
    client.close()


@pytest.mark.slapd
def test_the_cost_grows_with_pages_only(make_slapd: Callable[[int], Slapd]) -> None:
    counts = {}
    for people in (1, 2500):
        server = make_slapd(people)
        client = DirectoryClient(Profile.model_validate(server.profile()))
        counts[people] = client.read().operations
        client.close()
    pages_of_people, pages_of_groups = 2, 4
    assert counts[1] == 7
    assert counts[2500] == counts[1] + pages_of_people + pages_of_groups


# ---- OpenLDAP -----------------------------------------------------------------------------------


@pytest.mark.slapd
def test_openldap_is_read_alike(slapd: Slapd) -> None:
    client = DirectoryClient(
        Profile.model_validate(slapd.profile(user_search_dn=slapd.phone_users_dn))
    )
    snapshot = client.read()
    assert accounts(snapshot) == {one.account for one in company.PEOPLE}
    assert members(snapshot, "Operations") == {"goran.petrovic", "hana.suzuki", "nils.berg"}
    engineering = department(snapshot, "Engineering")
    via = {snapshot.people[guid].account_name: path for guid, path in engineering.via.items()}
    assert via["nils.berg"] == ("Operations", "On Call")
    client.close()


@pytest.mark.slapd
def test_openldaps_own_kinds_of_group(slapd: Slapd) -> None:
    admin = slapd.admin
    place = f"ou=kinds,{slapd.base}"
    admin.add(place, "organizationalUnit")
    amy = slapd.add_user("kinds-amy")
    unique = f"cn=unique,{place}"
    admin.add(unique, "groupOfUniqueNames", {"uniqueMember": amy.upper().replace("UID", "uid")})
    admin.add(f"cn=outer,{place}", "groupOfNames", {"member": [unique, f"cn=gone,{place}"]})
    client = DirectoryClient(Profile.model_validate(slapd.profile(department_search_dn=place)))
    snapshot = client.read()
    assert members(snapshot, "unique") == members(snapshot, "outer") == {"kinds-amy"}
    client.close()
    admin.search(place, "(objectClass=*)", ldap3.LEVEL)
    for dn in [amy, *(one["dn"] for one in admin.response), place]:
        admin.delete(dn)
