"""Sites behind a reverse proxy: who may enter which, and a browser's way in.

The session's own cookie belongs to the sign-in service and is never shown to another host. A
browser gets a cookie of each host's own, for a ticket that works once, within a minute, in the
browser that asked for it. It ends with the session.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from kerauno.accounts import department_labels
from kerauno.base.errors import InvalidValue, NotFound
from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.oauth.clients import digest, new_secret
from kerauno.tables.core import Department, Membership, WebSession
from kerauno.tables.oauth import HostSession, ProtectedHost

TICKET_SECONDS = 60
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,9}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""How the last label of an IPv4 address reads (WHATWG URL 3.5). Browsers go to 127.0.0.1 for 127.1
and 0x7f.1 and name it so: of these spellings only the canonical one is a host."""
_DEVIATING = frozenset("ß\u03c2\u200c\u200d")  # two standards write them differently, RFC 5894 7.2


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of a host: members of these departments, or everyone where there are none."""

    host: str
    departments: frozenset[int]


def normal_host(text: str) -> str:
    """Return the one spelling of a host that all its spellings have (RFC 3986 3.2.2, RFC 9110 7.2).

    Lower case; A-labels (RFC 5890) for names in other scripts; no dot at the end; an IPv6 address
    in brackets in its shortest form; a port only where it is neither 80 nor 443. Raise
    InvalidValue for what is no host and optional port: a list, an address with a user or a path.
    """
    match = _HOST.fullmatch(text.strip(" \t"))
    try:
        if match is None:
            raise ValueError
        port = int(match["port"] or 0)
        host = f"[{ipaddress.IPv6Address(match['v6'])}]" if match["v6"] else _name(match["name"])
        if port > 65535 or (match["port"] and not port):
            raise ValueError
    except ValueError:
        raise InvalidValue(
            f"{text!r} is no host.",
            field="host",
            remedy="Give a name such as wiki.company.com; xn--… for other scripts.",
        ) from None
    return host if port in (0, 80, 443) else f"{host}:{port}"


def _name(text: str) -> str:
    """Return a name in lower case and A-labels. Raise ValueError for what is none."""
    if not _DEVIATING.isdisjoint(text):
        raise ValueError
    name = text if text.isascii() else text.encode("idna").decode("ascii")
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError
    if _NUMBER.fullmatch(labels[-1]):
        return str(ipaddress.IPv4Address(name))
    return name


def put(s: Session, host: str, departments: Collection[str], now: datetime) -> ProtectedHost:
    """Protect a host, or say again who may enter it, by the departments' GUIDs or names.

    Raises InvalidValue for no host and for a name that could mean several departments, NotFound
    for one that no department has.
    """
    name = normal_host(host)
    ids = [department_labels.chosen(s, which).id for which in departments]
    row = s.get(ProtectedHost, name)
    if row is None:
        row = ProtectedHost(host=name, created_at=now)
        s.add(row)
    row.departments = sorted(set(ids))
    row.updated_at = now
    s.flush()
    return row


def remove(s: Session, host: str) -> None:
    """Protect a host no longer: nobody enters it through here any more. Raises NotFound."""
    name = normal_host(host)
    gone = s.execute(delete(ProtectedHost).where(ProtectedHost.host == name))
    if not getattr(gone, "rowcount", 0):
        raise NotFound(f"{name} is not a protected host.")


def everything(s: Session) -> list[tuple[ProtectedHost, list[str]]]:
    """Every protected host and the labels of its departments, by host. A department that is gone
    lets nobody in, and is shown as such."""
    known = _labels(s)
    rows = s.scalars(select(ProtectedHost).order_by(ProtectedHost.host))
    return [(row, [known.get(id, _GONE) for id in row.departments]) for row in rows]


def labels_of(s: Session, row: ProtectedHost) -> list[str]:
    """The labels of a host's departments."""
    known = _labels(s)
    return [known.get(id, _GONE) for id in row.departments]


def _labels(s: Session) -> dict[int, str]:
    return {row.id: row.label for row in s.execute(_LABELS)}


def rules(h: PreparedConnection) -> dict[str, Rule]:
    """Every rule, by host."""
    return {host: Rule(host, frozenset(ids)) for host, ids in h.all(_RULES)}


def may_enter(h: PreparedConnection, user_id: int, rule: Rule) -> bool:
    """Return whether the user is a member of one of the rule's departments; True where there are
    none."""
    if not rule.departments:
        return True
    return any(row[0] in rule.departments for row in h.all(_OWN, user=user_id))


def issue_ticket(
    h: PreparedConnection, now: datetime, *, handle: str, host: str, nonce: str
) -> str:
    """A ticket for the browser that holds this nonce on that host."""
    ticket = secrets.token_urlsafe(24)
    h.run(
        _GIVE,
        id=digest(ticket),
        ticket=digest(f"{ticket}\0{nonce}"),
        session_handle=handle,
        host=host,
        created_at=now,
    )
    return ticket


def redeem_ticket(
    h: PreparedConnection, now: datetime, ticket: str, *, host: str, nonce: str
) -> str | None:
    """Trade a ticket for the host's cookie; None for one that is wrong, old or used.

    A ticket that comes with another nonce, or to another host, is used up all the same: it stood
    in the address bar of a browser that it was not for.
    """
    cookie = new_secret()
    used = h.run(
        _USE,
        of=digest(f"{ticket}\0{nonce}"),
        at=host,
        since=now - timedelta(seconds=TICKET_SECONDS),
        cookie=digest(cookie),
    )
    if not used:
        burn_ticket(h, ticket)
    return cookie if used else None


def burn_ticket(h: PreparedConnection, ticket: str) -> None:
    """Make a ticket that was not used yet worthless."""
    h.run(_BURN, of=digest(ticket))


def session_of(h: PreparedConnection, cookie: str, host: str) -> str | None:
    """The id of the session behind a host's cookie; None when there is none, or no more."""
    row = h.one(_SESSION, of=digest(cookie), at=host)
    return None if row is None else row[0]


def sweep(s: Session, now: datetime) -> int:
    """Forget entries whose session is over. Return how many."""
    over = ~select(WebSession.id).where(WebSession.handle == HostSession.session_handle).exists()
    unused = (HostSession.ticket.is_not(None)) & (
        HostSession.created_at <= now - timedelta(seconds=TICKET_SECONDS)
    )
    gone = s.execute(
        delete(HostSession).where(over | unused), execution_options={"synchronize_session": False}
    )
    return max(0, getattr(gone, "rowcount", 0))


_GONE = "(a department that is gone)"
_LABELS = select(Department.id, Department.label)
_RULES = Statement(select(ProtectedHost.host, ProtectedHost.departments))
_OWN = Statement(select(Membership.department_id).where(Membership.user_id == bindparam("user")))
_GIVE = Statement(insert(HostSession))
_USE = Statement(
    update(HostSession)
    .where(
        HostSession.ticket == bindparam("of"),
        HostSession.host == bindparam("at"),
        HostSession.created_at > bindparam("since"),
    )
    .values(ticket=None, id=bindparam("cookie"))
)
_BURN = Statement(
    delete(HostSession).where(HostSession.id == bindparam("of"), HostSession.ticket.is_not(None))
)
_SESSION = Statement(
    select(WebSession.id)
    .join(HostSession, HostSession.session_handle == WebSession.handle)
    .where(
        HostSession.id == bindparam("of"),
        HostSession.host == bindparam("at"),
        HostSession.ticket.is_(None),
    )
)
