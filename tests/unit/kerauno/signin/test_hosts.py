"""One spelling for every spelling of a host, held against a second reading of RFC 3986."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.forward_auth.access import forwarded_host, login_url, page_asked_for
from kerauno.base.errors import InvalidValue
from kerauno.signin.protected_sites import normal_host

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = (
    st.lists(LABELS, min_size=1, max_size=4)
    .filter(lambda labels: re.fullmatch("[0-9]+|0x[0-9a-f]*", labels[-1]) is None)
    .map(".".join)
)


def normal_or_none(text: str) -> str | None:
    """Return the one spelling, or None for what is no host."""
    try:
        return normal_host(text)
    except InvalidValue:
        return None


@given(NAMES, st.sampled_from(["", ".", ":443", ":80", ".:443", ":0443", ":"]), st.booleans())
def test_spellings_of_one_host_are_one(name: str, ending: str, upper: bool) -> None:
    text = f"{name.upper() if upper else name}{ending}"
    assert normal_host(text) == normal_host(f" {text}\t") == name


@given(NAMES, st.integers(1, 65535).filter(lambda port: port not in (80, 443)))
def test_another_port_is_another_host(name: str, port: int) -> None:
    assert normal_host(f"{name}:{port}") == f"{name}:{port}" != normal_host(name)


@given(st.text(st.sampled_from("aB1-.:[]@/\\?#%, \t\0\r\nü。ａ"), max_size=12))
@example("open.company.com, secret.company.com")
@example("user@secret.company.com")
@example("secret.company.com/x")
@example("secret.company.com%2e")
@example("secret.company.com\x85")
@example("[::1%eth0]")
@example("a:99999")
@example("a:0")
@example("a:-1")
@example("a..b")
def test_what_is_taken_for_a_host_is_one_to_another_reader_too(text: str) -> None:
    host = normal_or_none(text)
    if host is None:
        return
    parts = urlsplit("//" + text.strip(" \t"))
    assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None)
    assert parts.hostname is not None
    name = (
        parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    )
    if host.startswith("["):
        assert ipaddress.ip_address(host[1:].partition("]")[0]) == ipaddress.ip_address(name)
    else:
        assert host.partition(":")[0] == name.lower().removesuffix(".")
    port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    assert host.endswith(port)
    assert normal_host(host) == host


@pytest.mark.parametrize(
    "text",
    ["127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01",
     "1.2.3.4.5", "256.1.1.1", "wiki.0x7f", "wiki.123", "wiki.0x", "127.1.", "127.1:8443",
     "１２７.1", "1.2.3.０x4", "0XFF"],
)  # fmt: skip
def test_other_spellings_of_an_ipv4_address_are_no_hosts(text: str) -> None:
    assert normal_or_none(text) is None


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.0.0.1.", "10.1.2.3:8443", "1.example", "0x7f.example", "a.0xg"]
)
def test_a_canonical_ipv4_address_and_names_with_digits_are_hosts(text: str) -> None:
    assert normal_host(text) == text.removesuffix(".")


def test_names_in_other_scripts_and_addresses() -> None:
    assert normal_host("Bücher.example") == normal_host("xn--BCHER-kva.example")
    assert normal_host("[2001:DB8:0::1]:443") == "[2001:db8::1]"
    assert normal_host("ｓecret.company.com") == "secret.company.com"


@pytest.mark.parametrize(
    ("field", "host"),
    [
        (None, None),
        ("", ""),
        ("open.company.com, secret.company.com", ""),
        ("open.company.com,", ""),
        ("Secret.Company.com.:443", "secret.company.com"),
        ("bücher.example".encode().decode("latin-1"), "xn--bcher-kva.example"),
        ("\xff.example", ""),
    ],
)
def test_a_proxy_names_one_host_or_none(field: str | None, host: str | None) -> None:
    environ = {} if field is None else {"HTTP_X_FORWARDED_HOST": field}
    assert forwarded_host(environ) == host


@given(st.binary(max_size=30))
@example(b"?x=1&y=2")
@example(b"%20b")
@example(b"?rd=/x&rd=%2Fy")
@example(b"?")
@example(b"%2F;v=1,2+3")
def test_the_page_asked_for_comes_back_to_the_byte(rest: bytes) -> None:
    """Escaped by this service, or put there by a proxy as it is."""
    page = b"/" + rest
    environ = {"HTTP_X_FORWARDED_URI": page.decode("latin-1")}
    escaped = login_url(environ).partition("?")[2].encode("ascii")
    encoded = "".join(chr(octet) if 0x21 <= octet <= 0x7E else f"%{octet:02X}" for octet in page)
    assert page_asked_for(escaped) == encoded
    assert page_asked_for(b"rd=" + page) == encoded


def test_a_name_that_browsers_write_differently_is_refused() -> None:
    assert normal_host("my_host.company.com:8443") == "my_host.company.com:8443"
    for text in ("straße.example", "βόλος.example", "a\u200db.example"):
        assert normal_or_none(text) is None
