"""The client's address and scheme as trusted proxies report them."""

from __future__ import annotations

import ipaddress
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from werkzeug.middleware.proxy_fix import ProxyFix

from authsvc.web.proxy_headers import LOGGED_EVERY, Proxies, forwarded_fields, last_entries
from kerauno.base import ip_addresses
from kerauno.base.errors import InvalidValue
from kerauno.signin.throttle import address_key
from tests.integration.site import logged

PEER = "10.0.0.9"


def _behind(_environ: dict[str, Any], _start: object) -> tuple[()]:
    return ()


def seen(count: int = 1, header: str = "auto", peer: str = PEER, **fields: str) -> tuple[str, str]:
    """The address and the scheme that the app sees."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in fields.items()}
    Proxies(_behind, count, header=header)(environ, None)  # type: ignore[arg-type]
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


READ = [
    ("203.0.113.7", "203.0.113.7"),
    ("203.0.113.7:51001", "203.0.113.7"),
    ('"203.0.113.7:51001"', "203.0.113.7"),
    (" 203.0.113.7 ", "203.0.113.7"),
    ("203.0.113.7:_port", "203.0.113.7"),
    ("[203.0.113.7]", None),
    ("2001:db8:1::1", "2001:db8:1::1"),
    ("2001:DB8:1:0:0:0:0:1", "2001:db8:1::1"),
    ("[2001:db8:1::1]", "2001:db8:1::1"),
    ("[2001:db8:1::1]:4711", "2001:db8:1::1"),
    ('"[2001:db8:1::1]:4711"', "2001:db8:1::1"),
    ("2001:db8:1:2:3:4:5:6:4711", "2001:db8:1:2:3:4:5:6"),
    ("2001:db8:1::1:51001", "2001:db8:1::1"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%25eth0]:80", "fe80::1"),
    ("::ffff:203.0.113.7", "203.0.113.7"),
    ("[::ffff:203.0.113.7]:51001", "203.0.113.7"),
    ("::ffff:cb00:7107", "203.0.113.7"),
    ("unknown", None),
    ("_hidden", None),
    ("proxy.company.com", None),
    ("203.0.113.7:65536", None),
    ("203.0.113.7:", None),
    ("203.0.113.07", None),
    ("203.0.113.7%eth0", None),
    ("[2001:db8::1", None),
    ("[2001:db8::1]4711", None),
    ("[fe80::1%<script>]", None),
    ("203.0.113.7\0", None),
    ("1" * 5000, None),
    ("٢٠٣.0.113.7", None),
]


@pytest.mark.parametrize(("text", "address"), READ)
def test_an_address_in_every_form_that_proxies_write(text: str, address: str | None) -> None:
    assert seen(x_forwarded_for=text)[0] == (address or PEER)
    quoted = text if text.startswith('"') else f'"{text}"'
    assert seen(forwarded=f"for={quoted};proto=https")[0] == (address or PEER)


def test_ports_and_interfaces_of_one_site_are_one_address_for_the_throttle() -> None:
    keys = {address_key(seen(x_forwarded_for=f"203.0.113.7:{n}")[0]) for n in range(50000, 50100)}
    keys |= {address_key("203.0.113.7:9"), address_key("::ffff:203.0.113.7")}
    assert keys == {"addr:203.0.113.7"}
    keys = {address_key(seen(x_forwarded_for=f"[2001:db8:1:2::{n:x}]:4711")[0]) for n in range(99)}
    assert keys == {"addr:2001:db8:1:2::/64"}


@given(st.ip_addresses(), st.integers(0, 65535), st.sampled_from(["", "port", "bracket", "quoted"]))
def test_every_address_comes_back_in_its_normal_form(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, form: str
) -> None:
    host = f"[{address}]" if address.version == 6 and form else str(address)
    text = f"{host}:{port}" if form in ("port", "quoted") else host
    text = f'"{text}"' if form == "quoted" else text
    mapped = getattr(address, "ipv4_mapped", None)
    if form == "bracket" and address.version == 4:
        return
    assert ip_addresses.normal(text) == str(mapped or address)


@given(st.text(st.sampled_from(string.hexdigits + ':.[]%"_, \0x'), max_size=24))
def test_what_is_taken_is_always_an_address(text: str) -> None:
    try:
        address = ip_addresses.normal(text)
    except InvalidValue:
        return
    assert str(ipaddress.ip_address(address)) == address
    assert ip_addresses.normal(address) == address


_LISTS = st.lists(st.ip_addresses(v=4).map(str), max_size=4).map(", ".join)


@given(st.integers(1, 3), _LISTS, st.sampled_from(["http", "https", "https, http", ""]))
def test_plain_addresses_are_believed_as_werkzeug_believes_them(
    count: int, address: str, scheme: str
) -> None:
    environ = {
        "REMOTE_ADDR": PEER,
        "wsgi.url_scheme": "http",
        "HTTP_X_FORWARDED_FOR": address,
        "HTTP_X_FORWARDED_PROTO": scheme,
    }
    theirs = ProxyFix(_behind, x_for=count, x_proto=count, x_host=0)
    theirs(environ, None)  # type: ignore[arg-type]
    expected = environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]
    assert seen(count, x_forwarded_for=address, x_forwarded_proto=scheme) == expected


def test_only_the_last_hops_are_believed() -> None:
    field = "6.6.6.6, 203.0.113.7:51001, 10.0.0.1"
    assert [seen(n, x_forwarded_for=field)[0] for n in (0, 1, 2, 3, 4)] == [
        PEER,
        "10.0.0.1",
        "203.0.113.7",
        "6.6.6.6",
        PEER,
    ]
    field = 'for=6.6.6.6;proto=http, For="[2001:db8::1]:4711";PROTO=https;by=_x, for=10.0.0.1'
    assert seen(2, forwarded=field) == ("2001:db8::1", "https")


@pytest.mark.parametrize(
    "sent", ['for="6.6.6.6', 'for="\\', '"', 'for=6.6.6.6;x="a,b', 'x="\\"', "for=6.6.6.6;;,", ",,"]
)
def test_what_a_stranger_sends_cannot_reach_into_what_the_proxy_adds(sent: str) -> None:
    added = 'for=203.0.113.7;host="evil, for=6.6.6.6;\\"";proto=https'
    assert seen(forwarded=f"{sent}, {added}") == ("203.0.113.7", "https")
    assert seen(x_forwarded_for=f"{sent}, 203.0.113.7")[0] == "203.0.113.7"


def test_which_header_counts() -> None:
    both = {"x_forwarded_for": "203.0.113.7", "forwarded": "for=198.51.100.1"}
    assert seen(**both)[0] == "203.0.113.7"  # type: ignore[arg-type]
    assert seen(header="x-forwarded-for", **both)[0] == "203.0.113.7"  # type: ignore[arg-type]
    assert seen(header="forwarded", **both)[0] == "198.51.100.1"  # type: ignore[arg-type]
    assert seen(header="x-forwarded-for", forwarded="for=198.51.100.1")[0] == PEER
    assert seen(header="forwarded", x_forwarded_for="6.6.6.6")[0] == PEER


def test_a_scheme_is_http_or_https() -> None:
    assert seen(x_forwarded_proto="HTTPS")[1] == "https"
    assert seen(x_forwarded_proto="javascript")[1] == "http"


def test_the_connections_own_address_has_the_same_form() -> None:
    assert seen(0, peer="::ffff:203.0.113.7")[0] == "203.0.113.7"
    assert seen(0, peer="")[0] == ""


def test_what_is_refused_is_counted_and_logged_once_a_minute() -> None:
    def count(reason: str) -> float:
        name = "kerauno_client_addresses_refused_total"
        return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0

    before, hidden, now = count("invalid"), count("hidden"), [0.0]
    proxies = Proxies(_behind, 1, clock=lambda: now[0])
    with logged() as text:
        for sent in ("nonsense\x1b[2J", "x", "unknown", "_gateway"):
            proxies({"REMOTE_ADDR": PEER, "HTTP_X_FORWARDED_FOR": sent}, None)  # type: ignore[arg-type]
        assert text().count("a proxy reported") == 1
        assert "\x1b[2J" not in text()
        now[0] += LOGGED_EVERY
        proxies({"REMOTE_ADDR": PEER, "HTTP_X_FORWARDED_FOR": "x"}, None)  # type: ignore[arg-type]
    assert text().count("a proxy reported") == 2
    assert (count("invalid") - before, count("hidden") - hidden) == (3, 2)


_QUOTED = st.text(st.sampled_from('ab,;"\\= '), max_size=8)


@given(st.lists(_QUOTED, min_size=1, max_size=4))
def test_quoted_entries_come_back_as_they_were(values: list[str]) -> None:
    escaped = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    field = ",".join(f'for="{value}";by=x' for value in escaped)
    entries = last_entries(field, len(values))
    assert [forwarded_fields(entry)["for"] for entry in entries] == values
