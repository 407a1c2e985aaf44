"""The connection profile: every fault at once, each naming its field and remedy."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from dirclient.config.profile import AttributeMapping, Encryption, Fault, PresetName, Profile
from dirclient.model.errors import Misconfigured
from tests.servers.pki import CertificateAuthority

GOOD = {
    "servers": "dc1.goodcompany.local",
    "username": "svc@goodcompany.local",
    "user_search_dn": "OU=Staff,DC=goodcompany,DC=local",
}
PEM = CertificateAuthority().pem


def faults(password: str = "secret", **values: object) -> list[Fault]:
    """The faults of a good profile with these values."""
    return Profile.examine({**GOOD, **values}, password)[1]


def fields(password: str = "secret", **values: object) -> list[str]:
    """The fields at fault."""
    return [fault.field for fault in faults(password, **values)]


def test_a_good_profile_has_no_faults() -> None:
    assert faults() == []
    assert faults(servers="dc1, dc2.x.y,10.0.0.1 , [::1]", tls_name="dc1") == []
    assert faults(servers="10.0.0.1 10.0.0.2", tls_name="dc1.x, dc2.x") == []
    assert faults(ca_certificates=PEM, advanced=True, user_filter="(a=b)") == []
    assert faults(user_search_dn="Kerauno_PhoneUsers") == []
    assert faults(user_search_dn="CN=Kerauno_PhoneUsers\n\nOU= Groups\nDC=goodcompany") == []
    assert faults(encryption="none", plaintext_accepted=True) == []


def test_every_fault_is_told_at_once() -> None:
    found = faults(
        password="",
        servers="",
        port="0",
        username=" ",
        user_search_dn="",
        tls_name="a b",
        user_filter="(a=b",
        pool_size=0,
    )
    assert {fault.field for fault in found} == {
        "servers",
        "port",
        "username",
        "password",
        "user_search_dn",
        "tls_name",
        "user_filter",
        "pool_size",
    }
    assert all(fault.message.endswith(".") and fault.remedy.endswith(".") for fault in found)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"servers": "ldap://dc1"}, "servers"),
        ({"servers": "dc1:389"}, "servers"),
        ({"servers": "10.0.0.300"}, "servers"),
        ({"servers": "dc1,DC1"}, "servers"),
        ({"servers": "-dc1"}, "servers"),
        ({"servers": "a" * 64}, "servers"),
        ({"servers": ",".join(f"dc{n}" for n in range(17))}, "servers"),
        ({"port": 65536}, "port"),
        ({"port": 389, "encryption": "ldaps"}, "port"),
        ({"tls_name": "dc1,dc2"}, "tls_name"),
        ({"tls_name": "https://dc1"}, "tls_name"),
        ({"encryption": "none"}, "encryption"),
        ({"encryption": "none", "plaintext_accepted": True, "port": 636}, "encryption"),
        ({"ca_certificates": "nonsense"}, "ca_certificates"),
        ({"ca_certificates": "Größe"}, "ca_certificates"),
        ({"ca_certificates": b"\x30\x82\xff"}, "ca_certificates"),
        ({"ca_certificates": PEM[:200]}, "ca_certificates"),
        (
            {"ca_certificates": PEM + "-----BEGIN PRIVATE KEY-----\n"},
            "ca_certificates",
        ),
        ({"username": "a\0b"}, "username"),
        ({"username": "a" * 5000}, "username"),
        ({"user_search_dn": "OU" * 5000}, "user_search_dn"),
        ({"user_search_dn": "OU=a\0"}, "user_search_dn"),
        ({"advanced": True, "user_search_dn": "Kerauno_PhoneUsers"}, "user_search_dn"),
        ({"advanced": True, "department_search_dn": "OU=a,,"}, "department_search_dn"),
        ({"department_filter": "cn=x"}, "department_filter"),
        ({"attributes": {"login": "mail, m*il"}}, "attributes.login"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"operation_timeout": float("inf")}, "operation_timeout"),
        ({"sign_in_timeout": float("nan")}, "sign_in_timeout"),
        ({"pool_size": 1000}, "pool_size"),
    ],
)
def test_a_fault_names_its_field(values: dict[str, Any], field: str) -> None:
    assert fields(**values) == [field]


def test_certificates_are_kept_without_the_words_around_them() -> None:
    other = CertificateAuthority("Größe").pem
    for text in (
        f"Aussteller: Größe CA\n{PEM}# next\r\n{other}",
        PEM.replace("\n", "\r\n") + other,
        (PEM + other).encode(),
    ):
        profile, found = Profile.examine({**GOOD, "ca_certificates": text}, "secret")
        assert profile is not None
        assert found == []
        assert profile.ca_certificates == PEM + other


def test_a_certificate_may_come_as_windows_exports_it() -> None:
    der = ssl.PEM_cert_to_DER_cert(PEM)
    profile, found = Profile.examine({**GOOD, "ca_certificates": der}, "secret")
    assert profile is not None
    assert (found, profile.ca_certificates) == ([], PEM)


@pytest.mark.parametrize("password", ["", "   ", "a\0b"])
def test_a_hollow_service_password_is_a_fault(password: str) -> None:
    assert fields(password) == ["password"]


def test_values_of_another_kind_are_faults_too() -> None:
    profile, found = Profile.examine(
        {**GOOD, "port": "abc", "encryption": "rot13", "colour": "red"}, "secret"
    )
    assert profile is None
    assert [fault.field for fault in found] == ["port", "encryption", "colour"]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("values", "encryption"),
    [
        ({}, Encryption.STARTTLS),
        ({"port": 389}, Encryption.STARTTLS),
        ({"port": 636}, Encryption.LDAPS),
        ({"port": "636", "encryption": "starttls"}, Encryption.LDAPS),
        ({"port": 3269}, Encryption.LDAPS),
        ({"port": 3636, "encryption": "ldaps"}, Encryption.LDAPS),
        ({"port": 636, "encryption": "none"}, Encryption.NONE),
    ],
)
def test_port_636_means_ldaps(values: dict[str, object], encryption: Encryption) -> None:
    profile, _ = Profile.examine({**GOOD, **values}, "secret")
    assert profile is not None
    assert profile.encryption is encryption


def test_a_stored_profile_comes_back_without_its_password() -> None:
    profile = Profile(
        preset=PresetName.OPENLDAP,
        servers=("a", "b"),
        password="secret",
        attributes=AttributeMapping(login=("mail", "uid")),
    )
    stored = profile.stored()
    assert "secret" not in str(stored)
    assert "secret" not in repr(profile)
    assert Profile.from_stored(stored, "secret") == profile
    assert Profile.from_stored(stored, "secret").password.get_secret_value() == "secret"


def test_a_profile_stored_by_another_version_is_understood() -> None:
    assert Profile.from_stored({"servers": ["a"], "colour": "red"}, "x").servers == ("a",)
    with pytest.raises(Misconfigured) as caught:
        Profile.from_stored({"port": "abc"}, "x")
    assert caught.value.field == "port"


@pytest.mark.parametrize(
    ("tls_name", "names"),
    [
        ("", ["dc1", "::1"]),
        ("one", ["one", "one"]),
        ("one, two", ["one", "two"]),
    ],
)
def test_each_server_has_its_tls_name(tls_name: str, names: list[str]) -> None:
    profile = Profile(servers=("dc1", "[::1]"), tls_name=tls_name)
    assert [profile.tls_name_of(server) for server in profile.servers] == names
