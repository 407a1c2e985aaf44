"""The directory client against a real domain controller that is misconfigured, frozen or gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.connection import server_health
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import BadCredentials, Misconfigured, Unavailable
from dirclient.model.login_name import parse
from dirclient.snapshot import watcher
from tests.servers.process import wait_until
from tests.servers.samba import SambaDC, Scratch
from tests.servers.slapd import Slapd

pytestmark = pytest.mark.samba

PASSWORD = "Welcome!2026"
Connect = Callable[..., DirectoryClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of a server, with these fields of the profile; closes them."""
    made: list[DirectoryClient] = []

    def client(server: SambaDC | Slapd, **values: Any) -> DirectoryClient:
        made.append(DirectoryClient(Profile.model_validate(server.profile(**values))))
        return made[-1]

    yield client
    for one in made:
        one.close()


def john(dc: SambaDC) -> Identity:
    """Somebody who can sign in."""
    dn = dc.dn("john.doe")
    return Identity(Guid(dc.guid(dn)), dn)


@pytest.fixture
def counted(fresh_ou: Scratch) -> Iterator[Callable[[str], str]]:
    """Adds people whose wrong passwords the domain counts; returns their DN."""
    policies: list[str] = []

    def add(stem: str) -> str:
        dn = fresh_ou.user(stem)
        policies.append(fresh_ou.dc.add_pso(fresh_ou.name(stem), [dn], threshold=20))
        return dn

    yield add
    for policy in policies:
        fresh_ou.dc.delete(policy)


def attempts(dc: SambaDC, dn: str) -> int:
    """How many wrong passwords the domain has counted for an account."""
    return int(dc.raw(dn, "badPwdCount")[0])


@pytest.mark.parametrize(
    "values",
    [
        {"encryption": "starttls", "port": 389},
        {"encryption": "ldaps", "port": 636},
        {"port": 636},
        {"tls_name": ""},  # the certificate shows the address, too
    ],
)
def test_every_encrypted_way_works(
    samba_dc: SambaDC, connect: Connect, values: dict[str, Any]
) -> None:
    client = connect(samba_dc, **values)
    person = client.find(parse("john.doe@company.com"))
    client.authenticate(Identity(person.guid, person.dn), PASSWORD)
    assert client.operations > 1


@pytest.mark.parametrize("form", ["upn", "down-level", "dn"])
def test_the_service_account_may_be_written_in_every_form(
    samba_dc: SambaDC, connect: Connect, form: str
) -> None:
    service = samba_dc.service
    name = {
        "upn": service.upn,
        "down-level": f"{samba_dc.netbios}\\{service.name}",
        "dn": service.dn,
    }[form]
    client = connect(samba_dc, username=name)
    assert client.find(parse("john.doe")).login == "john.doe@company.com"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"encryption": "none", "plaintext_accepted": True}, "encryption"),  # result code 8
        ({"encryption": "none"}, "encryption"),
        ({"tls_name": "dc2.goodcompany.local"}, "tls_name"),
        ({"ca_certificates": ""}, "ca_certificates"),
        ({"user_search_dn": "OU=Stuff,DC=goodcompany,DC=local"}, "user_search_dn"),
        ({"username": "nobody@goodcompany.local"}, "password"),
    ],
)
def test_what_an_administrator_must_mend_names_its_field(
    samba_dc: SambaDC, connect: Connect, values: dict[str, Any], field: str
) -> None:
    client = connect(samba_dc, **values)
    with pytest.raises(Misconfigured) as caught:
        client.find(parse("john.doe"))
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("encryption", "port", "said"),
    [("starttls", 636, "may be one for LDAPS"), ("ldaps", 389, "during the TLS handshake")],
)
def test_the_other_port_is_told(
    samba_dc: SambaDC, connect: Connect, encryption: str, port: int, said: str
) -> None:
    given = Profile.model_validate(samba_dc.profile(encryption=encryption))
    client = DirectoryClient(given.model_copy(update={"port": port}))
    with pytest.raises(Unavailable) as caught:
        client.find(parse("john.doe"))
    assert said in caught.value.tried[0]
    assert said in str(caught.value)
    client.close()


def test_the_search_dn_that_was_meant_is_suggested(samba_dc: SambaDC, connect: Connect) -> None:
    client = connect(samba_dc, user_search_dn="OU=Staf,DC=goodcompany,DC=local")
    with pytest.raises(Misconfigured) as caught:
        client.find(parse("john.doe"))
    assert samba_dc.users_dn in caught.value.remedy


def test_a_wrong_service_password_is_tried_once(
    samba_dc: SambaDC, counted: Callable[[str], str], connect: Connect
) -> None:
    dc, service = samba_dc, counted("svc")
    client = connect(dc, username=service, password="wrong")
    for _ in range(10):
        with pytest.raises(Misconfigured) as caught:
            client.find(parse("john.doe"))
        assert caught.value.field == "password"
    assert attempts(dc, service) == 1
    client.authenticate(john(dc), PASSWORD)  # linked people still sign in


def test_a_sign_in_counts_once_in_the_domain(
    samba_dc: SambaDC, counted: Callable[[str], str], connect: Connect
) -> None:
    dc, dn = samba_dc, counted("person")
    person = Identity(Guid(dc.guid(dn)), dn)
    client = connect(dc)
    for count in (1, 2):
        with pytest.raises(BadCredentials):
            client.authenticate(person, "wrong")
        assert attempts(dc, dn) == count
    for hollow in ("", "  ", "a\0b"):
        with pytest.raises(BadCredentials):
            client.authenticate(person, hollow)
    assert attempts(dc, dn) == 2


def test_an_expired_certificate_is_told(
    tmp_path: Path, samba_fresh: SambaDC, connect: Connect
) -> None:
    samba_fresh.stop()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    samba_fresh.use_certificate([samba_fresh.dns_name], not_after=yesterday)
    samba_fresh.start()
    with pytest.raises(Misconfigured, match="has expired"):
        connect(samba_fresh).find(parse("john.doe"))


def test_a_restarted_server_is_not_noticed(samba_fresh: SambaDC, connect: Connect) -> None:
    client = connect(samba_fresh)
    person = john(samba_fresh)
    client.authenticate(person, PASSWORD)
    assert client.find(parse("john.doe")).guid == person.guid
    for end in (samba_fresh.stop, samba_fresh.kill):
        end()
        samba_fresh.start()
        client.authenticate(person, PASSWORD)
        assert client.find(parse("john.doe")).guid == person.guid


def test_a_frozen_server_is_left_and_taken_back(
    samba_fresh: SambaDC,
    samba_dc: SambaDC,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two servers of one company: the first freezes, the second serves, the first comes back."""
    monkeypatch.setattr(server_health, "KNOCK_EVERY", 0.1)
    client = connect(
        samba_fresh,
        servers=(samba_fresh.host, samba_dc.host),
        ca_certificates=samba_fresh.ca_pem + samba_dc.ca_pem,
        connect_timeout=0.5,
        sign_in_timeout=1.0,
    )
    first, second = john(samba_fresh), john(samba_dc)
    client.authenticate(first, PASSWORD)
    samba_fresh.freeze()
    before = time.monotonic()
    with pytest.raises(Unavailable):  # it had been sent: it may not be sent again
        client.authenticate(first, PASSWORD)
    assert time.monotonic() - before < 3
    before = time.monotonic()
    client.authenticate(second, PASSWORD)
    assert time.monotonic() - before < 1
    assert client.find(parse("john.doe")).guid == second.guid
    samba_fresh.thaw()
    wait_until(lambda: not client.pool.servers[0].failed, "the first server is back")
    client.authenticate(first, PASSWORD)


def test_the_doorbell_waits_for_no_frozen_server(samba_fresh: SambaDC, connect: Connect) -> None:
    client = connect(samba_fresh, connect_timeout=0.5)
    cursor = client.read().cursor
    assert not client.ring(cursor).changed
    samba_fresh.freeze()
    before = time.monotonic()
    with pytest.raises(Unavailable):
        client.ring(cursor)
    assert time.monotonic() - before < watcher.RING_SECONDS + 3
    samba_fresh.thaw()


def test_no_server_at_all_is_told_at_once(samba_fresh: SambaDC, connect: Connect) -> None:
    client = connect(samba_fresh)
    person = john(samba_fresh)
    client.authenticate(person, PASSWORD)
    samba_fresh.kill()
    before = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        client.authenticate(person, PASSWORD)
    assert time.monotonic() - before < 2
    assert samba_fresh.host in caught.value.tried[0]


def test_openldap_refuses_plaintext_only_where_it_is_not_accepted(
    slapd: Slapd, connect: Connect
) -> None:
    client = connect(slapd, encryption="none", plaintext_accepted=True)
    assert client.find(parse("john.doe")).login == "john.doe@company.com"
