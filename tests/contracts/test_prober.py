"""The connection test: its steps, what each says, and what to do when one fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.connection import certificates
from dirclient.model.directory_objects import Step
from dirclient.model.errors import (
    AccountExpired,
    BadCredentials,
    Disabled,
    HoursRestricted,
    Locked,
    LogonTypeDenied,
    MustChangePassword,
    PasswordExpired,
    Refused,
    WorkstationRestricted,
)
from dirclient.probe import service_account_rights
from tests.contracts.backends import Backend
from tests.servers.pki import CertificateAuthority
from tests.servers.process import free_port, loopback
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

ORDER = (
    *("settings", "resolve", "tcp", "tls", "bind", "level", "user_search_dn"),
    *("department_search_dn", "people", "departments", "rights", "clock", "lockout"),
)
OF_OPENLDAP = tuple(n for n in ORDER if n not in ("settings", "level", "rights", "clock"))


def probe(fields: dict[str, Any], **more: Any) -> list[Step]:
    """Every step of a test of this profile."""
    client = DirectoryClient(Profile.model_validate(fields), **more)
    try:
        return list(client.probe())
    finally:
        client.close()


def failure(fields: dict[str, Any]) -> Step:
    """The step at which a test ended; those before it passed."""
    steps = probe(fields)
    assert [one.ok for one in steps] == [True] * (len(steps) - 1) + [False]
    assert steps[-1].remedy
    return steps[-1]


def step(steps: list[Step], name: str) -> Step:
    """The step of this name."""
    (found,) = (one for one in steps if one.name == name)
    return found


# ---- what every prober owes ---------------------------------------------------------------------


def test_steps_come_in_order_with_times(backend: Backend) -> None:
    backend.add_department("sales", [backend.add("amy", extension="1001"), backend.add("ben")])
    steps = list(backend.client.probe())
    names = [one.name for one in steps]
    assert names == [name for name in ORDER if name in names]
    assert all(one.ok and one.summary and one.seconds >= 0 for one in steps)
    assert all(bool(one.remedy) == one.warning for one in steps)
    assert step(steps, "people").data["people"] == 2
    assert step(steps, "departments").data["departments"] == 1


# ---- Active Directory ---------------------------------------------------------------------------


@pytest.mark.samba
def test_a_good_connection_says_everything(samba_dc: SambaDC) -> None:
    steps = probe(samba_dc.profile())
    assert [one.name for one in steps] == list(ORDER[1:])
    assert all(one.ok for one in steps)
    assert "TLSv1." in step(steps, "tls").summary
    assert samba_dc.dns_name in step(steps, "tls").summary
    assert step(steps, "level").data == {"level": 4}
    assert step(steps, "user_search_dn").summary == "OU, 42 people."
    assert step(steps, "department_search_dn").data["kind"] == "ou"
    people = step(steps, "people")
    assert people.data["people"] == 42
    assert people.data["free_of_conflicts"] == 32
    assert people.data["conflicts"] == {
        "account_disabled": 1,
        "account_expired": 1,
        "email_invalid": 1,
        "email_taken": 2,
        "extension_invalid": 1,
        "extension_missing": 1,
        "extension_taken": 2,
        "name_missing": 1,
        "username_taken": 2,
    }
    assert step(steps, "departments").data == {
        "departments": 11,
        "groups": 11,
        "ous": 0,
        "with_people": 10,
    }
    assert abs(float(str(step(steps, "clock").data["offset"]))) < 2
    assert step(steps, "lockout").data["threshold"] == 0


@pytest.mark.samba
def test_a_group_says_how_its_people_belong(fresh_ou: Scratch) -> None:
    dc = fresh_ou.dc
    people = [fresh_ou.user(f"p{number}") for number in range(9)]
    inner = fresh_ou.group("inner", people[4:7])
    phones = fresh_ou.group("phones", [*people[:4], people[4], inner])
    for one in people[7:]:
        dc.set_primary_group(one, phones)
    steps = probe(dc.profile(user_search_dn=fresh_ou.name("phones")))
    found = step(steps, "user_search_dn")
    assert found.summary == (
        f"{phones}: security group, 9 people, 2 of them nested, 2 by primary group."
    )
    assert {k: found.data[k] for k in ("people", "nested", "primary", "kind")} == {
        "people": 9,
        "nested": 2,
        "primary": 2,
        "kind": "group",
    }


@pytest.mark.samba
def test_what_the_account_may_not_read_comes_with_the_grant(samba_dc: SambaDC) -> None:
    rights = step(probe(samba_dc.profile()), "rights")
    place = f"CN=Deleted Objects,{samba_dc.base}"
    assert rights.warning
    assert rights.data["deletions_visible"] is False
    assert rights.data["grant"] == [
        f'dsacls "{place}" /takeownership',
        f'dsacls "{place}" /G "{samba_dc.service.upn}:LCRP"',
    ]
    assert all(command in rights.remedy for command in rights.data["grant"])

    sees_all = samba_dc.profile(
        username=f"{samba_dc.netbios}\\{samba_dc.tracker.name}",
        password=samba_dc.tracker.password,
    )
    rights = step(probe(sees_all), "rights")
    assert (rights.warning, rights.data) == (False, {"deletions_visible": True})


@pytest.mark.samba
@pytest.mark.parametrize("name", ["admin_upn", "admin_dn"])
def test_an_account_that_can_do_too_much_is_told(samba_dc: SambaDC, name: str) -> None:
    fields = samba_dc.profile(username=getattr(samba_dc, name), password=samba_dc.admin_password)
    rights = step(probe(fields), "rights")
    assert rights.ok
    assert rights.warning
    assert "Domain Admins" in rights.remedy


@pytest.mark.samba
def test_the_lockout_policy_is_told(samba_fresh: SambaDC) -> None:
    samba_fresh.set_lockout_policy(5, window=600, duration=1800)
    lockout = step(probe(samba_fresh.profile()), "lockout")
    assert lockout.data["threshold"] == 5
    assert "5 wrong passwords within 10 minutes lock an account for 30 minutes" in lockout.summary


@pytest.mark.samba
def test_a_clock_that_is_off_is_told(samba_dc: SambaDC, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(minutes=10)

    monkeypatch.setattr("dirclient.operations.rootdse.datetime", Late)
    clock = step(probe(samba_dc.profile()), "clock")
    assert clock.ok
    assert clock.warning
    assert 598 < float(str(clock.data["offset"])) < 602
    assert "600 s ahead" in clock.summary or "601 s ahead" in clock.summary


@pytest.mark.samba
@pytest.mark.parametrize(
    ("fields", "name", "field", "words"),
    [
        ({"servers": ()}, "settings", "servers", "empty"),
        ({"servers": ("nosuch.invalid",)}, "resolve", "servers", "cannot be resolved"),
        ({"port": 390}, "tcp", "servers", "refused"),
        ({"tls_name": "wrong.example"}, "tls", "tls_name", "not for the name"),
        (
            {"ca_certificates": CertificateAuthority().pem},
            "tls",
            "ca_certificates",
            "not signed by a trusted authority",
        ),
        ({"port": 636, "encryption": "none"}, "settings", "encryption", "always encrypted"),
        ({"port": 88, "encryption": "ldaps"}, "tls", "", ""),
        (
            {"encryption": "none", "plaintext_accepted": True},
            "bind",
            "encryption",
            "refuses passwords on an unencrypted connection",
        ),
        ({"password": "wrong"}, "bind", "password", "(data 52e)"),
        ({"username": "nobody@goodcompany.local"}, "bind", "password", "name or the password"),
        ({"preset": "openldap"}, "level", "preset", "is an Active Directory"),
        (
            {"user_search_dn": "OU=x,DC=goodcompany,DC=local"},
            "user_search_dn",
            "user_search_dn",
            "",
        ),
        ({"user_search_dn": "Sales"}, "user_search_dn", "user_search_dn", "2 are called 'Sales'"),
        ({"department_search_dn": "Nix"}, "department_search_dn", "department_search_dn", ""),
    ],
)
def test_each_failure_ends_the_test_with_a_remedy(
    samba_dc: SambaDC, fields: dict[str, Any], name: str, field: str, words: str
) -> None:
    found = failure(samba_dc.profile(**fields))
    assert found.name == name
    assert words in found.summary
    if field:
        assert found.field == field


@pytest.mark.samba
def test_tls_failures_show_the_certificate(samba_dc: SambaDC) -> None:
    wrong_name = failure(samba_dc.profile(tls_name="wrong.example"))
    assert samba_dc.dns_name in wrong_name.remedy
    other_authority = failure(samba_dc.profile(ca_certificates=CertificateAuthority().pem))
    shown = certificates.shown(Profile.model_validate(samba_dc.profile()), samba_dc.host)
    assert shown is not None
    assert shown.fingerprint in other_authority.remedy
    assert set(shown.names) == {samba_dc.dns_name, samba_dc.host}


@pytest.mark.samba
def test_certificates_have_an_end(samba_fresh: SambaDC) -> None:
    dc, now = samba_fresh, datetime.now(UTC)
    ends = (timedelta(days=10), timedelta(days=-1))
    found = []
    for left in ends:
        dc.use_certificate(
            [dc.dns_name], not_before=now - timedelta(days=100), not_after=now + left
        )
        dc.stop()
        dc.start()
        found.append(step(probe(dc.profile()), "tls"))
    soon, over = found
    assert soon.ok
    assert soon.warning
    assert f"ends on {now + ends[0]:%Y-%m-%d}" in soon.remedy
    assert not over.ok
    assert "has expired" in over.summary
    assert f"ended on {now + ends[1]:%Y-%m-%d}" in over.remedy


@pytest.mark.samba
@pytest.mark.parametrize(
    ("state", "data", "words"),
    [
        ("disable", "533", "disabled"),
        ("expire_account", "701", "expired"),
        ("must_change_password", "773", "must change"),
    ],
)
def test_a_refused_service_account_says_why(
    fresh_ou: Scratch, state: str, data: str, words: str
) -> None:
    dc = fresh_ou.dc
    account = fresh_ou.user("svc")
    getattr(dc, state)(account)
    found = failure(dc.profile(username=account, password="Welcome!2026"))
    assert found.name == "bind"
    assert words in found.summary
    assert f"(data {data})" in found.summary


@pytest.mark.parametrize(
    "refusal",
    [
        *(BadCredentials, Locked, Disabled, AccountExpired, PasswordExpired),
        *(MustChangePassword, HoursRestricted, WorkstationRestricted, LogonTypeDenied),
    ],
)
def test_every_refusal_has_words_of_its_own(refusal: type[Refused]) -> None:
    said = {str(service_account_rights.bind_fault(kind())) for kind in (refusal, Refused)}
    fault = service_account_rights.bind_fault(refusal(subcode="123"))
    assert len(said) == 2
    assert "service account" in str(fault)
    assert str(fault).endswith("(data 123)")
    assert fault.field in ("username", "password")
    assert fault.remedy


@pytest.mark.samba
def test_one_dead_server_of_two_is_a_warning(samba_dc: SambaDC) -> None:
    dead = loopback()
    steps = probe(samba_dc.profile(servers=(dead, samba_dc.host)))
    assert all(one.ok for one in steps)
    tcp = step(steps, "tcp")
    assert tcp.warning
    assert dead in tcp.remedy
    assert samba_dc.host in step(steps, "bind").summary


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """A server that accepts and never answers."""
    host = loopback()
    port = free_port(host)
    with socket.create_server((host, port), backlog=8):
        yield host, port


@pytest.mark.parametrize(
    ("encryption", "name"), [("starttls", "tls"), ("ldaps", "tls"), ("none", "bind")]
)
def test_a_server_that_never_answers_fails_in_time(
    silent: tuple[str, int], encryption: str, name: str
) -> None:
    found = failure(
        {
            "servers": (silent[0],),
            "port": silent[1],
            "encryption": encryption,
            "plaintext_accepted": True,
            "username": "svc@goodcompany.local",
            "password": "x",
            "user_search_dn": "Staff",
            "connect_timeout": 0.3,
            "sign_in_timeout": 0.6,
        }
    )
    assert found.name == name
    assert found.field == "servers"


@pytest.mark.samba
def test_nothing_secret_is_in_a_step(samba_dc: SambaDC) -> None:
    canary = "C4nary!In-The-Coal-Mine"
    for fields in (samba_dc.profile(password=canary), samba_dc.profile()):
        text = repr(probe(fields))
        assert canary not in text
        assert samba_dc.service.password not in text


# ---- OpenLDAP -----------------------------------------------------------------------------------


@pytest.mark.slapd
def test_openldap_leaves_out_what_it_has_not(slapd: Slapd) -> None:
    steps = probe(slapd.profile())
    assert [one.name for one in steps] == list(OF_OPENLDAP)
    assert all(one.ok for one in steps)
    assert step(steps, "people").data["people"] == 42
    as_ad = failure(slapd.profile(preset="active-directory"))
    assert (as_ad.name, as_ad.field) == ("level", "preset")
    wrong = failure(slapd.profile(password="wrong"))
    assert (wrong.name, wrong.field) == ("bind", "password")


@pytest.mark.slapd
def test_openldaps_size_limit_is_told(make_slapd: Callable[[int], Slapd], tmp_path: Path) -> None:
    server = make_slapd(1200)
    server.stop()
    settings = server.folder / "slapd.conf"
    settings.write_text(
        settings.read_text().replace("sizelimit 500000", "sizelimit size.prtotal=500")
    )
    server.start()
    found = failure(server.profile())
    assert found.name == "user_search_dn"
    assert "size limit" in found.summary
