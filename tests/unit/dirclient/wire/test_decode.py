"""The LDAP codec: sansldap reads what it writes, and no octets make it hang or guess."""

from __future__ import annotations

import pytest
import sansldap
from hypothesis import given
from hypothesis import strategies as st

from dirclient.wire import decode, encode, filters
from dirclient.wire.decode import Entry, Malformed, Result
from tests.unit.dirclient import ldap_peer


def received(data: bytes) -> sansldap.LDAPMessage:
    """The one message, as an independent implementation reads it."""
    (message,) = sansldap.LDAPServer().receive(data)
    return message


def long_form(tag: int, body: bytes) -> bytes:
    """An element as Windows writes it: four octets of length, always."""
    return bytes((tag, 0x84)) + len(body).to_bytes(4, "big") + body


# -- requests


def test_a_bind_request_carries_name_and_password() -> None:
    message = received(encode.bind_request(7, "<GUID=x>", "p\u00e4ss".encode()))
    assert isinstance(message, sansldap.BindRequest)
    assert (message.message_id, message.version, message.name) == (7, 3, "<GUID=x>")
    assert message.authentication == sansldap.SimpleCredential("p\u00e4ss")


def test_a_search_request_carries_everything() -> None:
    wanted = filters.eq("cn", "a") & filters.present("mail")
    request = encode.search_request(
        300,
        "DC=x",
        "one",
        wanted.encode(),
        ("mail", "member;range=0-*"),
        (
            encode.paged_control(1000, b"cookie"),
            decode.Control(decode.SHOW_DELETED, critical=True),
        ),
        size_limit=500,
        time_limit=70000,
    )
    message = received(request)
    assert isinstance(message, sansldap.SearchRequest)
    assert (message.message_id, message.base_object, int(message.scope)) == (300, "DC=x", 1)
    assert (message.size_limit, message.time_limit) == (500, 70000)
    assert list(message.attributes) == ["mail", "member;range=0-*"]
    assert message.filter == sansldap.FilterAnd(
        [sansldap.FilterEquality("cn", b"a"), sansldap.FilterPresent("mail")]
    )
    paged, deleted = message.controls
    assert isinstance(paged, sansldap.PagedResultControl)
    assert (paged.critical, paged.size, paged.cookie) == (True, 1000, b"cookie")
    assert (deleted.control_type, deleted.critical) == (decode.SHOW_DELETED, True)


def test_an_extended_request_carries_its_value() -> None:
    value = b"\x30\x11\x80\x05uid=a\x81\x03old\x82\x03new"
    message = received(encode.extended_request(1, decode.PASSWORD_MODIFY, value))
    assert isinstance(message, sansldap.ExtendedRequest)
    assert (message.name, message.value) == (decode.PASSWORD_MODIFY, value)


def test_a_modify_request_is_as_rfc_4511_says() -> None:
    changes = [("delete", "x", [b"1"]), ("add", "x", [b"2"])]
    assert encode.modify_request(1, "cn=a", changes) == bytes.fromhex(
        "302b020101"  # message 1
        "66260404636e3d61301e"  # ModifyRequest of cn=a
        "300d0a0101300804017831030401"
        "31"  # delete x: 1
        "300d0a0100300804017831030401"
        "32"  # add x: 2
    )


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_the_shortest_twos_complement(value: int) -> None:
    encoded = decode.integer(value)
    body = encoded[2:]
    assert encoded[:2] == bytes((0x02, len(body)))
    assert int.from_bytes(body, "big", signed=True) == value
    if len(body) > 1:
        assert int.from_bytes(body[:2], "big") >> 7 not in (0, 0x1FF)  # X.690 8.3.2


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20])
def test_lengths_of_every_form_are_read_back(size: int) -> None:
    data = decode.tlv(0x30, b"x" * size)
    assert decode.frame_end(data, 0) == len(data)


# -- entries

names = st.from_regex(r"[A-Za-z][A-Za-z0-9;-]{0,20}", fullmatch=True)
values = st.lists(st.one_of(st.binary(max_size=300), st.just(b"v" * 70000)), max_size=4)
entries = st.dictionaries(names, values, max_size=6)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), entries)
def test_an_entry_is_read_as_it_was_written(dn: str, attributes: dict[str, list[bytes]]) -> None:
    data = ldap_peer.entry(5, dn, attributes)
    into: list[Entry] = []
    assert decode.entries(data, 0, 5, into) == len(data)
    expected: dict[str, list[bytes]] = {}
    for name, listed in attributes.items():
        expected[name.lower()] = listed
    assert into == [Entry(dn, expected)]


def test_an_entry_with_windows_long_lengths_is_read() -> None:
    attribute = long_form(0x30, decode.octets("mail") + long_form(0x31, decode.octets("a@b.c")))
    body = decode.octets("CN=a") + long_form(0x30, attribute)
    data = long_form(0x30, decode.integer(2) + long_form(0x64, body))
    into: list[Entry] = []
    assert decode.entries(data, 0, 2, into) == len(data)
    assert into == [Entry("CN=a", {"mail": [b"a@b.c"]})]


def test_entries_stop_at_another_message_and_at_a_part_of_one() -> None:
    first = ldap_peer.entry(2, "CN=a", {})
    done = ldap_peer.result(2, decode.SEARCH_DONE)
    other = ldap_peer.entry(3, "CN=b", {})
    for rest in (done, other, first[:-1], b""):
        into: list[Entry] = []
        assert decode.entries(first + rest, 0, 2, into) == len(first)
        assert into == [Entry("CN=a", {})]


def test_values_are_reached_by_name_whatever_its_case() -> None:
    entry = Entry("CN=a", {"mail": [b"a", b"b\xff"], "uac": [b"512"], "odd": [b"x"], "none": []})
    assert entry.text("Mail") == "a"
    assert entry.texts("MAIL") == ["a", "b\ufffd"]
    assert entry.octets("mail") == b"a"
    assert (entry.integer("uac"), entry.integer("odd", 7), entry.integer("gone", 9)) == (512, 7, 9)
    assert (entry.text("none"), entry.octets("gone"), entry.texts("gone")) == (None, None, [])


# -- results and controls


def test_a_result_is_read_with_referrals_and_controls() -> None:
    body = (
        decode.integer(10, 0x0A)
        + decode.octets("DC=x")
        + decode.octets("go there\0")
        + decode.tlv(0xA3, decode.octets("ldap://a") + decode.octets("ldap://b"))
        + decode.tlv(0x87, b"credentials")
    )
    controls = decode.tlv(
        0xA0,
        decode.tlv(0x30, decode.octets("1.2.3"))
        + decode.tlv(0x30, decode.octets("1.2.4") + b"\x01\x01\xff" + decode.octets(b"v")),
    )
    data = decode.tlv(0x30, decode.integer(9) + decode.tlv(0x61, body) + controls)
    message = decode.message(data, 0, len(data))
    assert (message.id, message.operation) == (9, decode.BIND_RESPONSE)
    assert decode.result(data, message) == Result(
        code=10,
        matched_dn="DC=x",
        message="go there",
        referrals=["ldap://a", "ldap://b"],
        controls={"1.2.3": None, "1.2.4": b"v"},
    )


def test_an_extended_result_carries_name_and_value() -> None:
    tail = decode.tlv(0x8A, b"1.2.3") + decode.tlv(0x8B, b"value")
    data = ldap_peer.result(1, decode.EXTENDED_RESPONSE, 52, "bye", tail)
    answer = decode.result(data, decode.message(data, 0, len(data)))
    assert (answer.code, answer.name, answer.value) == (52, "1.2.3", b"value")


@given(st.binary(max_size=40), st.integers(0, 2**31 - 1))
def test_cookies_survive_the_way_out_and_back(cookie: bytes, size: int) -> None:
    assert decode.paged_cookie(encode.paged_control(size, cookie).value) == cookie


@pytest.mark.parametrize("value", [None, b"", b"\x30\x00", b"\x30\x03\x02\x01\x00", b"\x04\x00"])
def test_a_paged_answer_without_a_cookie_is_malformed(value: bytes | None) -> None:
    with pytest.raises(Malformed):
        decode.paged_cookie(value)


# -- bad input


def read_all(data: bytes) -> None:
    """Everything a connection does with octets that arrived."""
    at = decode.entries(data, 0, 1, [])
    while at < len(data):
        stop = decode.frame_end(data, at)
        assert stop > at  # otherwise a reader would go round for ever
        if stop > len(data):
            return
        message = decode.message(data, at, stop)
        if message.operation == decode.SEARCH_ENTRY:
            decode.entry(data, message.start, message.stop)
        elif message.operation != decode.SEARCH_REFERENCE:
            decode.result(data, message)
        at = stop


@given(st.binary(max_size=200))
def test_random_octets_are_malformed_or_not_yet_whole(data: bytes) -> None:
    try:
        read_all(data)
    except Malformed:
        pass


STREAM = (
    ldap_peer.entry(1, "CN=a,DC=x", {"mail": [b"a@b.c"], "member": [b"x" * 200, b""]})
    + ldap_peer.entry(1, "CN=b,DC=x", {"cn": []})
    + decode.tlv(
        0x30,
        decode.integer(1)
        + decode.tlv(0x65, decode.integer(0, 0x0A) + decode.octets("") + decode.octets("fine"))
        + decode.tlv(
            0xA0, decode.tlv(0x30, decode.octets(decode.PAGED_RESULTS) + decode.octets(b"v"))
        ),
    )
)


@given(st.data())
def test_a_damaged_stream_is_malformed_or_read(data: st.DataObject) -> None:
    damaged = bytearray(STREAM)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        read_all(bytes(damaged))
    except Malformed:
        pass


@given(st.integers(0, len(STREAM)))
def test_a_stream_that_is_cut_anywhere_is_not_yet_whole(cut: int) -> None:
    read_all(STREAM[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
        b"\x30\x80\x02\x01\x01",  # indefinite length
        b"\x30\x85\x00\x00\x00\x00\x01",  # a length of five octets
        b"\x30\x84\xff\xff\xff\xff",  # four gigabytes
    ],
)
def test_what_cannot_become_a_message_is_malformed_at_once(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode.frame_end(data, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x02\x01",
        b"\x04\x01x",  # no message number
        b"\x02\x01\x01",  # no operation
        b"\x02\x01\x01\x64\x7f\x04\x00",  # an operation longer than its message
        b"\x02\x06\x01\x01\x01\x01\x01\x01\x61\x00",  # a message number of six octets
    ],
)
def test_an_envelope_that_does_not_hold_is_malformed(body: bytes) -> None:
    data = decode.tlv(0x30, body)
    with pytest.raises(Malformed):
        decode.message(data, 0, len(data))
