"""What can be said about people before anybody is built: who lacks what, as far as AD alone tells.

A first opinion for the connection test. The real answer, with Kerauno's own users and numbers in
it, is the plan's.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dirclient.model import AccountState, Guid, Person

_LABEL = r"(?!-)[\w\-\u0080-\U0010ffff]%s(?<!-)"  # RFC 1123 2.1: no hyphen at either end
_EMAIL = re.compile(rf"[^@\s\"(),:;<>\[\\\]]+@(?:{_LABEL % '+'}\.)+{_LABEL % '{2,}'}", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[0-9]{2,10}")
_EXTENSION = re.compile(r"(?:;\s*ext=|(?:x|ext\.?)\s*)([0-9]{2,10})\s*$", re.IGNORECASE)

MEANINGS: Mapping[str, str] = {
    "account_disabled": "disabled",
    "account_expired": "expired",
    "name_missing": "without a first or last name",
    "email_missing": "without a username/email",
    "email_invalid": "with a username/email that is no email address",
    "extension_missing": "without an extension",
    "extension_invalid": "with an extension that is no number",
    "extension_taken": "sharing an extension",
    "username_taken": "sharing a username",
    "email_taken": "sharing an email",
}
"""Conflict codes in words that follow a number of people."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """How many people have no conflict, and how many have which. One person may have several."""

    people: int
    free: int
    conflicts: Mapping[str, int]

    def sentences(self) -> list[str]:
        """The conflicts in words, most frequent first."""
        ranked = sorted(self.conflicts.items(), key=lambda item: (-item[1], item[0]))
        return [f"{count} {MEANINGS[code]}" for code, count in ranked]


def assess(people: Iterable[Person]) -> Assessment:
    """Look at everyone once; only those without a fault of their own compete for numbers."""
    total = 0
    counts: Counter[str] = Counter()
    claims: dict[tuple[str, str], list[Guid]] = {}
    for person in people:
        total += 1
        faults = own_faults(person)
        counts.update(faults)
        if not faults:
            for claim in _claims(person):
                claims.setdefault(claim, []).append(person.guid)
    taken: dict[str, set[Guid]] = {}
    for (code, _), claimants in claims.items():
        if len(claimants) > 1:
            taken.setdefault(code, set()).update(claimants)
    counts.update({code: len(who) for code, who in taken.items()})
    free = len({who for claimants in claims.values() for who in claimants})
    return Assessment(total, free - len(set().union(*taken.values())), dict(counts))


def own_faults(person: Person) -> list[str]:
    """The conflict codes of one person alone."""
    faults = []
    if person.state is AccountState.DISABLED:
        faults.append("account_disabled")
    if person.state is AccountState.EXPIRED:
        faults.append("account_expired")
    if not person.first_name or not person.last_name:
        faults.append("name_missing")
    if not person.login:
        faults.append("email_missing")
    elif not _is_email(person.login):
        faults.append("email_invalid")
    if not person.extension:
        faults.append("extension_missing")
    elif not number_in(person.extension):
        faults.append("extension_invalid")
    return faults


def _is_email(text: str) -> bool:
    return len(text) <= 254 and text.isprintable() and bool(_EMAIL.fullmatch(text))


def number_in(text: str) -> str:
    """The extension in a text: digits alone, or what follows x, ext. or ;ext=; else empty."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if _PLAIN_NUMBER.fullmatch(plain):
        return plain
    found = _EXTENSION.search(plain)
    return found[1] if found else ""


def _claims(person: Person) -> list[tuple[str, str]]:
    """What only one user may have, by the code of the conflict about it."""
    login = unicodedata.normalize("NFC", (person.login or "").casefold())
    return [
        ("extension_taken", number_in(person.extension or "")),
        ("username_taken", login.partition("@")[0]),
        ("email_taken", login),
    ]
