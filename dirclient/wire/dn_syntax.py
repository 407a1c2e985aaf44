"""Distinguished names: parsed, compared and written, never cut up as strings (RFC 4514).

The text of a DN is for people and for requests. Two spellings of one DN (case, blanks, which
escapes are used) have the same `key`; what identifies an object is its GUID, not its DN.
"""

from __future__ import annotations

import re
import unicodedata

Ava = tuple[str, str]
"""Attribute type as written and value unescaped, such as ("CN", "Smith, Anna")."""

Rdn = tuple[Ava, ...]

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*")
_HEX = re.compile(r"[0-9a-fA-F]{2}")
_ESCAPABLE = frozenset(',+"\\<>;= #')
_SPECIAL = re.compile(r'[\\"#+;<>]')


class InvalidDn(ValueError):
    """The text is not a DN. `str()` says why, fit for an administrator."""


def parse(text: str) -> tuple[Rdn, ...]:
    """The RDNs of a DN, innermost first. Raises `InvalidDn`. An empty text is the empty DN.

    Blanks around separators are passed over, values in quotation marks and `;` between RDNs are
    understood (RFC 2253 4), escapes may be hexadecimal and stand for parts of UTF-8.
    """
    if not text.strip():
        return ()
    rdns: list[Rdn] = []
    avas: list[Ava] = []
    at = 0
    while True:
        kind, equals, _ = text[at:].partition("=")
        if not equals or not _TYPE.fullmatch(kind.strip()):
            part = text[at : at + 40].strip()
            raise InvalidDn(f"{part!r} does not begin with a name and '=', such as OU=")
        value, at = _value(text, at + len(kind) + 1)
        avas.append((kind.strip(), value))
        if at < len(text) and text[at] == "+":
            at += 1
            continue
        rdns.append(tuple(avas))
        avas = []
        if at >= len(text):
            return tuple(rdns)
        at += 1


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that starts at `at`, unescaped, and where its separator is."""
    out = bytearray()
    kept = 0  # octets that are no trailing blanks
    quoted = False
    while at < len(text) and text[at] == " ":
        at += 1
    start = at
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            pair = text[at + 1 : at + 3]
            if _HEX.fullmatch(pair):
                out.append(int(pair, 16))
                at += 3
            elif pair[:1] in _ESCAPABLE and pair:
                out += pair[:1].encode()
                at += 2
            else:
                raise InvalidDn("after '\\' comes one of , + \" \\ < > ; = # or two hex digits")
            kept = len(out)
            continue
        if sign == '"' and (quoted or at == start):
            quoted = not quoted
        elif not quoted and sign in ",;+":
            break
        else:
            out += sign.encode("utf-8", "replace")
            if sign != " " or quoted:
                kept = len(out)
        at += 1
    if quoted:
        raise InvalidDn("a quotation mark is not closed")
    return out[:kept].decode("utf-8", "replace"), at


def escape(value: str) -> str:
    """A value as it stands in a DN (RFC 4514 2.4)."""
    out = "".join(
        f"\\{c}" if c in ',+"\\<>;' else f"\\{ord(c):02x}" if c < " " or c == "\x7f" else c
        for c in value
    )
    if out[:1] in ("#", " "):
        out = "\\" + out
    if len(value) > 1 and value[-1] == " ":
        out = out[:-1] + "\\ "
    return out


def write(rdns: tuple[Rdn, ...]) -> str:
    """The text of a DN."""
    return ",".join("+".join(f"{k}={escape(v)}" for k, v in rdn) for rdn in rdns)


def key(text: str) -> str:
    """Return what two spellings of one DN have in common. Text that is no DN is its own folded
    self."""
    if _is_plain(text):
        return _fold(text)
    try:
        rdns = parse(text)
    except InvalidDn:
        return _fold(text)
    return write(tuple(tuple(sorted((k.lower(), _fold(v)) for k, v in rdn)) for rdn in rdns))


def _is_plain(text: str) -> bool:
    """Return whether parsing and writing would change nothing: most DNs, and many are compared."""
    return not (
        _SPECIAL.search(text)
        or " ," in text
        or ", " in text
        or " =" in text
        or "= " in text
        or "  " in text
        or text[:1] == " "
        or text[-1:] == " "
    )


def _fold(text: str) -> str:
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    if "  " in folded:
        folded = re.sub(" +", " ", folded)
    return text if folded == text else folded  # the same object: a read keeps one of each


def split(text: str) -> tuple[str, str]:
    """The first RDN and the rest, as they are written. Cheap; for DNs that a server wrote."""
    at = text.find(",")
    while at > 0 and text[at - 1] == "\\":
        slashes = at - len(text[:at].rstrip("\\"))
        if slashes % 2 == 0:
            break
        at = text.find(",", at + 1)
    return (text, "") if at < 0 else (text[:at], text[at + 1 :])


def name(text: str) -> str:
    """The value of the first RDN, for people: `Smith, Anna` of `CN=Smith\\, Anna,OU=Staff`."""
    first = split(text)[0]
    if "\\" not in first and "+" not in first:
        return first.partition("=")[2].strip(" ")
    try:
        return "+".join(value for _, value in parse(first)[0])
    except (InvalidDn, IndexError):
        return first


def path(text: str) -> tuple[str, ...]:
    """The readable place, outermost first, without the domain: ("Staff", "Sales")."""
    names: list[str] = []
    rest = text
    while rest:
        first, rest = split(rest)
        if not first.lower().startswith("dc="):
            names.append(name(first))
    return tuple(reversed(names))


def is_under(child_key: str, base_key: str) -> bool:
    """Return whether a DN is the base or below it; both as `key`s. Everything is below the empty
    DN."""
    if not base_key or child_key == base_key:
        return True
    cut = len(child_key) - len(base_key) - 1
    if cut <= 0 or child_key[cut] != "," or not child_key.endswith(base_key):
        return False
    slashes = cut - len(child_key[:cut].rstrip("\\"))
    return slashes % 2 == 0
