"""Validation of a user's fields, and the form in which they are stored."""

from __future__ import annotations

import re
import unicodedata

from kerauno.base.errors import InvalidValue

ROLES = ("user", "manager", "admin")

# Before the @ an atom in the wide sense of RFC 6531: any script, but no quotes and no brackets.
# Behind it names of RFC 1123 2.1, and those of RFC 5890 as people write them: no label begins or
# ends with a hyphen.
_LABEL = r"(?!-)[\w\-\u0080-\U0010ffff]%s(?<!-)"
_EMAIL = re.compile(rf"[^@\s\"(),:;<>\[\\\]]+@(?:{_LABEL % '+'}\.)+{_LABEL % '{2,}'}", re.ASCII)
EMAIL_LENGTH = 254  # RFC 5321 4.5.3.1.3, without the angle brackets
_LABELS = {"first_name": "first name", "last_name": "last name"}


def is_email(text: str) -> bool:
    """Return whether this can be a username/email: name, one @, a domain with a dot, at most 254.

    Nothing that cannot be seen, blanks included: two names that look alike would be two users, and
    the sign-in page takes no such name.
    """
    return len(text) <= EMAIL_LENGTH and text.isprintable() and bool(_EMAIL.fullmatch(text))


def valid_email(text: str) -> str:
    """The email, NFC and stripped. Raises InvalidValue unless it is local@domain.tld, ≤ 254."""
    email = unicodedata.normalize("NFC", text).strip()
    if not is_email(email):
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
