"""The subset of BER that LDAP allows (RFC 4511 5.1): definite lengths, one-octet tags."""

from __future__ import annotations


class Malformed(ValueError):
    """The octets are not an LDAP message."""


def tlv(tag: int, body: bytes) -> bytes:
    """One element: tag, shortest definite length, body."""
    size = len(body)
    if size < 128:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = 0x02) -> bytes:
    """INTEGER or, by its tag, ENUMERATED: the shortest two's complement."""
    if 0 <= value < 128:
        return bytes((tag, 1, value))
    bits = (value if value >= 0 else ~value).bit_length() + 1
    return tlv(tag, value.to_bytes((bits + 7) // 8, "big", signed=True))


def octets(value: str | bytes) -> bytes:
    """OCTET STRING; text goes as UTF-8."""
    return tlv(0x04, value.encode() if isinstance(value, str) else value)


def long_length(data: bytes, at: int) -> tuple[int, int]:
    """The length whose first octet, at `at`, has its high bit set, and where the body starts."""
    count = data[at] & 0x7F
    if not 1 <= count <= 4:
        raise Malformed(f"a length of {count} octets")
    start = at + 1 + count
    return int.from_bytes(data[at + 1 : start], "big"), start


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, start and stop of the element at `at`; it must end within `end`."""
    tag = data[at]
    size = data[at + 1]
    start = at + 2
    if size > 127:
        size, start = long_length(data, at + 1)
    stop = start + size
    if stop > end:
        raise Malformed("an element reaches beyond its container")
    return tag, start, stop
