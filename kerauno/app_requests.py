"""What apps asked for and what is kept until it is answered: authorization requests, assertions.

Also the sweep that forgets whatever has run out.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite speaks this clause too
from sqlalchemy.orm import Session

from kerauno.clients import digest
from kerauno.hot import Hot, Statement
from kerauno.tables import WebSession
from kerauno.tables_oidc import (
    AccessToken,
    AppSession,
    AuthorizationCode,
    AuthorizationRequest,
    DeviceGrant,
    TokenFamily,
    UsedAssertion,
)

PREFIX = "urn:ietf:params:oauth:request_uri:"  # RFC 9126 2.2
PUSHED_SECONDS = 90
WAITING_SECONDS = 900
"""How long a request waits for the person to sign in or to agree."""

_CODES_KEPT = timedelta(hours=1)  # for noticing a replay
_APP_SESSIONS_KEPT = timedelta(days=30)  # apps may keep their own sessions that long


def keep(h: Hot, now: datetime, *, client_id: str, params: dict[str, Any], seconds: int) -> str:
    """Keep a request; gives the handle under which it is found again, a `request_uri`."""
    handle = secrets.token_urlsafe(24)
    h.run(
        _KEEP,
        id=digest(handle),
        client_id=client_id,
        params=params,
        created_at=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    return PREFIX + handle


def recall(h: Hot, now: datetime, request_uri: str) -> tuple[str, dict[str, Any], datetime] | None:
    """The app, the words and the instant of a kept request; None when there is none, or no more.

    Reading it does not use it up: a browser may load the page again.
    """
    if not request_uri.startswith(PREFIX):
        return None
    row = h.one(_RECALL, handle=digest(request_uri.removeprefix(PREFIX)), now=now)
    return None if row is None else (row[0], row[1], row[2])


def forget(h: Hot, request_uri: str) -> bool:
    """Use a kept request up. Gives whether this call did."""
    return h.run(_FORGET, handle=digest(request_uri.removeprefix(PREFIX))) > 0


def first_use(h: Hot, client_id: str, jti: str, expires_at: datetime) -> bool:
    """Note a client assertion; gives False when the app has sent this one before (RFC 7523 3)."""
    return h.run(_USE, id=digest(f"{client_id}\0{jti}"), expires_at=expires_at) > 0


def sweep(s: Session, now: datetime) -> int:
    """Forget what has run out. Gives how many rows went; living things are never touched."""
    old = now - _APP_SESSIONS_KEPT
    living = select(WebSession.id).where(WebSession.handle == AppSession.session_handle).exists()
    doomed = (
        delete(AuthorizationRequest).where(AuthorizationRequest.expires_at <= now),
        delete(AuthorizationCode).where(AuthorizationCode.expires_at <= now - _CODES_KEPT),
        delete(AccessToken).where(AccessToken.expires_at <= now),
        delete(TokenFamily).where(TokenFamily.expires_at <= now),
        delete(DeviceGrant).where(DeviceGrant.expires_at <= now - _CODES_KEPT),
        delete(UsedAssertion).where(UsedAssertion.expires_at <= now),
        delete(AppSession).where(AppSession.first_at <= old, ~living),
    )
    gone = 0
    for statement in doomed:
        result = s.execute(statement, execution_options={"synchronize_session": False})
        gone += max(0, getattr(result, "rowcount", 0))
    return gone


_KEEP = Statement(insert(AuthorizationRequest))
_RECALL = Statement(
    select(
        AuthorizationRequest.client_id, AuthorizationRequest.params, AuthorizationRequest.created_at
    ).where(
        AuthorizationRequest.id == bindparam("handle"),
        AuthorizationRequest.expires_at > bindparam("now"),
    )
)
_FORGET = Statement(
    delete(AuthorizationRequest).where(AuthorizationRequest.id == bindparam("handle"))
)
_USE = Statement(upsert(UsedAssertion).on_conflict_do_nothing())
