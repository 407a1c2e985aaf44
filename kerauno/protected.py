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

from kerauno.clients import digest, new_secret
from kerauno.errors import InvalidValue, NotFound
from kerauno.hot import Hot, Statement
from kerauno.tables import Department, Membership, WebSession
from kerauno.tables_oidc import HostSession, ProtectedHost

TICKET_SECONDS = 60
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may enter a host: members of these departments, or everyone where there are none."""

    host: str
    departments: frozenset[int]


def normal_host(text: str) -> str:
    """A host as it is compared: lower case, without a dot at its end or a port that goes unsaid.

    Raises InvalidValue for what is none.
    """
    host, _, port = text.strip().lower().partition(":")
    if text.startswith("["):
        bracketed, _, rest = text.strip().lower()[1:].partition("]")
        host, port = f"[{bracketed}]", rest.removeprefix(":")
    host = host.removesuffix(".")
    valid = len(host) <= 253 and (
        all(_LABEL.fullmatch(label) for label in host.split(".")) or _is_ipv6(host)
    )
    if not valid or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise InvalidValue(
            f"{text!r} is no host.", field="host", remedy="Give a name such as wiki.company.com."
        )
    return host if port in ("", "80", "443") else f"{host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host.strip("[]"))
    except ValueError:
        return False
    return host.startswith("[")


def put(s: Session, host: str, departments: Collection[str], now: datetime) -> ProtectedHost:
    """Protect a host, or say anew who may enter it, by the departments' names.

    Raises InvalidValue for no host, NotFound for a name that no department has.
    """
    name = normal_host(host)
    ids = []
    for wanted in departments:
        found = list(s.scalars(select(Department.id).where(Department.name == wanted)))
        if not found:
            raise NotFound(f"There is no department {wanted}.")
        ids += found
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
    """Every protected host and the names of its departments, by host. A department that is gone
    lets nobody in, and is shown as such."""
    names = {one.id: one.name for one in s.execute(_NAMES)}
    rows = s.scalars(select(ProtectedHost).order_by(ProtectedHost.host))
    return [
        (row, [names.get(one, "(a department that is gone)") for one in row.departments])
        for row in rows
    ]


def rules(h: Hot) -> dict[str, Rule]:
    """Every rule, by host."""
    return {host: Rule(host, frozenset(ids)) for host, ids in h.all(_RULES)}


def may_enter(h: Hot, user_id: int, rule: Rule) -> bool:
    """Whether the user is a member of one of the rule's departments; True where there are none."""
    if not rule.departments:
        return True
    return any(row[0] in rule.departments for row in h.all(_OWN, user=user_id))


def give_ticket(h: Hot, now: datetime, *, handle: str, host: str, nonce: str) -> str:
    """A ticket for the browser that holds this nonce on that host."""
    ticket = secrets.token_urlsafe(24)
    h.run(
        _GIVE,
        id=digest(secrets.token_urlsafe(24)),
        ticket=digest(f"{ticket}\0{nonce}"),
        session_handle=handle,
        host=host,
        created_at=now,
    )
    return ticket


def use_ticket(h: Hot, now: datetime, ticket: str, *, host: str, nonce: str) -> str | None:
    """Trade a ticket for the host's cookie; None for one that is wrong, old or used."""
    cookie = new_secret()
    used = h.run(
        _USE,
        of=digest(f"{ticket}\0{nonce}"),
        at=host,
        since=now - timedelta(seconds=TICKET_SECONDS),
        cookie=digest(cookie),
    )
    return cookie if used else None


def session_of(h: Hot, cookie: str, host: str) -> str | None:
    """The id of the session behind a host's cookie; None when there is none, or no more."""
    row = h.one(_SESSION, of=digest(cookie), at=host)
    return None if row is None else row[0]


def sweep(s: Session, now: datetime) -> int:
    """Forget entries whose session is over. Gives how many."""
    over = ~select(WebSession.id).where(WebSession.handle == HostSession.session_handle).exists()
    unused = (HostSession.ticket.is_not(None)) & (
        HostSession.created_at <= now - timedelta(seconds=TICKET_SECONDS)
    )
    gone = s.execute(
        delete(HostSession).where(over | unused), execution_options={"synchronize_session": False}
    )
    return max(0, getattr(gone, "rowcount", 0))


_NAMES = select(Department.id, Department.name)
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
_SESSION = Statement(
    select(WebSession.id)
    .join(HostSession, HostSession.session_handle == WebSession.handle)
    .where(
        HostSession.id == bindparam("of"),
        HostSession.host == bindparam("at"),
        HostSession.ticket.is_(None),
    )
)
