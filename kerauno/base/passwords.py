"""Passwords of local users: the first administrator and break-glass accounts (argon2id).

Nobody who signs in with the directory has a password here.
"""

from __future__ import annotations

import functools
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kerauno.base.errors import InvalidValue

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane. Every refused sign-in, of
# whatever kind, is answered no sooner than one such check takes, so that time tells nothing; what
# costs more here would let wrong passwords occupy every thread of the service.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """The argon2id hash of a local user's password.

    Raises InvalidValue when it is too short to be safe, longer than anybody types, or no text.
    """
    try:
        fits = 10 <= len(password) <= 1024 and password.strip() and password.encode()
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise InvalidValue(
            "This password cannot be used.",
            field="password",
            remedy="Use 10 to 1024 characters that are not all blanks.",
        )
    return _hasher.hash(unicodedata.normalize("NFC", password))


@functools.cache
def _decoy() -> str:
    """A hash of nothing anybody knows: who has no password must cost the same to refuse."""
    return _hasher.hash(secrets.token_hex(16))


def password_is(password_hash: str | None, password: str) -> bool:
    """Return whether this is the password. Takes as long for a user without one (None)."""
    try:
        return _hasher.verify(
            password_hash or _decoy(), unicodedata.normalize("NFC", password)
        ) and (password_hash is not None)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
