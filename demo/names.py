"""Distinguished names (RFC 4514) and the forms AD takes in their place."""

from __future__ import annotations

import unicodedata

_SPECIAL = ',+"\\<>;='

Rdn = tuple[str, str]
Name = tuple[Rdn, ...]  # innermost first
Key = tuple[tuple[str, str], ...]


class BadName(ValueError):
    """The text is not a distinguished name."""


def parse(text: str) -> Name:
    """Attribute types and unescaped values, innermost first. Raises `BadName`."""
    if not text.strip():
        return ()
    name = []
    for part in _split(text):
        kind, equals, value = part.partition("=")
        if not equals or not kind.strip():
            raise BadName(text)
        name.append((kind.strip(), _unescape(value)))
    return tuple(name)


def _split(text: str) -> list[str]:
    parts, start, at, quoted = [], 0, 0, False
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] in ",;" and not quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _unescape(value: str) -> str:
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        value = bare[1:-1]
        kept = len(value)
    else:
        kept = len(bare)
    out, at = bytearray(), 0
    while at < kept:
        if value[at] == "\\" and at + 1 < len(value):
            pair = value[at + 1 : at + 3]
            if len(pair) == 2 and all(sign in "0123456789abcdefABCDEF" for sign in pair):
                out.append(int(pair, 16))
                at += 3
                continue
            at += 1
        out += value[at].encode()
        at += 1
    return out.decode(errors="replace")


def escape(value: str) -> str:
    """A value as it stands in a DN."""
    text = "".join(f"\\{sign}" if sign in _SPECIAL else sign for sign in value)
    if text[:1] in (" ", "#"):
        text = "\\" + text
    if len(value) > 1 and value[-1] == " ":
        text = text[:-1] + "\\ "
    return text


def text_of(name: Name) -> str:
    """The name as text."""
    return ",".join(f"{kind}={escape(value)}" for kind, value in name)


def key(name: Name) -> Key:
    """Return what equal names have in common: case and composition do not count."""
    return tuple((kind.lower(), fold(value)) for kind, value in name)


def fold(value: str) -> str:
    """The form in which directory strings are compared."""
    return unicodedata.normalize("NFC", value).casefold()
