"""The throttle for administrators: under which keys somebody is counted."""

from __future__ import annotations

from sqlalchemy.orm import Session

from kerauno import throttle
from kerauno.tables import Link, User


def keys_of_user(s: Session, user: User) -> list[str]:
    """Return every key under which attempts on this user may be counted."""
    link = s.get(Link, user.id)
    names = {user.username, user.email.rpartition("@")[0]}
    keys = [throttle.person_key(user_id=user.id)]
    if link is not None:
        keys.append(throttle.person_key(guid=link.guid))
        names |= {link.account_key or "", (link.principal_key or "").rpartition("@")[0]} - {""}
    return keys + sorted(throttle.name_key(name) for name in names)
