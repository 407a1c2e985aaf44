"""Consents of people to apps, and their withdrawal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.oauth.token_revocation import end_for_app
from kerauno.tables.oauth import AppSession, Client, Consent, TokenFamily


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """An app a person uses: since when, last when, and what it may know of them."""

    client_id: str
    name: str
    first_party: bool
    scopes: tuple[str, ...]
    since: datetime
    used_at: datetime | None


def covers(h: PreparedConnection, user_id: int, client_id: str, scopes: Iterable[str]) -> bool:
    """Return whether the person has already agreed to all of these scopes for this app."""
    row = h.one(_SCOPES, user=user_id, client=client_id)
    return row is not None and set(scopes) <= set(row[0])


def grant(s: Session, user_id: int, client_id: str, scopes: Iterable[str], now: datetime) -> None:
    """Note that the person agrees; what they agreed to before stays agreed."""
    row = s.get(Consent, (user_id, client_id))
    if row is None:
        row = Consent(user_id=user_id, client_id=client_id, scopes=[], granted_at=now)
        s.add(row)
    row.scopes = sorted({*row.scopes, *scopes})
    row.granted_at = now
    s.flush()


def withdraw(s: Session, user_id: int, client_id: str, now: datetime) -> bool:
    """Take the agreement back: the app's tokens for this person end now, and it is told.

    Gives whether there was anything to end.
    """
    gone = s.execute(
        delete(Consent).where(Consent.user_id == user_id, Consent.client_id == client_id)
    )
    ended = end_for_app(s, user_id, client_id, now)
    return bool(getattr(gone, "rowcount", 0)) or ended


def connected(s: Session, user_id: int) -> list[ConnectedApp]:
    """The apps that hold something of this person (consent, tokens or a session), by name."""
    used = (
        select(
            TokenFamily.client_id,
            func.min(TokenFamily.created_at).label("since"),
            func.max(TokenFamily.used_at).label("used"),
        )
        .where(TokenFamily.user_id == user_id)
        .group_by(TokenFamily.client_id)
        .subquery()
    )
    sessions = (
        select(AppSession.client_id, func.min(AppSession.first_at).label("since"))
        .where(AppSession.user_id == user_id)
        .group_by(AppSession.client_id)
        .subquery()
    )
    rows = s.execute(
        select(Client, Consent, used.c.since, used.c.used, sessions.c.since)
        .outerjoin(Consent, (Consent.client_id == Client.id) & (Consent.user_id == user_id))
        .outerjoin(used, used.c.client_id == Client.id)
        .outerjoin(sessions, sessions.c.client_id == Client.id)
        .where(
            Consent.user_id.is_not(None)
            | used.c.client_id.is_not(None)
            | sessions.c.client_id.is_not(None)
        )
        .order_by(func.lower(Client.name), Client.id)
    )
    apps = []
    for client, consent, tokens_since, used_at, sessions_since in rows:
        begun = [tokens_since, sessions_since, consent.granted_at if consent else None]
        apps.append(
            ConnectedApp(
                client.id,
                client.name,
                client.first_party,
                tuple(consent.scopes) if consent else tuple(client.scopes),
                min(moment for moment in begun if moment is not None),
                used_at,
            )
        )
    return apps


_SCOPES = Statement(
    select(Consent.scopes).where(
        Consent.user_id == bindparam("user"), Consent.client_id == bindparam("client")
    )
)
