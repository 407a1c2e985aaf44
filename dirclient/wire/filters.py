"""Search filters as a small algebra: `eq("mail", login) | eq("userPrincipalName", login)`.

A value is escaped once, at the leaf, by `str()` (RFC 4515) and not at all on the wire, where it
travels with its length (RFC 4511 4.5.1). Nobody else builds filters, least of all from templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dirclient.wire import ber

IN_CHAIN = "1.2.840.113556.1.4.1941"  # MS-ADTS 3.1.1.3.4.4.3: follows links to their end
BITS = "1.2.840.113556.1.4.803"  # MS-ADTS 3.1.1.3.4.4.1: all bits set

_ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)(?:;[A-Za-z0-9=*-]+)*")
_RULE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*")
_DEEPEST = 50  # nesting of an administrator's filter

Value = str | bytes | int


class InvalidFilter(ValueError):
    """The text is not a filter. `str()` says where and why, fit for an administrator."""


def _octets(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def escape(value: Value) -> str:
    """A value for a filter's text (RFC 4515 3). Octets that are not UTF-8 are written in hex."""
    raw = _octets(value)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "".join(f"\\{octet:02x}" for octet in raw)
    return "".join(f"\\{ord(c):02x}" if c in "*()\\" or c < " " or c == "\x7f" else c for c in text)


def _attribute(name: str) -> str:
    if not _ATTRIBUTE.fullmatch(name):
        raise InvalidFilter(f"{name!r} is not the name of an attribute")
    return name


class Filter:
    """A filter. Combine with `&`, `|` and `~`; `str()` is RFC 4515, `encode()` is RFC 4511."""

    __slots__ = ()

    def encode(self) -> bytes:
        """The filter as BER."""
        raise NotImplementedError

    def __and__(self, other: Filter) -> Filter:
        return And((*_parts(And, self), *_parts(And, other)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_parts(Or, self), *_parts(Or, other)))

    def __invert__(self) -> Filter:
        return Not(self)

    @staticmethod
    def raw(text: str) -> Filter:
        """Parse and validate an administrator's own filter. Raises `InvalidFilter`."""
        return _Parser(text.strip()).whole()


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All hold. Without parts: true for everything (RFC 4526)."""

    parts: tuple[Filter, ...]

    def encode(self) -> bytes:
        return ber.tlv(0xA0, b"".join(part.encode() for part in self.parts))

    def __str__(self) -> str:
        return f"(&{''.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """One holds. Without parts: false for everything (RFC 4526)."""

    parts: tuple[Filter, ...]

    def encode(self) -> bytes:
        return ber.tlv(0xA1, b"".join(part.encode() for part in self.parts))

    def __str__(self) -> str:
        return f"(|{''.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The part does not hold."""

    part: Filter

    def encode(self) -> bytes:
        return ber.tlv(0xA2, self.part.encode())

    def __str__(self) -> str:
        return f"(!{self.part})"


_COMPARISONS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}


@dataclass(frozen=True, slots=True)
class Comparison(Filter):
    """attribute (= | >= | <= | ~=) value."""

    attribute: str
    operator: str
    value: bytes

    def encode(self) -> bytes:
        return ber.tlv(
            _COMPARISONS[self.operator], ber.octets(self.attribute) + ber.octets(self.value)
        )

    def __str__(self) -> str:
        return f"({self.attribute}{self.operator}{escape(self.value)})"


@dataclass(frozen=True, slots=True)
class Present(Filter):
    """The attribute has a value."""

    attribute: str

    def encode(self) -> bytes:
        return ber.tlv(0x87, self.attribute.encode())

    def __str__(self) -> str:
        return f"({self.attribute}=*)"


@dataclass(frozen=True, slots=True)
class Substrings(Filter):
    """A value begins, contains in order, and ends as given; empty ends match anything."""

    attribute: str
    initial: bytes
    middle: tuple[bytes, ...]
    final: bytes

    def encode(self) -> bytes:
        parts = [ber.tlv(0x80, self.initial)] if self.initial else []
        parts += [ber.tlv(0x81, part) for part in self.middle]
        parts += [ber.tlv(0x82, self.final)] if self.final else []
        return ber.tlv(0xA4, ber.octets(self.attribute) + ber.tlv(0x30, b"".join(parts)))

    def __str__(self) -> str:
        parts = map(escape, (self.initial, *self.middle, self.final))
        return f"({self.attribute}={'*'.join(parts)})"


@dataclass(frozen=True, slots=True)
class Extensible(Filter):
    """A matching rule by its OID, applied to an attribute and possibly to the DN's parts."""

    attribute: str
    rule: str
    value: bytes
    in_dn: bool = False

    def encode(self) -> bytes:
        body = ber.tlv(0x81, self.rule.encode()) if self.rule else b""
        body += ber.tlv(0x82, self.attribute.encode()) if self.attribute else b""
        body += ber.tlv(0x83, self.value) + (b"\x84\x01\xff" if self.in_dn else b"")
        return ber.tlv(0xA9, body)

    def __str__(self) -> str:
        rule = f":{self.rule}" if self.rule else ""
        return f"({self.attribute}{':dn' if self.in_dn else ''}{rule}:={escape(self.value)})"


def _parts(kind: type[And] | type[Or], item: Filter) -> tuple[Filter, ...]:
    return item.parts if isinstance(item, kind) else (item,)


def eq(attribute: str, value: Value) -> Filter:
    """attribute = value"""
    return Comparison(_attribute(attribute), "=", _octets(value))


def ge(attribute: str, value: Value) -> Filter:
    """attribute >= value"""
    return Comparison(_attribute(attribute), ">=", _octets(value))


def le(attribute: str, value: Value) -> Filter:
    """attribute <= value"""
    return Comparison(_attribute(attribute), "<=", _octets(value))


def present(attribute: str) -> Filter:
    """The attribute has a value."""
    return Present(_attribute(attribute))


def starts(attribute: str, value: Value) -> Filter:
    """A value begins so. An empty value is refused: it would match everything."""
    return Substrings(_attribute(attribute), _given(value), (), b"")


def contains(attribute: str, value: Value) -> Filter:
    """A value contains this. An empty value is refused: it would match everything."""
    return Substrings(_attribute(attribute), b"", (_given(value),), b"")


def bits(attribute: str, mask: int) -> Filter:
    """All bits of the mask are set (AD only)."""
    return Extensible(_attribute(attribute), BITS, _octets(mask))


def in_chain(attribute: str, dn: str) -> Filter:
    """The link leads to this DN directly or through others (AD only)."""
    return Extensible(_attribute(attribute), IN_CHAIN, _octets(dn))


def all_of(filters: Iterable[Filter]) -> Filter:
    """`&` of all; of one, that one."""
    parts = tuple(filters)
    return parts[0] if len(parts) == 1 else And(parts)


def any_of(filters: Iterable[Filter]) -> Filter:
    """`|` of all; of one, that one."""
    parts = tuple(filters)
    return parts[0] if len(parts) == 1 else Or(parts)


EVERYTHING: Filter = Present("objectClass")
"""Every object has a class."""


def _given(value: Value) -> bytes:
    if not (raw := _octets(value)):
        raise InvalidFilter("an empty part would match everything")
    return raw


_ITEM = re.compile(
    r"(?P<attribute>[^=~<>:()*\\]*)"
    r"(?P<operator>=|~=|>=|<=|(?P<dn>:[dD][nN])?(?::(?P<rule>[^:=()*\\]+))?:=)"
)


class _Parser:
    """Recursive descent over RFC 4515. Positions in messages count from 1, as people do."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> Filter:
        parsed = self.filter(0)
        if self.at != len(self.text):
            raise self.fault("nothing may follow the filter")
        return parsed

    def fault(self, why: str) -> InvalidFilter:
        return InvalidFilter(f"at position {self.at + 1}: {why}")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def filter(self, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise self.fault("nested too deeply")
        if self.peek() != "(":
            raise self.fault("a filter begins with '('")
        self.at += 1
        sign = self.peek()
        if sign in ("&", "|"):
            self.at += 1
            parsed = (And if sign == "&" else Or)(self.several(depth))
        elif sign == "!":
            self.at += 1
            parsed = Not(self.filter(depth + 1))  # type: ignore[assignment]
        else:
            parsed = self.item()  # type: ignore[assignment]
        if self.peek() != ")":
            raise self.fault("')' is missing")
        self.at += 1
        return parsed

    def several(self, depth: int) -> tuple[Filter, ...]:
        parts = []
        while self.peek() == "(":
            parts.append(self.filter(depth + 1))
        if not parts:
            raise self.fault("'&' and '|' need at least one filter in brackets")
        return tuple(parts)

    def item(self) -> Filter:
        match = _ITEM.match(self.text, self.at)
        if not match:
            raise self.fault("expected attribute, operator and value, such as mail=*")
        attribute, operator = match["attribute"].strip(), match["operator"]
        if (attribute or not match["rule"]) and not _ATTRIBUTE.fullmatch(attribute):
            raise self.fault(f"{attribute!r} is not the name of an attribute")
        self.at = match.end()
        parts = self.value()
        if operator == "=" and len(parts) > 1:
            if not any(parts):
                return Present(attribute)
            return Substrings(attribute, parts[0], tuple(filter(None, parts[1:-1])), parts[-1])
        if len(parts) > 1:
            raise self.fault("'*' stands only after '='; write it as \\2a")
        if operator in _COMPARISONS:
            return Comparison(attribute, operator, parts[0])
        if match["rule"] and not _RULE.fullmatch(match["rule"]):
            raise self.fault(f"{match['rule']!r} is not a matching rule")
        return Extensible(attribute, match["rule"] or "", parts[0], bool(match["dn"]))

    def value(self) -> list[bytes]:
        """The value up to the closing bracket, unescaped, split at its stars."""
        parts = [bytearray()]
        while (sign := self.peek()) not in (")", ""):
            if sign == "*":
                parts.append(bytearray())
                self.at += 1
            elif sign == "\\":
                pair = self.text[self.at + 1 : self.at + 3]
                if not re.fullmatch(r"[0-9a-fA-F]{2}", pair):
                    raise self.fault("after '\\' come two hexadecimal digits")
                parts[-1].append(int(pair, 16))
                self.at += 3
            elif sign in "(\0":
                raise self.fault("write '(' in a value as \\28 and NUL as \\00")
            else:
                parts[-1] += sign.encode("utf-8", "surrogatepass")
                self.at += 1
        return [bytes(part) for part in parts]
