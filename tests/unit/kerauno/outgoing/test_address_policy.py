"""Which addresses may be called: judged as what they are, however they are written."""

from __future__ import annotations

import ipaddress

import pytest

from kerauno.oauth.registration import Registration
from kerauno.outgoing.address_policy import BACK_CHANNEL, Policy, literal, refusal, url_problem

PUBLIC = Policy()
METADATA = "where a cloud tells a machine its secrets"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("169.254.169.254", METADATA),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("fd00:ec2::254", METADATA),
        ("fd20:ce::254", METADATA),
        ("100.100.100.200", METADATA),
        ("168.63.129.16", METADATA),
        ("192.0.0.192", "a reserved address"),
        ("0.0.0.0", "an unspecified address"),
        ("0.1.2.3", "an unspecified address"),
        ("::", "an unspecified address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("240.0.0.1", "a reserved address"),
        ("fec0::1", "a reserved address"),
        ("2001::1", "a reserved address"),
        ("4000::1", "a reserved address"),
        ("64:ff9b:1::a9fe:a9fe", "a reserved address"),
        # other spellings of 169.254.169.254
        ("0xA9FEA9FE", METADATA),
        ("2852039166", METADATA),
        ("0251.0376.0251.0376", METADATA),
        ("169.254.43518", METADATA),
        ("169.16689662", METADATA),
        ("0xa9.0xfe.0xa9.0xfe", METADATA),
        ("169.254.169.254.", METADATA),
        ("１６９.254.169.254", METADATA),
        ("169。254｡169．254", METADATA),
        ("①⑥⑨.254.169.254", METADATA),
        ("::ffff:169.254.169.254", METADATA),
        ("::ffff:a9fe:a9fe", METADATA),
        ("::a9fe:a9fe", METADATA),
        ("64:ff9b::a9fe:a9fe", METADATA),
        ("2002:a9fe:a9fe::1", METADATA),
        ("::ffff:0.0.0.0", "an unspecified address"),
        ("2002:e000:1::", "a multicast address"),
        ("0", "an unspecified address"),
        ("0x0", "an unspecified address"),
    ],
)
def test_no_policy_lets_these_be_called(host: str, reason: str) -> None:
    address = literal(host)
    assert address is not None
    for policy in (BACK_CHANNEL, PUBLIC, Policy(private=True, plain_anywhere=True)):
        assert refusal(address, policy) == reason
    url = f"https://[{host}]/out" if ":" in host else f"https://{host}/out"
    assert url_problem(url, BACK_CHANNEL) == f"leads to {address}, {reason}."


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1",
     "64:ff9b::a00:1", "2002:a00:1::", "0xa000001", "10.1"],
)  # fmt: skip
def test_private_addresses_are_for_who_may_call_them(host: str) -> None:
    address = literal(host)
    assert address is not None
    assert refusal(address, BACK_CHANNEL) == ""
    assert refusal(address, PUBLIC) == "a private address"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "017700000001", "::1",
                                  "::ffff:127.0.0.1"])  # fmt: skip
def test_this_machine_is_for_who_may_call_it(host: str) -> None:
    address = literal(host)
    assert address is not None
    assert refusal(address, PUBLIC) == ""
    assert refusal(address, Policy(loopback=False)) == "this machine itself"


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_may_be_called(host: str) -> None:
    assert refusal(ipaddress.ip_address(host), PUBLIC) == ""


def test_an_address_of_one_zone_is_refused() -> None:
    assert refusal(ipaddress.ip_address("fd12::1%eth0"), BACK_CHANNEL) == "an address of one zone"
    assert url_problem("https://[fd12::1%25eth0]/", BACK_CHANNEL) == (
        "names a zone of this machine."
    )


@pytest.mark.parametrize("host", ["1.2.3.4.5", "256.1.1.1", "127.0.0.08", "4294967296", "0xzz.0x1",
                                  "wiki.123", "wiki.0x7f"])  # fmt: skip
def test_a_number_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        literal(host)
    assert url_problem(f"https://{host}/", BACK_CHANNEL) == (
        "has a number for a host that is no IP address."
    )


@pytest.mark.parametrize("host", ["wiki.company.com", "localhost", "grafana", "1.example", "a-1"])
def test_names_are_judged_when_they_are_called(host: str) -> None:
    assert literal(host) is None
    assert url_problem(f"https://{host}/out?x=1", PUBLIC) == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://user:secret@wiki.company.com/", "carries a name or a password."),
        ("https://@169.254.169.254/", "carries a name or a password."),
        ("ftp://wiki.company.com/", "does not begin with https://."),
        ("wiki.company.com", "does not begin with https://."),
        ("https:///out", "has no host."),
        ("https://wiki company.com/", "has no host."),
        ("https://[::1/", "is not an address."),
        ("https://wiki.company.com:x/", "is not an address."),
        ("http://wiki.company.com/", "is not https."),
        ("http://10.0.0.1/", "leads to 10.0.0.1, a private address."),
        ("http://93.184.216.34/", "is not https."),
        ("http://localhost:8080/", ""),
        ("http://127.0.0.1:8080/", ""),
        ("http://[::1]:8080/", ""),
    ],
)
def test_urls_that_machines_are_called_at(url: str, problem: str) -> None:
    assert url_problem(url, PUBLIC) == problem


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://169.254.169.254/out", "leads to 169.254.169.254, where a cloud tells"),
        ("http://0xA9FEA9FE/out", "leads to 169.254.169.254, where a cloud tells"),
        ("https://[::]/out", "leads to ::, an unspecified address."),
        ("https://wiki.0x7f/out", "has a number for a host"),
        ("https://10.0.0.7/out", ""),
        ("http://10.0.0.7:3000/out", ""),
        ("https://wiki.goodcompany.local/out", ""),
    ],
)
def test_a_registration_is_refused_with_its_field(uri: str, message: str) -> None:
    wish = Registration(
        "Wiki", redirect_uris=("https://wiki.goodcompany.local/",), backchannel_logout_uri=uri
    )
    faults = wish.faults()
    assert [fault.field for fault in faults] == (["backchannel_logout_uri"] if message else [])
    assert all(message in fault.message for fault in faults)
