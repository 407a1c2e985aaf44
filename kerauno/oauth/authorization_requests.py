"""Requests of apps, kept until they are answered: authorization requests, assertions.

Strangers and apps can have requests kept, so these are bounded. Also the sweep that forgets
whatever has run out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite speaks this clause too
from sqlalchemy.orm import Session

from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.database.table_bounds import Bound, Room
from kerauno.oauth.clients import digest
from kerauno.tables.core import WebSession
from kerauno.tables.oauth import (
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


_APP = "app "


def _by_app(rows: Any) -> ColumnElement[bool]:
    return func.substr(rows.owner, 1, len(_APP)) == _APP


def _by_stranger(rows: Any) -> ColumnElement[bool]:
    return ~_by_app(rows)


_ROOM = Room(AuthorizationRequest, Bound(of_owner=100, in_all=2000), counting=_by_stranger)
"""With `authsvc.oidc.authorization_request.MOST` octets each, 16 MB at the most."""

_OF_SESSION = Room(AuthorizationRequest, Bound(of_owner=20, in_all=2000), counting=_by_stranger)

_OF_APP = Room(AuthorizationRequest, Bound(of_owner=1000, in_all=4000), counting=_by_app)
"""Of apps that have proven who they are: room for a thousand people who sign in to one at once, and
for nobody to keep such an app's people out by a flood from elsewhere."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A request as it was kept, see the table."""

    id: str
    client_id: str
    params: dict[str, Any]
    asked_at: datetime
    session_handle: str | None
    parent: str | None


def push(
    h: PreparedConnection, now: datetime, *, client_id: str, params: dict[str, Any], owner: str
) -> str:
    """Keep what an app pushed; return its `request_uri`. Raises Throttled.

    `owner` is the address of a public app; an app that has proven who it is (empty) has its own
    room.
    """
    room, owner = (_ROOM, owner) if owner else (_OF_APP, f"{_APP}{client_id}")
    room.take(h, now, owner)
    return _keep(h, now, PUSHED_SECONDS, client_id, params, owner)


def wait(
    h: PreparedConnection, now: datetime, *, client_id: str, params: dict[str, Any], owner: str
) -> str:
    """Keep a request while the person signs in; return its `request_uri`. Raises Throttled."""
    _ROOM.take(h, now, owner)
    return _keep(h, now, WAITING_SECONDS, client_id, params, owner)


def show(
    h: PreparedConnection,
    now: datetime,
    *,
    client_id: str,
    params: dict[str, Any],
    asked_at: datetime,
    session_handle: str,
    parent: str | None,
) -> str:
    """Keep a request that a person is asked about; return the handle for their answer.

    The oldest of more than 20 in one session is forgotten.
    """
    owner = f"session {session_handle}"
    _OF_SESSION.take_over(h, now, owner)
    return _keep(
        h, now, WAITING_SECONDS, client_id, params, owner, asked_at, session_handle, parent
    )


def _keep(
    h: PreparedConnection,
    now: datetime,
    seconds: int,
    client_id: str,
    params: dict[str, Any],
    owner: str,
    asked_at: datetime | None = None,
    session_handle: str | None = None,
    parent: str | None = None,
) -> str:
    handle = secrets.token_urlsafe(24)
    h.run(
        _KEEP,
        id=digest(handle),
        client_id=client_id,
        params=params,
        owner=owner,
        session_handle=session_handle,
        parent=parent,
        asked_at=asked_at or now,
        created_at=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    return PREFIX + handle


def recall(h: PreparedConnection, now: datetime, request_uri: str) -> Kept | None:
    """Return a kept request; None when there is none, or no more.

    Reading it does not use it up: a browser may load the page again.
    """
    if not request_uri.startswith(PREFIX):
        return None
    row = h.one(_RECALL, handle=digest(request_uri.removeprefix(PREFIX)), now=now)
    return None if row is None else Kept(*row)


def prolong(h: PreparedConnection, kept: Kept) -> None:
    """Let a pushed request last as long as a person has for signing in, from its beginning."""
    until = kept.asked_at + timedelta(seconds=WAITING_SECONDS)
    h.run(_PROLONG, of=kept.id, until=until)


def use_up(h: PreparedConnection, kept_id: str) -> bool:
    """Forget a request that is answered now; return whether it was still there."""
    return h.run(_FORGET, handle=kept_id) > 0


def first_use(h: PreparedConnection, client_id: str, jti: str, expires_at: datetime) -> bool:
    """Note a client assertion; returns False when the app has sent this one before (RFC 7523 3)."""
    return h.run(_USE, id=digest(f"{client_id}\0{jti}"), expires_at=expires_at) > 0


def sweep(s: Session, now: datetime) -> int:
    """Forget what has run out. Return how many rows went; living things are never touched."""
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
        AuthorizationRequest.id,
        AuthorizationRequest.client_id,
        AuthorizationRequest.params,
        AuthorizationRequest.asked_at,
        AuthorizationRequest.session_handle,
        AuthorizationRequest.parent,
    ).where(
        AuthorizationRequest.id == bindparam("handle"),
        AuthorizationRequest.expires_at > bindparam("now"),
    )
)
_PROLONG = Statement(
    update(AuthorizationRequest)
    .where(AuthorizationRequest.id == bindparam("of"))
    .values(expires_at=bindparam("until"))
)
_FORGET = Statement(
    delete(AuthorizationRequest).where(AuthorizationRequest.id == bindparam("handle"))
)
_USE = Statement(upsert(UsedAssertion).on_conflict_do_nothing())
