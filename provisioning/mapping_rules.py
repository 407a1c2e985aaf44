"""A person by Kerauno's rules: the record that is wanted, or why none can be made.

Pure: a person in, values or conflicts out. Whether a wanted value is free is not known here;
that is `provisioning.unique_values`.
"""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass
from typing import Any

from dirclient.model.directory_objects import AccountState, Guid, Person
from kerauno.accounts.dial_plan import parse_extension
from kerauno.base.errors import InvalidValue
from kerauno.base.lookup_keys import lookup_key
from kerauno.base.validation import EMAIL_LENGTH, is_email

NAME_LENGTH = 255


class Code(enum.StrEnum):
    """Why a person or a directory department cannot be built."""

    NAME_MISSING = "name_missing"
    EMAIL_MISSING = "email_missing"
    EMAIL_INVALID = "email_invalid"
    EXTENSION_MISSING = "extension_missing"
    EXTENSION_INVALID = "extension_invalid"
    EXTENSION_TAKEN = "extension_taken"
    USERNAME_TAKEN = "username_taken"
    EMAIL_TAKEN = "email_taken"
    LINK_AMBIGUOUS = "link_ambiguous"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_EXPIRED = "account_expired"
    HELD_OUT = "held_out"
    NUMBER_MISSING = "number_missing"
    NUMBER_TAKEN = "number_taken"


@dataclass(frozen=True, slots=True)
class Conflict:
    """One reason, as data. `other` is whom the value belongs to, in words, or empty."""

    guid: Guid
    person: str
    code: Code
    field: str
    value: str
    other: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """The shape that the command line and the console show."""
        return {
            "guid": str(self.guid),
            "person": self.person,
            "code": self.code.value,
            "field": self.field,
            "value": self.value,
            "other": self.other,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Desired:
    """The values that Kerauno would store for a person.

    Of a person synced for sign-in alone only `username` and `email` count; names and extension
    are then None.
    """

    username: str
    username_key: str
    email: str
    email_key: str
    first_name: str | None = None
    last_name: str | None = None
    extension: str | None = None


def shown(person: Person) -> str:
    """The name by which an administrator knows a person."""
    if person.display_name:
        return person.display_name
    name = " ".join(part for part in (person.first_name, person.last_name) if part)
    return name or person.account_name or person.login or person.dn


def described(person: Person) -> str:
    """A person as the other party of a conflict."""
    return f"AD person {shown(person)} ({person.login or person.account_name or person.dn})"


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL stores in no text column and no name needs."""
    return text.replace("\0", "") if "\0" in text else text


def account_conflict(person: Person, *, held_out: bool) -> Conflict | None:
    """Why this account as a whole may not be synced, whatever its values."""
    if person.state is AccountState.DISABLED:
        return _conflict(
            person,
            Code.ACCOUNT_DISABLED,
            "account",
            "disabled",
            "Enable the account in AD, or leave it: it is not given access.",
        )
    if person.state is AccountState.EXPIRED:
        return _conflict(
            person,
            Code.ACCOUNT_EXPIRED,
            "account",
            "expired",
            "Extend the account in AD, or leave it: it is not given access.",
        )
    if held_out:
        return _conflict(
            person,
            Code.HELD_OUT,
            "",
            "",
            "De-synced by an administrator: press Sync with AD on the user's page to sync again.",
        )
    return None


def desire(person: Person, *, full: bool = True) -> Desired | tuple[Conflict, ...]:
    """The record wanted for this person, or every fault of the values it would be made of.

    With `full` off only what sign-in needs is asked for: username and email.
    """
    faults = list(_login_faults(person))
    extension: str | None = None
    if full:
        faults += _name_faults(person)
        value = _extension(person)
        if isinstance(value, Conflict):
            faults.append(value)
        else:
            extension = value
    if faults:
        return tuple(faults)
    assert person.login is not None
    email = person.login
    email_key = lookup_key(email)
    username = email[: email.rindex("@")]
    if not full:
        return Desired(username, lookup_key(username), email, email_key)
    assert person.first_name is not None
    assert person.last_name is not None
    return Desired(
        username,
        lookup_key(username),
        email,
        email_key,
        _one_line(person.first_name),
        _one_line(person.last_name),
        extension,
    )


def _login_faults(person: Person) -> tuple[Conflict, ...]:
    login = person.login
    if not login:
        return (
            _conflict(
                person,
                Code.EMAIL_MISSING,
                "email",
                "",
                "Fill in the e-mail address (mail) or the user logon name in AD.",
            ),
        )
    if is_email(login):
        return ()
    return (
        _conflict(
            person,
            Code.EMAIL_INVALID,
            "email",
            login[:EMAIL_LENGTH],
            "Correct the address in AD: it needs the form name@company.com, without blanks and "
            "without characters that cannot be seen.",
        ),
    )


def _name_faults(person: Person) -> tuple[Conflict, ...]:
    first, last = _is_name(person.first_name), _is_name(person.last_name)
    if first and last:
        return ()
    field, words = (
        ("first_name", "the first name (givenName)")
        if last
        else ("last_name", "the last name (sn)")
        if first
        else ("name", "the first name (givenName) and the last name (sn)")
    )
    return (_conflict(person, Code.NAME_MISSING, field, "", f"Fill in {words} in AD."),)


def _extension(person: Person) -> str | Conflict:
    raw = person.extension
    if not raw:
        return _conflict(
            person,
            Code.EXTENSION_MISSING,
            "extension",
            "",
            "Fill in the extension (ipPhone, or telephoneNumber with x1234) in AD.",
        )
    if raw.isascii() and raw.isdigit() and 2 <= len(raw) <= 10:
        return raw
    try:
        return parse_extension(raw)
    except InvalidValue as error:
        return _conflict(
            person,
            Code.EXTENSION_INVALID,
            "extension",
            raw[:NAME_LENGTH],
            error.remedy,
        )


def _is_name(text: str | None) -> bool:
    """Return whether anything of it can be seen."""
    return bool(text) and any(c.isprintable() and not c.isspace() for c in text or "")


def _one_line(text: str) -> str:
    """A name as it can be stored: no control characters, at most as long as the column."""
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text).strip()
    return text[:NAME_LENGTH]


def _conflict(person: Person, code: Code, field: str, value: str, remedy: str) -> Conflict:
    return Conflict(person.guid, shown(person), code, field, value, "", remedy)
