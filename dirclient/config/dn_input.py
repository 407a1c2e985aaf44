"""How people write a place in a directory, made into a DN or into a question. Pure.

Understood are: a DN, with stray blanks and with one component a line as the manual prints it; a
part of a DN, which is meant below the domain; a canonical path such as `goodcompany.local/Staff`,
as the console of AD shows it; and a bare name.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from dirclient.wire import dn_syntax

LONGEST = 4096
"""Characters of the longest text that is looked at."""

_COMPONENT = re.compile(r"\s*[A-Za-z][A-Za-z0-9-]*\s*=")
_BREAK = re.compile(r"[\r\n]+|\s/\s+(?=[A-Za-z][A-Za-z0-9-]*\s*=)|/(?=[A-Za-z]+=)")
_STEP = re.compile(r"(?:\\[\\/]|[^/])+")  # of a canonical path; a slash in a name is escaped
_ESCAPED = re.compile(r"\\([\\/])")
_AROUND = string.whitespace + ",;"
_TYPOGRAPHIC = str.maketrans({"\u00a0": " ", "\u201c": '"', "\u201d": '"', "\u200b": ""})


@dataclass(frozen=True, slots=True)
class DnInput:
    """A DN. `dn` has no stray blanks; it is whole, or lacks the domain (`partial`)."""

    dn: str
    partial: bool = False


@dataclass(frozen=True, slots=True)
class PathInput:
    """Names to follow from a domain's root, outermost first; `domain` in DNS form or empty."""

    domain: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameInput:
    """The name of something, wherever it is."""

    name: str


def parse_dn_input(text: str) -> DnInput | PathInput | NameInput:
    """Return what the text means. Raises `InvalidDn` where it is like a DN and is none, or is
    empty."""
    if len(text) > LONGEST or "\0" in text:
        raise dn_syntax.InvalidDn("this is too long, or holds signs that cannot be part of a name")
    text = _trimmed(text.translate(_TYPOGRAPHIC))
    if not text:
        raise dn_syntax.InvalidDn("nothing was entered")
    if _COMPONENT.match(text):
        rdns = dn_syntax.parse(_in_one_line(text))
        whole = any(kind.lower() in ("dc", "o", "c") for rdn in rdns for kind, _ in rdn)
        return DnInput(dn_syntax.write(rdns), partial=not whole)
    if "/" in text.strip("/"):
        parts = tuple(_ESCAPED.sub(r"\1", part).strip() for part in _STEP.findall(text))
        parts = tuple(filter(None, parts))
        dotted = "." in parts[0] and " " not in parts[0]
        return PathInput(parts[0], parts[1:]) if dotted else PathInput("", parts)
    name = " ".join(text.strip("/").split())
    if "\\" in name:  # COMPANY\name, as AD shows groups in permissions
        name = name.rpartition("\\")[2].strip()
    if not name:
        raise dn_syntax.InvalidDn("nothing was entered")
    return NameInput(name)


def _in_one_line(text: str) -> str:
    """Components that stand on lines of their own, or between slashes, with commas instead."""
    return ",".join(filter(None, map(_trimmed, _BREAK.split(text))))


def _trimmed(text: str) -> str:
    """The text without blanks and separators around it, but with those that are escaped."""
    text = text.lstrip(_AROUND)
    bare = text.rstrip(_AROUND)
    escaping = (len(bare) - len(bare.rstrip("\\"))) % 2
    return text[: len(bare) + escaping]


def domain_dn(domain: str) -> str:
    """`goodcompany.local` as a DN."""
    labels = (label for label in domain.strip(".").split(".") if label)
    return ",".join(f"DC={dn_syntax.escape(label)}" for label in labels)


def domain_name(dn: str) -> str:
    """The DNS form of a DN's domain components, lower case; empty where it has none."""
    try:
        rdns = dn_syntax.parse(dn)
    except dn_syntax.InvalidDn:
        return ""
    return ".".join(v.lower() for rdn in rdns for k, v in rdn if k.lower() == "dc")
