"""Apps that delegate sign-in: what they may ask for, and how they prove who they are.

A client secret is shown when it is made and never again: only its digest is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from kerauno.base.errors import NotFound, Stale
from kerauno.oauth import redirect_uris
from kerauno.oauth.registration import ClientFault, Registration, RegistrationRefused
from kerauno.tables.oauth import Client


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A stored app as the protocol needs it: immutable, so that it can be cached for moments."""

    id: str
    name: str
    auth_method: str
    secret_digest: str | None = field(repr=False)
    jwks: dict[str, Any] | None
    redirect_uris: frozenset[str]
    post_logout_redirect_uris: frozenset[str]
    backchannel_logout_uri: str
    grant_types: frozenset[str]
    scopes: frozenset[str]
    id_token_alg: str
    first_party: bool

    @property
    def confidential(self) -> bool:
        """Return whether the app can keep a secret (RFC 6749 2.1)."""
        return self.auth_method != "none"

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins at which the app may be answered, as a policy names them."""
        uris = (*self.redirect_uris, *self.post_logout_redirect_uris)
        return tuple(sorted({redirect_uris.origin(uri) for uri in uris}))

    def answers_at(self, uri: str) -> bool:
        """Return whether the app may be answered at this address: as registered, to the letter.

        The port alone of an installed app's address on its own machine is free: the app takes
        what the system gives it at that moment (RFC 8252 7.3, RFC 9700 2.1).
        """
        if uri in self.redirect_uris:
            return True
        if self.confidential or not uri.startswith("http://"):
            return False
        portless = redirect_uris.without_loopback_port(uri)
        return portless is not None and any(
            redirect_uris.without_loopback_port(known) == portless for known in self.redirect_uris
        )

    def secret_is(self, secret: str) -> bool:
        """Return whether this is the app's secret, in time that does not tell how much of it is
        right."""
        return self.secret_digest is not None and hmac.compare_digest(
            digest(secret), self.secret_digest
        )


def digest(secret: str) -> str:
    """SHA-256 in hex: how every random secret of 128 bits and more is kept and looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    """256 random bits that need no escaping in a URL, a form or HTTP Basic."""
    return secrets.token_urlsafe(32)


def create(s: Session, registration: Registration, now: datetime) -> tuple[Client, str | None]:
    """Store an app; returns its row and its secret (None for one that has none).

    Raises RegistrationRefused with every fault.
    """
    registration = registration.normal()
    faults = registration.faults()
    if faults:
        raise RegistrationRefused(faults)
    secret = new_secret() if registration.auth_method == "client_secret_basic" else None
    row = Client(
        id=_new_id(registration.name),
        secret_digest=digest(secret) if secret else None,
        created_at=now,
        updated_at=now,
        **_columns(registration),
    )
    s.add(row)
    s.flush()
    return row, secret


def change(
    s: Session, client_id: str, registration: Registration, now: datetime, *, version: int
) -> Client:
    """Store other words for an app. Raises NotFound, Stale, RegistrationRefused."""
    row = get(s, client_id)
    if row.version != version:
        raise Stale(f"{row.name} was changed by someone else in the meantime.")
    registration = registration.normal()
    faults = registration.faults()
    if faults:
        raise RegistrationRefused(faults)
    for name, value in _columns(registration).items():
        setattr(row, name, value)
    if registration.auth_method != "client_secret_basic":
        row.secret_digest = None
    row.updated_at = now
    row.version += 1
    s.flush()
    return row


def rotate_secret(s: Session, client_id: str, now: datetime) -> str:
    """Give an app another secret; the old one ends at once.

    Raises NotFound, and RegistrationRefused where it has none.
    """
    row = get(s, client_id)
    if row.auth_method != "client_secret_basic":
        fault = ClientFault(
            "auth_method", f"{row.name} has no secret.", "Only confidential apps have one."
        )
        raise RegistrationRefused([fault])
    secret = new_secret()
    row.secret_digest = digest(secret)
    row.updated_at = now
    row.version += 1
    s.flush()
    return secret


def remove(s: Session, client_id: str) -> Client:
    """Remove an app with every code, token and consent it has. Raises NotFound."""
    row = get(s, client_id)
    s.execute(delete(Client).where(Client.id == client_id))
    s.expunge(row)
    return row


def get(s: Session, client_id: str) -> Client:
    """The app's row. Raises NotFound."""
    row = s.get(Client, client_id)
    if row is None:
        raise NotFound(f"There is no app {client_id}.")
    return row


def find(s: Session, client_id: str) -> ClientInfo | None:
    """The app as the protocol needs it, or None when there is none of that client_id."""
    row = s.get(Client, client_id)
    return None if row is None else info(row)


def all_clients(s: Session) -> list[Client]:
    """Every app, by name."""
    return list(s.scalars(select(Client).order_by(func.lower(Client.name), Client.id)))


def registration_of(row: Client) -> Registration:
    """The words that a row was made of, for showing and editing."""
    return Registration(
        name=row.name,
        auth_method=row.auth_method,
        redirect_uris=tuple(row.redirect_uris),
        post_logout_redirect_uris=tuple(row.post_logout_redirect_uris),
        backchannel_logout_uri=row.backchannel_logout_uri,
        grant_types=tuple(row.grant_types),
        scopes=tuple(row.scopes),
        jwks=row.jwks,
        id_token_alg=row.id_token_alg,
        first_party=row.first_party,
    )


def info(row: Client) -> ClientInfo:
    """A row as the protocol needs it."""
    return ClientInfo(
        id=row.id,
        name=row.name,
        auth_method=row.auth_method,
        secret_digest=row.secret_digest,
        jwks=row.jwks,
        redirect_uris=frozenset(row.redirect_uris),
        post_logout_redirect_uris=frozenset(row.post_logout_redirect_uris),
        backchannel_logout_uri=row.backchannel_logout_uri,
        grant_types=frozenset(row.grant_types),
        scopes=frozenset(row.scopes),
        id_token_alg=row.id_token_alg,
        first_party=row.first_party,
    )


def _columns(registration: Registration) -> dict[str, Any]:
    return {
        "name": registration.name,
        "auth_method": registration.auth_method,
        "jwks": registration.jwks if registration.auth_method == "private_key_jwt" else None,
        "redirect_uris": list(registration.redirect_uris),
        "post_logout_redirect_uris": list(registration.post_logout_redirect_uris),
        "backchannel_logout_uri": registration.backchannel_logout_uri,
        "grant_types": list(registration.grant_types),
        "scopes": list(registration.scopes),
        "id_token_alg": registration.id_token_alg,
        "first_party": registration.first_party,
    }


def _new_id(name: str) -> str:
    """A client_id a person can recognize, with 40 random bits: `wiki-mfrggzdf`."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-") or "app"
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return f"{slug}-{''.join(secrets.choice(alphabet) for _ in range(8))}"
