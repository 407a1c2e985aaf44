"""Just enough BER (X.690) for LDAP: definite lengths, one-octet tags."""

from __future__ import annotations

INTEGER, OCTETS, BOOLEAN, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x01, 0x0A, 0x30, 0x31


class Malformed(Exception):
    """The octets are not what they should be."""


def tlv(tag: int, content: bytes) -> bytes:
    """One element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes, tag: int = SEQUENCE) -> bytes:
    """A constructed element."""
    return tlv(tag, b"".join(parts))


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A whole number in two's complement."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """An octet string; text becomes UTF-8."""
    return tlv(tag, value.encode() if isinstance(value, str) else value)


def head(data: bytes, at: int = 0) -> tuple[int, int, int] | None:
    """Tag, start and end of the content of the element at `at`; None when its head is not there.

    The end may lie beyond the data: the rest has not arrived.
    """
    if len(data) < at + 2:
        return None
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise Malformed("a length of that form is not used in LDAP")
        if len(data) < start + count:
            return None
        size = int.from_bytes(data[start : start + count], "big")
        start += count
    return tag, start, start + size


def children(content: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element in a constructed one."""
    found, at = [], 0
    while at < len(content):
        one = head(content, at)
        if one is None or one[2] > len(content):
            raise Malformed("an element is cut off")
        found.append((one[0], content[one[1] : one[2]]))
        at = one[2]
    return found


def number(content: bytes) -> int:
    """The value of an INTEGER or ENUMERATED."""
    return int.from_bytes(content, "big", signed=True)
