"""The domain controller the other tests stand on is what they think it is."""

from __future__ import annotations

import uuid

import pytest

from demo import company
from tests.servers import company as domain
from tests.servers.samba import SambaDC, Scratch

pytestmark = pytest.mark.samba


def test_everyone_in_the_company_is_there(samba_dc: SambaDC) -> None:
    found = samba_dc.search("(objectCategory=person)", ["sAMAccountName"], samba_dc.users_dn)
    assert {one["raw_attributes"]["sAMAccountName"][0].decode() for one in found} == {
        one.account for one in company.PEOPLE
    }


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ("john.doe", ""),
        ("dora.frank", "533"),
        ("emil.frank", "701"),
        ("nina.new", "773"),
        ("otto.old", "532"),
        ("odd.hours", "530"),
        ("odd.workstation", "531"),
    ],
)
def test_each_account_state_has_its_sub_code(samba_dc: SambaDC, account: str, code: str) -> None:
    assert samba_dc.refusal(f"{account}@{company.DNS_DOMAIN}", company.PASSWORD) == code


@pytest.mark.parametrize("person", domain.ODDITIES, ids=lambda one: one.account)
def test_awkward_names_bind_by_guid(samba_dc: SambaDC, person: company.Account) -> None:
    guid = samba_dc.guid(domain.dn_of(person))
    code = {company.NO_HOURS: "530", company.WORKSTATION: "531"}.get(person.state, "")
    assert samba_dc.refusal(f"<GUID={guid}>", person.password) == code


def test_changes_reach_the_directory(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    person = fresh_ou.user("amy", ipPhone="4001")
    group = fresh_ou.group("team", [person])
    unit = fresh_ou.ou("Elsewhere")
    guid = dc.guid(person)
    person = dc.rename(dc.move(person, unit), "Amy, Renamed")
    assert dc.guid(person) == guid
    dc.set_primary_group(person, group)
    dc.modify(person, ipPhone=None)
    assert dc.raw(person, "ipPhone") == []
    name = f"{fresh_ou.name('amy')}@{company.DNS_DOMAIN}"
    dc.expire_password(person)
    assert dc.refusal(name, company.PASSWORD) == "532"
    dc.set_password(person, "Another!Pass1")
    assert dc.refusal(name, "Another!Pass1") == ""
    dc.disable(person)
    assert dc.refusal(name, "Another!Pass1") == "533"


def test_lockout_policy_locks(samba_fresh: SambaDC) -> None:
    samba_fresh.set_lockout_policy(2)
    name = f"john.doe@{company.DNS_DOMAIN}"
    assert [samba_fresh.refusal(name, "wrong") for _ in range(3)] == ["52e", "52e", "775"]


def test_a_tracker_sees_deletions(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    guid = dc.guid(person := fresh_ou.user("gone"))
    dc.delete(person)
    connection = dc.connect(dc.tracker.upn, dc.tracker.password)
    connection.search(
        dc.base,
        f"(&(isDeleted=TRUE)(sAMAccountName={fresh_ou.name('gone')}))",
        attributes=["objectGUID"],
        controls=[("1.2.840.113556.1.4.417", True, None)],
    )
    seen = [one["raw_attributes"]["objectGUID"][0] for one in connection.response if "dn" in one]
    assert [str(uuid.UUID(bytes_le=one)) for one in seen] == [guid]
