"""A line to paste into a PowerShell window that mends one conflict in Active Directory.

Names in a directory are anyone's text, so nothing of them is ever part of such a line but inside
a single-quoted literal, and the account is always named by its objectGUID.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Callable

# PowerShell takes the four typographic single quotes for the plain one (about_Quoting_Rules).
_QUOTES = re.compile("(['‘’‚‛])")
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})  # Unicode general categories
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def literal(text: str) -> str:
    """The text as a single-quoted PowerShell literal: one line, nothing in it expands.

    Control, line-separating and direction-changing characters are dropped: a pasted line must be
    the line that was read. Every kind of single quote is doubled.
    """
    plain = "".join(
        c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
    )
    return "'" + _QUOTES.sub(r"\1\1", plain) + "'"


def _set_user(identity: str, rest: str) -> str:
    return f"Set-ADUser -Identity {identity} {rest}"


def remedy_line(
    code: str,
    guid: str,
    *,
    login_attribute: str = "mail",
    extension_attribute: str = "ipPhone",
    free_extension: str | None = None,
) -> str:
    """The line that mends conflict `code` of the account `guid`; empty where AD cannot mend it.

    `free_extension` is put in as the suggestion for an extension. Attribute names come from the
    attribute mapping; one that is no LDAP name (RFC 4512 1.4) gives no line at all.
    """
    identity = literal(str(uuid.UUID(guid)))
    if not (_ATTRIBUTE.fullmatch(login_attribute) and _ATTRIBUTE.fullmatch(extension_attribute)):
        return ""
    number = literal(free_extension or "1234")

    def login() -> str:
        return _set_user(identity, f"-Replace @{{{login_attribute}='first.last@company.com'}}")

    def extension() -> str:
        return _set_user(identity, f"-Replace @{{{extension_attribute}={number}}}")

    lines: dict[str, Callable[[], str]] = {
        "name_missing": lambda: _set_user(identity, "-GivenName 'First' -Surname 'Last'"),
        "email_missing": login,
        "email_invalid": login,
        "email_taken": login,
        "username_taken": login,
        "link_ambiguous": login,
        "extension_missing": extension,
        "extension_invalid": extension,
        "extension_taken": extension,
        "account_disabled": lambda: f"Enable-ADAccount -Identity {identity}",
        "account_expired": lambda: f"Clear-ADAccountExpiration -Identity {identity}",
    }
    line = lines.get(code)
    return line() if line else ""
