"""Search DNs found in a real Active Directory and a real OpenLDAP, however they are typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo import company
from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.model.errors import Misconfigured
from tests.contracts.backends import Backend
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

PHONES = f"CN={company.PHONE_USERS},OU=Groups,{company.BASE}"


@pytest.fixture
def client(samba_dc: SambaDC) -> Iterator[DirectoryClient]:
    """The domain, with Advanced Search DN off."""
    made = DirectoryClient(Profile.model_validate(samba_dc.profile()))
    yield made
    made.close()


@pytest.fixture
def exact(samba_dc: SambaDC) -> Iterator[DirectoryClient]:
    """The domain, with Advanced Search DN on."""
    made = DirectoryClient(Profile.model_validate(samba_dc.profile(advanced=True)))
    yield made
    made.close()


def test_an_exact_name_is_found_and_nonsense_is_not(backend: Backend) -> None:
    department = backend.add_department("sales", [])
    name = backend.unique("sales")
    dn = backend.client.read().departments[department].dn
    assert backend.client.resolve(dn) == dn
    assert backend.client.resolve(dn.upper()) == dn
    assert backend.client.resolve(name) == dn
    assert dn in backend.client.suggest(name[:-2])
    with pytest.raises(Misconfigured) as caught:
        backend.client.resolve("no such thing anywhere")
    assert caught.value.field == "user_search_dn"
    assert caught.value.remedy


@pytest.mark.samba
@pytest.mark.parametrize(
    "text",
    [
        PHONES,
        PHONES.lower(),
        "CN=Kerauno_PhoneUsers\n\nOU= Groups\n\nDC=goodcompany\n\nDC=local \n",
        "CN=Kerauno_PhoneUsers / OU= Groups / DC=goodcompany / DC=local",
        "CN=Kerauno_PhoneUsers, OU= Groups",
        "CN=Kerauno_PhoneUsers",
        "goodcompany.local/Groups/Kerauno_PhoneUsers",
        "GOODCOMPANY.local/groups/kerauno_phoneusers",
        "Groups/Kerauno_PhoneUsers",
        "Kerauno_PhoneUsers",
        " kerauno_phoneusers ",
        "COMPANY\\Kerauno_PhoneUsers",
    ],
)
def test_every_way_to_say_it(client: DirectoryClient, text: str) -> None:
    assert client.resolve(text) == PHONES


@pytest.mark.samba
def test_places_and_the_domain_itself(client: DirectoryClient, samba_dc: SambaDC) -> None:
    assert client.resolve("goodcompany.local") == samba_dc.base
    assert client.resolve("goodcompany.local/") == samba_dc.base
    assert client.resolve("Staff") == samba_dc.users_dn
    assert client.resolve("Users") == f"CN=Users,{samba_dc.base}"
    assert client.resolve("EMEA") == f"OU=EMEA,OU=Sales,{samba_dc.users_dn}"


@pytest.mark.samba
def test_awkward_names(client: DirectoryClient, samba_dc: SambaDC) -> None:
    for name in ("Research, Development", "#Vertrieb+Süd"):
        found = client.resolve(name)
        assert found.endswith(samba_dc.odd_departments_dn)
        assert client.resolve(found) == found


@pytest.mark.samba
def test_a_part_of_a_dn_is_found_wherever_it_lies_below_the_domain(
    client: DirectoryClient, samba_dc: SambaDC
) -> None:
    emea = f"OU=EMEA,OU=Sales,{samba_dc.users_dn}"
    assert client.resolve("OU=EMEA") == emea
    assert client.resolve("ou= emea, ou=sales") == emea
    assert client.resolve("OU=Sales") == f"OU=Sales,{samba_dc.users_dn}"
    for absent in ("CN=EMEA", "OU=EMEA,OU=Groups"):
        with pytest.raises(Misconfigured, match="does not exist") as caught:
            client.resolve(absent)
        assert emea in caught.value.remedy


@pytest.mark.samba
def test_a_name_with_a_slash_in_it_is_a_name(client: DirectoryClient, fresh_ou: Scratch) -> None:
    dn = fresh_ou.group("R&D / Lab 7")
    name = fresh_ou.name("R&D / Lab 7")
    assert client.resolve(name) == dn
    assert client.resolve(f"CN={name}") == dn


@pytest.mark.samba
def test_several_of_one_name_are_all_named(client: DirectoryClient, samba_dc: SambaDC) -> None:
    with pytest.raises(Misconfigured) as caught:
        client.resolve("Sales")
    assert f"CN=Sales,{samba_dc.departments_dn}" in str(caught.value)
    assert f"OU=Sales,{samba_dc.users_dn}" in str(caught.value)


@pytest.mark.samba
@pytest.mark.parametrize(
    ("text", "nearest", "meant"),
    [
        ("Kerauno_PhoneUser", "", PHONES),
        (f"CN=Kerauno_PhoneUsers,OU=Group,{company.BASE}", company.BASE, PHONES),
        (f"OU=Stuff,{company.BASE}", company.BASE, f"OU=Staff,{company.BASE}"),
        ("goodcompany.local/Groups/Kerauno_Phones", f"OU=Groups,{company.BASE}", ""),
        (f"OU=x,OU=y,OU=Staff,{company.BASE}", f"OU=Staff,{company.BASE}", ""),
    ],
)
def test_what_does_not_exist_has_a_nearest(
    client: DirectoryClient, text: str, nearest: str, meant: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        client.resolve(text)
    assert nearest in str(caught.value)
    assert meant in caught.value.remedy


@pytest.mark.samba
@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "*",
        "a*",
        ")(cn=*",
        "CN=a\0b",
        "x" * 10_000,
        "OU=",
        "\\",
        "\u202egnp.exe",
        "=",
        "/",
    ],
)
def test_bad_input_has_a_clear_answer(client: DirectoryClient, text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        client.resolve(text)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000


@pytest.mark.samba
def test_a_person_is_no_place_to_search(client: DirectoryClient, samba_dc: SambaDC) -> None:
    with pytest.raises(Misconfigured, match="neither a group nor a place"):
        client.resolve(samba_dc.dn("john.doe"))


@pytest.mark.samba
def test_advanced_takes_the_dn_exactly(exact: DirectoryClient) -> None:
    assert exact.resolve(PHONES) == PHONES
    for loose in ("Kerauno_PhoneUsers", "CN=Kerauno_PhoneUsers,OU=Groups", "goodcompany.local"):
        with pytest.raises(Misconfigured):
            exact.resolve(loose)


@pytest.mark.samba
def test_suggestions_while_typing(client: DirectoryClient, fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    assert client.suggest("kerauno_ph") == (PHONES,)
    both = {f"CN=Sales,{dc.departments_dn}", f"OU=Sales,{dc.users_dn}"}
    assert set(client.suggest("sales")[:2]) == both
    assert f"OU=Staff,{dc.base}" in client.suggest("")
    assert not [dn for dn in client.suggest("", 100) if "CN=System," in dn]
    names = [fresh_ou.group(f"zz{number}") for number in range(12)]
    assert len(client.suggest("zz")) == 8
    assert set(client.suggest("zz", 50)) == set(names)
    assert client.suggest("no such thing") == ()
    assert client.suggest("*") == ()
    assert client.suggest("\0") == ()


@pytest.mark.samba
def test_a_loose_search_dn_is_read_as_what_it_means(samba_dc: SambaDC) -> None:
    fields = samba_dc.profile(
        user_search_dn="Kerauno_PhoneUsers", department_search_dn="goodcompany.local/Departments"
    )
    loose = DirectoryClient(Profile.model_validate(fields))
    strict = DirectoryClient(
        Profile.model_validate(samba_dc.profile(user_search_dn=samba_dc.phone_users_dn))
    )
    one, other = loose.read(), strict.read()
    assert (one.people, one.departments) == (other.people, other.departments)
    loose.close()
    strict.close()


@pytest.mark.slapd
def test_openldap_resolves_too(slapd: Slapd) -> None:
    client = DirectoryClient(Profile.model_validate(slapd.profile()))
    assert client.resolve("Kerauno_PhoneUsers") == slapd.phone_users_dn
    assert client.resolve("goodcompany.local/groups/Kerauno_PhoneUsers") == slapd.phone_users_dn
    assert client.resolve("OU= People\nDC=goodcompany\nDC=local") == slapd.users_dn
    assert client.resolve("goodcompany.local") == slapd.base
    assert client.suggest("peo") == (slapd.users_dn,)
    with pytest.raises(Misconfigured) as caught:
        client.resolve("Kerauno_Phones")
    assert slapd.phone_users_dn in caught.value.remedy
    client.close()


@pytest.mark.samba
def test_the_cost_of_an_exact_dn_is_one_look(client: DirectoryClient) -> None:
    client.resolve(PHONES)
    before = client.operations
    client.resolve(PHONES)
    assert client.operations - before == 2  # the root DSE, and the object
