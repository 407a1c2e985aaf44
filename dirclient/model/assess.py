"""Conflicts of people as far as AD alone tells, before anybody is built.

A first opinion for the connection test; who knows more, such as Kerauno's own users and numbers,
hands the test another `ConflictCounter`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dirclient.model.directory_objects import AccountState, Guid, Person

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
    "extension_taken": "whose extension is another's, too",
    "username_taken": "whose username is another's, too",
    "email_taken": "whose email is another's, too",
    "link_ambiguous": "claiming one Kerauno user together",
    "held_out": "held out by an administrator",
}
"""Conflict codes in words that follow a number of people."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """How many people have no conflict, and how many have which. One person may have several.

    `left` had a user before the directory disabled them or let them expire: nothing to mend.
    """

    people: int
    free: int
    conflicts: Mapping[str, int]
    left: int = 0

    def sentences(self) -> list[str]:
        """The conflicts in words, most frequent first; then those who left."""
        ranked = sorted(self.conflicts.items(), key=lambda item: (-item[1], item[0]))
        left = [f"{self.left} who left, disabled or expired"] if self.left else []
        return [f"{count} {MEANINGS[code]}" for code, count in ranked] + left


ConflictCounter = Callable[[Iterable[Person]], Assessment]
"""Looks at all people together."""


def assess(people: Iterable[Person]) -> Assessment:
    """By what AD alone tells; only those without a fault of their own compete for numbers."""
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


def own_faults(person: Person, *, number: Callable[[str], str] | None = None) -> list[str]:
    """Return the conflict codes of one person. A disabled or expired account has exactly one.

    `number` returns the extension in a text, or an empty text; see `number_in`.
    """
    if person.state is AccountState.DISABLED:
        return ["account_disabled"]
    if person.state is AccountState.EXPIRED:
        return ["account_expired"]
    faults = []
    if not _is_name(person.first_name) or not _is_name(person.last_name):
        faults.append("name_missing")
    if not person.login:
        faults.append("email_missing")
    elif not _is_email(person.login):
        faults.append("email_invalid")
    if not person.extension:
        faults.append("extension_missing")
    elif not (number or number_in)(person.extension):
        faults.append("extension_invalid")
    return faults


def _is_name(text: str | None) -> bool:
    """Return whether anything of it can be seen."""
    return any(sign.isprintable() and not sign.isspace() for sign in text or "")


def _is_email(text: str) -> bool:
    return len(text) <= 254 and text.isprintable() and bool(_EMAIL.fullmatch(text))


def number_in(text: str) -> str:
    """The extension in a text: digits alone, or what follows x, ext. or ;ext=; else empty."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if _PLAIN_NUMBER.fullmatch(plain):
        return plain
    match = _EXTENSION.search(plain)
    return match[1] if match else ""


def _claims(person: Person) -> list[tuple[str, str]]:
    """Return what only one user may have, by the code of the conflict about it."""
    login = unicodedata.normalize("NFC", (person.login or "").casefold())
    return [
        ("extension_taken", number_in(person.extension or "")),
        ("username_taken", login.partition("@")[0]),
        ("email_taken", login),
    ]
