"""What a user's fields may hold, and in which form they are stored."""

from __future__ import annotations

import re
import unicodedata

from kerauno.errors import InvalidValue

ROLES = ("user", "manager", "admin")

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")
_LABELS = {"first_name": "first name", "last_name": "last name"}


def valid_email(text: str) -> str:
    """The email, NFC and stripped. Raises InvalidValue unless it is local@domain.tld, ≤ 254."""
    email = unicodedata.normalize("NFC", text).strip()
    if len(email) > 254 or not _EMAIL.match(email) or not email.isprintable():
        raise InvalidValue(
            "This is not an email address." if email else "The email is missing.",
            field="email",
            remedy="Use the form name@company.com, at most 254 characters, without blanks.",
        )
    return email


def valid_name(text: str, field: str) -> str:
    """A first or last name, NFC and stripped. Raises InvalidValue when empty or unprintable."""
    name = unicodedata.normalize("NFC", text).strip()
    label = _LABELS.get(field, field)
    if not name:
        raise InvalidValue(f"The {label} is missing.", field=field, remedy=f"Give a {label}.")
    if len(name) > 255 or any(unicodedata.category(char) == "Cc" for char in name):
        raise InvalidValue(
            f"The {label} cannot be stored.",
            field=field,
            remedy="Use at most 255 characters, without control characters.",
        )
    return name


def valid_username(text: str) -> str:
    """A username, NFC and stripped. Raises InvalidValue when empty or with blanks or `@`."""
    username = unicodedata.normalize("NFC", text).strip()
    bad = any(char.isspace() or char in "@\\" for char in username)
    if not username or len(username) > 255 or bad or not username.isprintable():
        raise InvalidValue(
            "The username is missing." if not username else "This is not a username.",
            field="username",
            remedy="Use letters and digits without blanks, @ or \\, such as john.doe.",
        )
    return username


def valid_role(role: str) -> str:
    """One of ROLES. Raises InvalidValue."""
    if role not in ROLES:
        raise InvalidValue(
            f"“{role[:40]}” is not a role.", field="role", remedy=f"Use one of {', '.join(ROLES)}."
        )
    return role
