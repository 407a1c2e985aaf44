"""Browsers in which a person has signed in before, told by a signed cookie.

The cookie has a token for each of the last people who signed in there (a shared computer has
several): when it ends, and a keyed digest of that and the user's id. The key is the user's own and
is kept in their record, so that a token costs no row, names nobody, is worth nothing for another
person, and ends with its key: when a password changes, and with everything else by which the
person is signed in. A new key file of the service ends none.

A token opens nothing. It lets a browser try a few passwords more, see `kerauno.signin.throttle`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, update
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.core import User

LASTS = timedelta(days=30)
MOST = 6
"""People whom one browser can be known for; who signed in longest ago is forgotten first."""

_SEPARATOR = "~"
_TOKEN = re.compile(r"([0-9a-f]{8})\.[A-Za-z0-9_-]{22}")
_LONGEST = 1024


def is_known(cookie: str, user_id: int, key: str | None, now: datetime) -> bool:
    """Return True if the cookie has a token of this user that has not ended."""
    return key is not None and any(_is_of(user_id, key, token) for token in _tokens(cookie, now))


def renewed(cookie: str, user_id: int, key: str, now: datetime) -> str:
    """Return the cookie with a new token of this user, and those of other people."""
    others = [token for token in _tokens(cookie, now) if not _is_of(user_id, key, token)]
    ends = f"{int((now + LASTS).timestamp()):08x}"
    return _SEPARATOR.join([f"{ends}.{_digest(user_id, key, ends)}", *others[: MOST - 1]])


def key_for(s: Session | PreparedConnection, user_id: int) -> str:
    """Return the user's key; it is made where there is none."""
    row = from_session(s).one(_KEY, of=user_id, new_key=secrets.token_hex(16))
    assert row is not None
    return str(row[0])


def end_all(s: Session, user_ids: Collection[int]) -> None:
    """Forget every known browser of these users."""
    s.execute(
        update(User)
        .where(User.id.in_(user_ids), User.browser_key.is_not(None))
        .values(browser_key=None),
        execution_options={"synchronize_session": False},
    )


_KEY = Statement(
    update(User)
    .where(User.id == bindparam("of"))
    .values(browser_key=func.coalesce(User.browser_key, bindparam("new_key")))
    .returning(User.browser_key)
)


def _tokens(cookie: str, now: datetime) -> list[str]:
    """The tokens that have not ended, newest first; at most MOST, whatever was sent."""
    if len(cookie) > _LONGEST:
        return []
    matches = (_TOKEN.fullmatch(token) for token in cookie.split(_SEPARATOR)[:MOST])
    moment = now.timestamp()
    return [match[0] for match in matches if match and int(match[1], 16) > moment]


def _is_of(user_id: int, key: str, token: str) -> bool:
    ends, _, digest = token.partition(".")
    return hmac.compare_digest(_digest(user_id, key, ends), digest)


def _digest(user_id: int, key: str, ends: str) -> str:
    text = f"{user_id} {ends}".encode()
    raw = hashlib.blake2b(text, key=key.encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
