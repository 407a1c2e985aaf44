"""LDAP on the wire: a fast reader of what comes back. `wire_requests` writes what is sent.

Reading is bounded everywhere: each length is held against its container, so torn, oversized or
meaningless input ends in `Malformed` and never in a loop. Why this is ours is told in
docs/decisions/0002-ldap-wire.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from dirclient.wire.ber import Malformed as Malformed
from dirclient.wire.ber import element, long_length
from dirclient.wire.ber import integer as integer
from dirclient.wire.ber import octets as octets
from dirclient.wire.ber import tlv as tlv

MAX_MESSAGE = 64 * 1024 * 1024
"""Octets of the largest message accepted: a group of half a million members fits."""

BIND_RESPONSE = 0x61
SEARCH_ENTRY = 0x64
SEARCH_DONE = 0x65
MODIFY_RESPONSE = 0x67
SEARCH_REFERENCE = 0x73
EXTENDED_RESPONSE = 0x78
INTERMEDIATE_RESPONSE = 0x79

PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
SHOW_DELETED = "1.2.840.113556.1.4.417"  # MS-ADTS 3.1.1.3.4.1.14
EXTENDED_DN = "1.2.840.113556.1.4.529"  # MS-ADTS 3.1.1.3.4.1.5
DOMAIN_SCOPE = "1.2.840.113556.1.4.1339"  # MS-ADTS 3.1.1.3.4.1.4: no continuation references

START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511 4.14
PASSWORD_MODIFY = "1.3.6.1.4.1.4203.1.11.1"  # noqa: S105 - RFC 3062
DISCONNECTION = "1.3.6.1.4.1.1466.20036"  # RFC 4511 4.4.1


class Control(NamedTuple):
    """A request control (RFC 4511 4.1.11). A critical one is refused rather than ignored."""

    oid: str
    value: bytes | None = None
    critical: bool = False


@dataclass(slots=True)
class Entry:
    """One object as the server sent it.

    Attribute names are lower-cased and keep their options (`member;range=0-1499`).
    """

    dn: str
    attributes: dict[str, list[bytes]]

    def octets(self, name: str) -> bytes | None:
        """The first value, or None."""
        values = self.attributes.get(name.lower())
        return values[0] if values else None

    def text(self, name: str) -> str | None:
        """The first value as text, or None. What is not UTF-8 shows as replacement signs."""
        values = self.attributes.get(name.lower())
        return values[0].decode("utf-8", "replace") if values else None

    def texts(self, name: str) -> list[str]:
        """All values as text."""
        return [v.decode("utf-8", "replace") for v in self.attributes.get(name.lower(), ())]

    def integer(self, name: str, default: int = 0) -> int:
        """The first value as a number, or the default where it is absent or none."""
        values = self.attributes.get(name.lower())
        try:
            return int(values[0]) if values else default
        except ValueError:
            return default


@dataclass(slots=True)
class Result:
    """An LDAPResult (RFC 4511 4.1.9) with what a response may carry beside it."""

    code: int
    matched_dn: str = ""
    message: str = ""
    referrals: list[str] = field(default_factory=list)
    controls: dict[str, bytes | None] = field(default_factory=dict)
    name: str = ""  # responseName of an extended response
    value: bytes | None = None  # its responseValue


class Message(NamedTuple):
    """The positions of the parts of one message in the buffer it was read from."""

    id: int
    operation: int
    start: int
    stop: int
    end: int  # of the whole message: the controls lie between stop and end


def frame_end(data: bytes, at: int) -> int:
    """Return where the message that starts at `at` ends; beyond the data when more must be read
    first.

    As long as the header itself is incomplete, the answer is the end of what the header needs.
    """
    have = len(data) - at
    if have >= 1 and data[at] != 0x30:
        raise Malformed("a message does not begin with a sequence")
    if have < 2:
        return at + 2
    size = data[at + 1]
    if size < 128:
        return at + 2 + size
    count = size & 0x7F
    if not 1 <= count <= 4:
        raise Malformed(f"a length of {count} octets")
    start = at + 2 + count
    if len(data) < start:
        return start
    size = int.from_bytes(data[at + 2 : start])
    if size > MAX_MESSAGE:
        raise Malformed(f"a message of {size} octets")
    return start + size


def message(data: bytes, at: int, end: int) -> Message:
    """The envelope of the complete message in data[at:end]."""
    try:
        start = at + 2 if data[at + 1] < 128 else at + 2 + (data[at + 1] & 0x7F)
        tag, first, last = element(data, start, end)
        if tag != 0x02 or not 1 <= last - first <= 5:
            raise Malformed("a message without a message number")
        number = int.from_bytes(data[first:last], signed=True)
        operation, first, last = element(data, last, end)
    except IndexError:
        raise Malformed("a message ends too early") from None
    return Message(number, operation, first, last, end)


_NAMES: dict[bytes, str] = {}
_FOUR = struct.Struct(">I").unpack_from


def _name(raw: bytes) -> str:
    """An attribute name, lower-cased; the few that occur are remembered."""
    if len(_NAMES) > 2000:  # ranges make ever new names
        _NAMES.clear()
    name = _NAMES[raw] = raw.decode("utf-8", "replace").lower()
    return name


def entry(data: bytes, at: int, end: int) -> Entry:
    """The search result entry in data[at:end] (RFC 4511 4.5.2). The hot path of every read.

    Written without helpers where a call would cost as much as the work: every length here is
    one octet (OpenLDAP, Samba) or, on containers, four after 0x84 (Windows).
    """
    attributes: dict[str, list[bytes]] = {}
    known, four = _NAMES, _FOUR
    try:
        _, at, stop = element(data, at, end)
        dn = data[at:stop].decode("utf-8", "replace")
        tag, at, stop = element(data, stop, end)
        if tag != 0x30 or stop != end:
            raise Malformed("an entry without a list of attributes")
        while at < end:
            if data[at] != 0x30:
                raise Malformed("an attribute that is no sequence")
            stop = data[at + 1]
            at += 2
            if stop == 0x84:
                stop = four(data, at)[0]
                at += 4
            elif stop > 127:
                stop, at = long_length(data, at - 1)
            stop += at
            size = data[at + 1]
            if stop > end or data[at] != 0x04 or size > 127:
                raise Malformed("an attribute without a type")
            at += 2
            raw = data[at : at + size]
            at += size
            if data[at] != 0x31:
                raise Malformed("an attribute without values")
            size = data[at + 1]
            at += 2
            if size == 0x84:
                size = four(data, at)[0]
                at += 4
            elif size > 127:
                size, at = long_length(data, at - 1)
            if at + size != stop:
                raise Malformed("the values of an attribute do not fill it")
            if 1 < size < 130 and data[at + 1] == size - 2 and data[at] == 0x04:
                values = [data[at + 2 : stop]]
                at = stop
            else:
                values = []
                while at < stop:
                    if data[at] != 0x04:
                        raise Malformed("a value that is no octet string")
                    size = data[at + 1]
                    at += 2
                    if size > 127:
                        size, at = long_length(data, at - 1)
                    size += at
                    values.append(data[at:size])
                    at = size
                if at != stop:
                    raise Malformed("a value reaches beyond its attribute")
            attributes[known.get(raw) or _name(raw)] = values
    except (IndexError, struct.error):
        raise Malformed("an entry ends too early") from None
    return Entry(dn, attributes)


def entries(data: bytes, at: int, number: int, into: list[Entry]) -> int:
    """Take the complete entries that answer request `number` from the front of the buffer.

    Returns where they end: at a message of another kind or number, or at one that is not whole.
    """
    head = integer(number) + b"\x64"
    have = len(data) - 8  # no entry is shorter than this
    while at < have and data[at] == 0x30:
        size = data[at + 1]
        start = at + 2
        if size > 127:
            size, start = long_length(data, at + 1)
        end = start + size
        if end > have + 8 or not data.startswith(head, start):
            break
        _, start, stop = element(data, start + len(head) - 1, end)
        into.append(entry(data, start, stop))
        at = end
    return at


_NOTHING_BUT_SUCCESS = b"\x0a\x01\x00\x04\x00\x04\x00"


def result(data: bytes, message: Message) -> Result:
    """The LDAPResult of a response, with its controls."""
    if data[message.start : message.end] == _NOTHING_BUT_SUCCESS:  # nearly every bind's answer
        return Result(0)
    try:
        return _result(data, message)
    except IndexError:
        raise Malformed("a result ends too early") from None


def _result(data: bytes, message: Message) -> Result:
    _, _, at, end, whole = message
    tag, first, last = element(data, at, end)
    if tag != 0x0A or not 1 <= last - first <= 4:
        raise Malformed("a result without a code")
    answer = Result(int.from_bytes(data[first:last], signed=True))
    tag, first, last = element(data, last, end)
    answer.matched_dn = data[first:last].decode("utf-8", "replace")
    tag, first, last = element(data, last, end)
    answer.message = data[first:last].decode("utf-8", "replace").rstrip("\0")
    while last < end:
        tag, first, last = element(data, last, end)
        if tag == 0xA3:
            answer.referrals = [
                data[a:b].decode("utf-8", "replace") for a, b in _all(data, first, last)
            ]
        elif tag == 0x8A:
            answer.name = data[first:last].decode("utf-8", "replace")
        elif tag == 0x8B:
            answer.value = data[first:last]
    if end < whole:
        answer.controls = controls(data, end, whole)
    return answer


def _all(data: bytes, at: int, end: int) -> list[tuple[int, int]]:
    uris = []
    while at < end:
        _, start, at = element(data, at, end)
        uris.append((start, at))
    return uris


_OWN_PARTS = ("/cn=configuration,", "/cn=schema,", "/dc=forestdnszones,", "/dc=domaindnszones,")


def references(data: bytes, message: Message) -> list[str]:
    """The places of a continuation reference (RFC 4511 4.5.3) that lie in another domain.

    A domain's own parts, which AD mentions in each search from the top, hold no people.
    """
    try:
        places = _all(data, message.start, message.stop)
    except IndexError:
        raise Malformed("a reference ends too early") from None
    urls = [data[a:b].decode("utf-8", "replace") for a, b in places]
    return [url for url in urls if not any(part in url.lower() for part in _OWN_PARTS)]


def controls(data: bytes, at: int, end: int) -> dict[str, bytes | None]:
    """The response controls in data[at:end], by OID."""
    controls: dict[str, bytes | None] = {}
    try:
        tag, at, stop = element(data, at, end)
        if tag != 0xA0:
            return controls
        for start, last in _all(data, at, stop):
            oid, value = "", None
            at = start
            while at < last:
                tag, first, at = element(data, at, last)
                if tag == 0x04 and not oid:
                    oid = data[first:at].decode("utf-8", "replace")
                elif tag == 0x04:
                    value = data[first:at]
            controls[oid] = value
    except IndexError:
        raise Malformed("a control ends too early") from None
    return controls


def _sequence(value: bytes | None, tags: tuple[int, ...]) -> list[bytes]:
    """The members of a control's SEQUENCE, which must have exactly these tags."""
    try:
        data = value or b""
        tag, at, end = element(data, 0, len(data))
        members = []
        for expected in tags:
            tag, first, at = element(data, at, end)
            if tag != expected:
                raise Malformed("a control value of another shape")
            members.append(data[first:at])
    except IndexError:
        raise Malformed("a control value ends too early") from None
    return members


def paged_cookie(value: bytes | None) -> bytes:
    """The cookie of a paged-results response control; empty at the end (RFC 2696)."""
    return _sequence(value, (0x02, 0x04))[1]
