"""From an entry to a person: names, account states, instants."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from dirclient.config import presets
from dirclient.config.profile import AttributeMapping, PresetName, Profile
from dirclient.mapping import person_mapping
from dirclient.mapping.person_mapping import PersonReader
from dirclient.model.directory_objects import AccountState, Guid
from dirclient.wire.decode import Entry
from dirclient.wire.filters import InvalidFilter

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GUID = Guid.parse("11223344-5566-7788-99aa-bbccddeeff00")
NEVER = b"9223372036854775807"


def filetime(instant: datetime) -> bytes:
    """An AD time."""
    since = instant - datetime(1601, 1, 1, tzinfo=UTC)
    return b"%d" % (since // timedelta(microseconds=1) * 10)


def ad_entry(**attributes: str | bytes) -> Entry:
    """An AD entry with an identity and these attributes; `__` stands for `-`."""
    values = {"objectguid": [presets.guid_octets(GUID)]}
    for name, value in attributes.items():
        raw = value if isinstance(value, bytes) else value.encode()
        values[name.lower().replace("__", "-")] = [raw]
    return Entry("CN=John Doe,DC=x", values)


AD = PersonReader.of(Profile())
LDAP = PersonReader.of(Profile(preset=PresetName.OPENLDAP))


def test_a_guid_on_the_wire_is_mixed_endian() -> None:
    assert presets.guid_octets(GUID) == bytes.fromhex("443322116655887799aabbccddeeff00")
    assert Guid.from_ad(presets.guid_octets(GUID)) == GUID


def test_every_field_is_read() -> None:
    person = AD.person(
        ad_entry(
            mail="john.doe@company.com",
            userPrincipalName="jdoe@goodcompany.local",
            givenName="John",
            sn="Doe",
            ipPhone="1001",
            telephoneNumber="+1 317 555 0100",
            displayName="John Doe",
            sAMAccountName="jdoe",
            userAccountControl="512",
            accountExpires=NEVER,
            pwdLastSet="133000000000000000",
            whenChanged="20261123085221.0Z",
            uSNChanged="4711",
        ),
        NOW,
    )
    assert person is not None
    assert (person.guid, person.dn) == (GUID, "CN=John Doe,DC=x")
    assert (person.login, person.login_attribute) == ("john.doe@company.com", "mail")
    assert (person.first_name, person.last_name) == ("John", "Doe")
    assert (person.extension, person.extension_attribute) == ("1001", "ipphone")
    assert (person.display_name, person.account_name) == ("John Doe", "jdoe")
    assert person.principal_name == "jdoe@goodcompany.local"
    assert (person.state, person.locked, person.must_change_password) == (
        AccountState.ACTIVE,
        False,
        False,
    )
    assert person.changed == datetime(2026, 11, 23, 8, 52, 21, tzinfo=UTC)
    assert person.usn == 4711


def test_the_next_attribute_serves_where_one_is_absent_or_blank() -> None:
    person = AD.person(
        ad_entry(mail="  ", userPrincipalName="jdoe@goodcompany.local", telephoneNumber=" 1002 "),
        NOW,
    )
    assert person is not None
    assert (person.login, person.login_attribute) == (
        "jdoe@goodcompany.local",
        "userprincipalname",
    )
    assert (person.extension, person.extension_attribute) == ("1002", "telephonenumber")


def test_the_second_attribute_stands_in_for_an_empty_one_never_for_a_wrong_one() -> None:
    """A slip in ipPhone is a conflict: it gives nobody another number by itself."""
    entry = ad_entry(
        mail="john.doe", userPrincipalName="jdoe@x.local", ipPhone="1O01", telephoneNumber="x2002"
    )
    person = AD.person(entry, NOW)
    assert person
    assert (person.extension, person.extension_attribute) == ("1O01", "ipphone")
    assert (person.login, person.login_attribute) == ("john.doe", "mail")
    assert (person.first_name, person.last_name, person.display_name) == (None, None, None)


def test_an_administrators_mapping_replaces_the_presets() -> None:
    profile = Profile(attributes=AttributeMapping(login=("extensionAttribute1",)))
    reader = PersonReader.of(profile)
    person = reader.person(ad_entry(mail="a@b.c", extensionAttribute1="x@y.z"), NOW)
    assert person is not None
    assert (person.login, person.login_attribute) == ("x@y.z", "extensionattribute1")
    assert "extensionattribute1" in reader.attributes
    assert "mail" not in reader.attributes


def test_text_is_normalised_and_what_holds_a_nul_is_none() -> None:
    person = AD.person(
        ad_entry(givenName=unicodedata.normalize("NFD", " Zoë "), sn="a\0b", mail=b"\xff@x.y"), NOW
    )
    assert person is not None
    assert (person.first_name, person.last_name, person.login) == ("Zoë", None, "\ufffd@x.y")


@pytest.mark.parametrize("raw", [None, b"", b"short", b"x" * 17])
def test_without_an_identity_there_is_no_person(raw: bytes | None) -> None:
    entry = Entry("CN=x", {} if raw is None else {"objectguid": [raw]})
    assert AD.person(entry, NOW) is None


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({}, AccountState.ACTIVE),
        ({"userAccountControl": "512"}, AccountState.ACTIVE),
        ({"userAccountControl": "514"}, AccountState.DISABLED),
        ({"userAccountControl": "66050"}, AccountState.DISABLED),
        ({"accountExpires": "0"}, AccountState.ACTIVE),
        ({"accountExpires": NEVER}, AccountState.ACTIVE),
        ({"accountExpires": b"9223372036854775806"}, AccountState.ACTIVE),
        ({"accountExpires": filetime(NOW - DAY)}, AccountState.EXPIRED),
        ({"accountExpires": filetime(NOW)}, AccountState.EXPIRED),
        ({"accountExpires": filetime(NOW + DAY)}, AccountState.ACTIVE),
        (
            {"userAccountControl": "514", "accountExpires": filetime(NOW - DAY)},
            AccountState.DISABLED,
        ),
        ({"userAccountControl": "nonsense", "accountExpires": "-1"}, AccountState.ACTIVE),
    ],
)
def test_the_state_of_an_ad_account(
    attributes: dict[str, str | bytes], state: AccountState
) -> None:
    person = AD.person(ad_entry(**attributes), NOW)
    assert person is not None
    assert person.state is state


def test_locked_and_must_change_are_told_apart() -> None:
    computed = {"msDS__User__Account__Control__Computed": "8388624"}
    locked = AD.person(ad_entry(pwdLastSet="133000000000000000", **computed), NOW)
    changing = AD.person(ad_entry(pwdLastSet="0"), NOW)
    unending = AD.person(ad_entry(pwdLastSet="0", userAccountControl="66048"), NOW)
    told = [(one.locked, one.must_change_password) for one in (locked, changing, unending) if one]
    assert told == [(True, False), (False, True), (False, False)]


def ldap_person(**attributes: str) -> tuple[AccountState, bool, bool]:
    """State, locked and must change of an OpenLDAP account."""
    values = {name.lower(): [value.encode()] for name, value in attributes.items()}
    person = LDAP.person(Entry("uid=x", {"entryuuid": [GUID.encode()], **values}), NOW)
    assert person is not None
    assert person.guid == GUID
    return person.state, person.locked, person.must_change_password


def test_the_state_of_an_openldap_account() -> None:
    active, expired = AccountState.ACTIVE, AccountState.EXPIRED
    assert ldap_person() == (active, False, False)
    assert ldap_person(pwdAccountLockedTime="000001010000Z") == (
        AccountState.DISABLED,
        True,
        False,
    )
    assert ldap_person(pwdAccountLockedTime="20261123085221Z") == (active, True, False)
    assert ldap_person(pwdReset="TRUE") == (active, False, True)
    assert ldap_person(pwdEndTime="20261122000000Z") == (expired, False, False)
    assert ldap_person(pwdEndTime="20261124000000Z") == (active, False, False)
    assert ldap_person(shadowExpire="1") == (expired, False, False)
    assert ldap_person(shadowExpire="99999") == (active, False, False)
    assert ldap_person(shadowExpire="-1") == (active, False, False)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("20261123085221.0Z", datetime(2026, 11, 23, 8, 52, 21, tzinfo=UTC)),
        ("20261123085221Z", datetime(2026, 11, 23, 8, 52, 21, tzinfo=UTC)),
        ("20261123085221.5Z", datetime(2026, 11, 23, 8, 52, 21, 500000, tzinfo=UTC)),
        ("20261231235960Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),  # a leap second
        ("20261323085221Z", None),
        ("000001010000Z", None),
        ("20261123085221+0100", None),
        ("2026112308522xZ", None),
        ("", None),
        (None, None),
    ],
)
def test_generalized_time(text: str | None, instant: datetime | None) -> None:
    assert person_mapping.generalized_time(text) == instant


# -- who counts


def test_without_advanced_every_person_account_counts() -> None:
    profile = Profile(user_filter="(department=Sales)")
    assert str(person_mapping.person_filter(profile)) == "(sAMAccountType=805306368)"


def test_advanced_narrows_to_what_matters() -> None:
    profile = Profile(advanced=True, user_filter=" (department=Sales) ")
    assert str(person_mapping.person_filter(profile)) == (
        "(&(sAMAccountType=805306368)(|(mail=*)(userprincipalname=*))"
        "(!(userAccountControl:1.2.840.113556.1.4.803:=2))(department=Sales))"
    )


def test_an_administrators_filter_cannot_widen() -> None:
    profile = Profile(
        preset=PresetName.OPENLDAP, advanced=True, user_filter="(|(uid=a)(objectClass=*))"
    )
    assert str(person_mapping.person_filter(profile)) == (
        "(&(objectClass=inetOrgPerson)(mail=*)(|(uid=a)(objectClass=*)))"
    )


def test_a_filter_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidFilter):
        person_mapping.person_filter(Profile(advanced=True, user_filter="(cn=a)(cn=b)"))


def test_departments_are_security_groups_and_units() -> None:
    assert str(person_mapping.department_filter(Profile(department_filter="(cn=x)"))) == (
        "(|(&(objectClass=group)(groupType:1.2.840.113556.1.4.803:=2147483648))"
        "(objectClass=organizationalUnit))"
    )
    advanced = Profile(preset=PresetName.OPENLDAP, advanced=True, department_filter="(cn=x)")
    assert str(person_mapping.department_filter(advanced)) == (
        "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)"
        "(objectClass=organizationalUnit))(cn=x))"
    )
