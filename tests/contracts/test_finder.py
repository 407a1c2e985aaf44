"""The contract of every `Finder`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dirclient.model.directory_objects import AccountState, Guid
from dirclient.model.errors import Ambiguous, Misconfigured, NotFound
from dirclient.model.login_name import parse
from dirclient.wire import dn_syntax
from tests.contracts.backends import Backend, SambaBackend, SlapdBackend
from tests.servers.samba import SambaDC
from tests.servers.slapd import Slapd


def found(backend: Backend, typed: str) -> Guid:
    """Return whom this name finds."""
    guid: Guid = backend.client.find(parse(typed)).guid
    return guid


def nobody(backend: Backend, typed: str) -> bool:
    """Return whether the name finds nobody."""
    try:
        backend.client.find(parse(typed))
    except NotFound:
        return True
    return False


def test_a_person_is_found_with_everything_about_them(backend: Backend) -> None:
    john = backend.add("john", first="Zoë", last="O'Neill", extension="1001")
    person = backend.client.find(parse(backend.email("john")))
    assert person.guid == john.guid
    assert dn_syntax.key(person.dn) == dn_syntax.key(john.dn)
    assert person.login == backend.email("john")
    assert (person.first_name, person.last_name, person.extension) == ("Zoë", "O'Neill", "1001")
    assert person.account_name == backend.unique("john")
    assert person.login_attribute == "mail"
    assert person.state is AccountState.ACTIVE
    assert (person.locked, person.must_change_password) == (False, False)
    assert abs(person.changed - datetime.now(UTC)) < timedelta(minutes=5)


def test_every_form_of_a_name_finds_the_person(backend: Backend) -> None:
    john = backend.add("john")
    account = backend.unique("john")
    for typed in (
        account,
        account.upper(),
        f"  {account} ",
        f"{account}@company.com",
        f"{account.upper()}@Company.COM",
        f"{backend.down_level}\\{account}",
        f"{backend.down_level.lower()}\\{account.upper()}",
    ):
        assert found(backend, typed) == john.guid


def test_other_domains_find_nobody(backend: Backend) -> None:
    backend.add("john")
    account = backend.unique("john")
    for typed in (
        f"{account}@elsewhere.com",
        f"{account}@company.com.evil.com",
        f"ELSEWHERE\\{account}",
        f".\\{account}",
        f"{backend.down_level}x\\{account}",
    ):
        assert nobody(backend, typed)


@pytest.mark.parametrize(
    "typed",
    [
        "*",
        "a*",
        "john*",
        "*@company.com",
        ")(uid=*",
        "*)(objectClass=*",
        "x)(|(cn=*",
        "\\2a",
        "a\\2a",
        "(",
        "&",
        "john%00",
    ],
)
def test_signs_of_filters_find_nobody(backend: Backend, typed: str) -> None:
    backend.add("john")
    try:
        login = parse(typed)
    except ValueError:
        return
    with pytest.raises(NotFound):
        backend.client.find(login)


def test_part_of_a_name_finds_nobody(backend: Backend) -> None:
    backend.add("john")
    email = backend.email("john")
    for typed in (email[:-1], email[1:], backend.unique("john")[:-1]):
        assert nobody(backend, typed)


ODD = {
    "comma": "Comma, Anna",
    "plus": "Anna+Plus",
    "quote": 'Anna "The" Quote',
    "hash": "#1 Anna",
    "blank": " Anna Blank",
    "umlaut": "Jürgen Größe",
    "apostrophe": "Sinéad O'Connor",
    "star": "Anna (*) Star",
    "slash": "Anna \\ Slash",
    "equals": "Anna <b>;=</b>",
    "hebrew": "שרה כהן",
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_name_in_the_dn_is_found(backend: Backend, kind: str) -> None:
    odd = backend.add(kind, cn=ODD[kind])
    assert found(backend, backend.email(kind)) == odd.guid
    assert backend.client.find_guid(odd.guid).guid == odd.guid


def test_unicode_is_compared_normalised(backend: Backend) -> None:
    if backend.name == "slapd":  # mail is an IA5String there
        zoe = backend.add("zoe", account=f"zoë-{backend.tag}")
    else:
        zoe = backend.add(
            "zoe", account=f"zoë-{backend.tag}", login=f"zoë-{backend.tag}@company.com"
        )
        assert found(backend, f"ZOË-{backend.tag}@COMPANY.com") == zoe.guid
    decomposed = unicodedata.normalize("NFD", f"zoë-{backend.tag}")
    assert found(backend, decomposed) == zoe.guid
    assert nobody(backend, f"zoe-{backend.tag}x")


def test_two_people_with_one_email_are_ambiguous(backend: Backend) -> None:
    shared = f"shared-{backend.tag}@company.com"
    one = backend.add("one", login=shared)
    other = backend.add("two", login=shared.upper())
    with pytest.raises(Ambiguous) as caught:
        backend.client.find(parse(shared))
    assert {dn_syntax.key(each) for each in caught.value.dns} == {
        dn_syntax.key(one.dn),
        dn_syntax.key(other.dn),
    }


def test_a_bare_name_of_two_domains_is_ambiguous(backend: Backend) -> None:
    for stem, domain in (("one", "a.com"), ("two", "b.com")):
        backend.add(stem, login=f"shared-{backend.tag}@{domain}")
    with pytest.raises(Ambiguous):
        backend.client.find(parse(f"shared-{backend.tag}"))
    assert backend.client.find(parse(f"shared-{backend.tag}@a.com"))


def test_a_login_value_goes_before_an_account_name(backend: Backend) -> None:
    by_login = backend.add("one", login=f"name-{backend.tag}@company.com")
    by_account = backend.add("name", login=f"other-{backend.tag}@company.com")
    assert found(backend, backend.unique("name")) == by_login.guid
    down_level = f"{backend.down_level}\\{backend.unique('name')}"
    assert found(backend, down_level) == by_account.guid


def test_who_is_out_of_scope_is_not_found(backend: Backend) -> None:
    outsider = backend.add("out", in_scope=False)
    assert nobody(backend, backend.email("out"))
    assert nobody(backend, backend.unique("out"))
    with pytest.raises(NotFound):
        backend.client.find_guid(outsider.guid)


def test_a_namesake_out_of_scope_makes_nothing_ambiguous(backend: Backend) -> None:
    shared = f"shared-{backend.tag}@company.com"
    inside = backend.add("one", login=shared)
    backend.add("two", login=shared, in_scope=False)
    assert found(backend, shared) == inside.guid


def test_an_identity_that_does_not_exist_is_not_found(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.client.find_guid(Guid.parse("00000000-0000-4000-8000-000000000000"))


def test_without_mail_the_principal_name_is_the_login(ad: Backend) -> None:
    principal = f"upn-{ad.tag}@goodcompany.local"
    person = ad.add("upn", login=None, principal=principal)
    assert found(ad, principal.upper()) == person.guid
    assert ad.client.find(parse(principal)).login == principal


def test_a_principal_name_beside_a_mail_finds_nobody(ad: Backend) -> None:
    ad.add("john", principal=f"upn-{ad.tag}@goodcompany.local")
    assert nobody(ad, f"upn-{ad.tag}@goodcompany.local")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("disabled", AccountState.DISABLED),
        ("expired", AccountState.EXPIRED),
        ("disabled and expired", AccountState.DISABLED),
        ("must change", AccountState.ACTIVE),
        ("no hours", AccountState.ACTIVE),
        ("locked", AccountState.ACTIVE),
    ],
)
def test_the_account_state_is_seen(ad: Backend, state: str, shown: AccountState) -> None:
    person = ad.add("state")
    ad.set_state(person, state)
    seen = ad.client.find_guid(person.guid)
    assert seen.state is shown
    assert seen.must_change_password is (state == "must change")
    assert seen.locked is (state == "locked")


# -- a group as the scope, on real servers


@pytest.fixture
def samba(samba_dc: SambaDC) -> Iterator[SambaBackend]:
    """A place in the real AD."""
    made = SambaBackend(samba_dc)
    yield made
    made.close()


@pytest.fixture
def openldap(slapd: Slapd) -> Iterator[SlapdBackend]:
    """A place in the real OpenLDAP."""
    made = SlapdBackend(slapd)
    yield made
    made.close()


@pytest.mark.samba
def test_members_of_a_group_are_in_scope_however_they_belong(samba: SambaBackend) -> None:
    dc = samba.dc
    group = dc.add_group(samba.unique("group"), samba.outside)
    direct, nested, deep, primary, nested_primary, out = (
        samba.add(stem) for stem in ("direct", "nested", "deep", "primary", "nestedp", "out")
    )
    inner = dc.add_group(samba.unique("inner, odd (x)"), samba.outside, [nested.dn])
    innermost = dc.add_group(samba.unique("innermost"), samba.outside, [deep.dn, group])
    dc.add_members(inner, innermost)
    dc.add_members(group, direct.dn, inner)  # and innermost closes a circle
    dc.set_primary_group(primary.dn, group)
    dc.set_primary_group(nested_primary.dn, innermost)
    samba.look_within(group)
    for person in (direct, nested, deep, primary, nested_primary):
        assert samba.client.find_guid(person.guid).guid == person.guid
    assert nobody(samba, samba.email("out"))
    with pytest.raises(NotFound):
        samba.client.find_guid(out.guid)
    assert found(samba, samba.unique("nestedp")) == nested_primary.guid


@pytest.mark.slapd
def test_members_of_an_openldap_group_are_in_scope(openldap: SlapdBackend) -> None:
    direct, nested, out = (openldap.add(stem) for stem in ("direct", "nested", "out"))
    outer = f"cn={openldap.unique('outer')},{openldap.outside}"
    inner = f"cn={openldap.unique('inner')},{openldap.outside}"
    admin = openldap.server.admin
    admin.add(inner, "groupOfNames", {"member": [nested.dn, outer]})
    admin.add(outer, "groupOfNames", {"member": [direct.dn, inner.upper()]})
    openldap.look_within(outer)
    assert found(openldap, openldap.email("direct")) == direct.guid
    assert found(openldap, openldap.email("nested")) == nested.guid
    with pytest.raises(NotFound):
        openldap.client.find_guid(out.guid)


@pytest.mark.samba
def test_advanced_looks_only_at_enabled_people_with_an_email(samba: SambaBackend) -> None:
    samba.look_within(samba.inside, advanced=True, user_filter="(!(title=Robot))")
    john, off, robot = samba.add("john"), samba.add("off"), samba.add("robot", title="Robot")
    samba.set_state(off, "disabled")
    assert found(samba, samba.email("john")) == john.guid
    for outside in (off, robot):
        with pytest.raises(NotFound):
            samba.client.find_guid(outside.guid)


@pytest.mark.samba
def test_a_scope_that_does_not_exist_is_a_fault_to_mend(samba: SambaBackend) -> None:
    samba.look_within(f"OU=Gone,{samba.dc.base}")
    with pytest.raises(Misconfigured) as caught:
        samba.client.find(parse("john.doe"))
    assert caught.value.field == "user_search_dn"


@pytest.mark.samba
def test_a_scope_that_went_is_not_believed_in(samba: SambaBackend) -> None:
    """The kind of the search DN is believed for a while; its presence is not."""
    dc = samba.dc
    scope = dc.add_ou("Scope", samba.inside)
    john = dc.guid(dc.add_user(samba.unique("john"), scope))
    samba.look_within(scope)
    assert found(samba, samba.email("john")) == john
    dc.rename(scope, "Elsewhere")
    for _ in range(2):
        with pytest.raises(Misconfigured):
            samba.client.find(parse("john.doe"))
    dc.rename(f"OU=Elsewhere,{samba.inside}", "Scope")
    assert found(samba, samba.email("john")) == john


def test_a_directory_does_not_take_another_domain_for_its_own(backend: Backend) -> None:
    assert [backend.client.is_domain(name) for name in ("OTHER", "")] == [False, False]


def test_active_directory_knows_its_netbios_and_dns_name(ad: Backend) -> None:
    named = (ad.down_level, ad.down_level.lower(), "GOODCOMPANY.local")
    assert [ad.client.is_domain(name) for name in named] == [True, True, True]
