"""Sign-in names as people type them: parsed, normalised, bounded.

A parsed name is only ever looked up (escaped, in a filter) or compared. It is never the name of a
bind: AD tries many forms there, and a stranger could choose among them (MS-ADTS 5.1.1.1.1).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from dirclient.model.directory_objects import Login, LoginForm, Person

LONGEST = 320
"""Characters of the longest sign-in name: the longest email (RFC 5321 4.5.3.1), and then some."""

# Cc control, Cf format (which holds the marks that turn text around), Cs half a character,
# Zl and Zp line ends, Co and Cn nobody's: none of these can be seen, all can deceive.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"))


class InvalidLogin(ValueError):
    """The text cannot be a sign-in name. `str()` says why, fit for the person who typed it."""


def parse(text: str) -> Login:
    """The name in one of its three forms. Raises `InvalidLogin`.

    `john.doe`, `john.doe@company.com` or `COMPANY\\john.doe`; surrounding blanks go, Unicode
    becomes NFC, case stays as typed.
    """
    if len(text) > LONGEST:
        raise InvalidLogin(f"The sign-in name is longer than {LONGEST} characters.")
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InvalidLogin("Enter a sign-in name.")
    if not _plain(name) and any(unicodedata.category(sign) in _UNSEEN for sign in name):
        raise InvalidLogin("The sign-in name contains a character that cannot be seen.")
    if "\\" in name:
        domain, _, account = name.partition("\\")
        if not domain.strip() or not account.strip() or "\\" in account or "@" in name:
            raise InvalidLogin("Write the sign-in name as DOMAIN\\name.")
        return Login(LoginForm.DOWN_LEVEL, account.strip(), domain.strip())
    if "@" in name:
        account, _, domain = name.partition("@")
        if not account.strip() or not domain.strip() or "@" in domain:
            raise InvalidLogin("Write the sign-in name as name@company.com.")
        return Login(LoginForm.EMAIL, account.strip(), domain.strip())
    return Login(LoginForm.BARE, name)


def _plain(name: str) -> bool:
    """ASCII that can be seen, as nearly every name is: not worth a look at each sign."""
    return name.isascii() and name.isprintable()


def fold(text: str) -> str:
    """Return what two spellings of one name have in common: NFC, stripped, without case."""
    if text.isascii():
        return text.strip().lower()
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return unicodedata.normalize("NFC", folded)


def matching(people: Sequence[Person], login: Login) -> list[Person]:
    """Return who of these signs in by this name. Several: it is ambiguous.

    An email is the login value itself. A bare name is the part of it before the `@`, or where
    nobody's is, the account name. A down-level name is the account name; its domain is the
    caller's to compare. Case and Unicode form do not count.
    """
    if login.form is LoginForm.EMAIL:
        email = fold(str(login))
        return [person for person in people if fold(person.login or "") == email]
    typed = fold(login.name)
    by_account = [person for person in people if fold(person.account_name or "") == typed]
    if login.form is LoginForm.DOWN_LEVEL:
        return by_account
    by_name = [
        person for person in people if fold((person.login or "").rpartition("@")[0]) == typed
    ]
    return by_name or by_account
