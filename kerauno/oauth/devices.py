"""Devices without a keyboard: a code on their display, confirmed in a browser (RFC 8628).

The code is short, so that it can be typed, and therefore weak: it lives ten minutes, attempts at
it are throttled where it is typed in, and only a signed-in person can try at all.
"""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from kerauno.base.clock import elapsed
from kerauno.base.ip_addresses import network
from kerauno.database.prepared import PreparedConnection, Statement
from kerauno.database.table_bounds import Bound, Room
from kerauno.oauth import tokens
from kerauno.oauth.clients import digest, new_secret
from kerauno.oauth.tokens import Issued, SignIn, TokenRefusal
from kerauno.tables.oauth import Client, DeviceGrant

LIFETIME_SECONDS = 600
INTERVAL_SECONDS = 5
_ROOM = Room(DeviceGrant, Bound(of_owner=50, in_all=1000), status="pending")
"""Codes that wait for a person: of an app's devices at one address, and in all."""

_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; none that are misread (RFC 8628 6.1)
CODE_LENGTH = 8


class Waiting(enum.StrEnum):
    """Why a poll gives no tokens, in the words of RFC 8628 3.5."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    UNKNOWN = "invalid_grant"


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to the device: its own secret, and the code it shows to the person."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True)
class Asking:
    """The question to the person: which app, on a device at which address, wants what."""

    client_id: str
    client_name: str
    scope: str
    address: str


def start(
    h: PreparedConnection, now: datetime, *, client_id: str, scope: str, address: str
) -> Started:
    """Begin: a code for the device to poll with, and one to show. Raises Throttled."""
    owner = f"{client_id} {network(address)}"
    _ROOM.take(h, now, owner)
    device_code = new_secret()
    user_code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_LENGTH))
    h.run(
        _START,
        id=digest(device_code),
        user_code=digest(user_code),
        client_id=client_id,
        scope=scope,
        status="pending",
        interval=INTERVAL_SECONDS,
        polled_at=None,
        user_id=None,
        auth_time=None,
        method="",
        address=address[:64],
        owner=owner,
        created_at=now,
        expires_at=now + timedelta(seconds=LIFETIME_SECONDS),
    )
    return Started(device_code, f"{user_code[:4]}-{user_code[4:]}")


def normal_code(text: str) -> str:
    """Return what was typed as the code would be stored: case, blanks and dashes do not matter."""
    return "".join(char for char in text.upper() if char in _ALPHABET)


def find(s: Session, now: datetime, user_code: str) -> Asking | None:
    """Return what waits behind a code, or None: wrong, run out, or answered already."""
    row = s.execute(
        select(DeviceGrant.client_id, Client.name, DeviceGrant.scope, DeviceGrant.address)
        .join(Client, Client.id == DeviceGrant.client_id)
        .where(
            DeviceGrant.user_code == digest(normal_code(user_code)),
            DeviceGrant.status == "pending",
            DeviceGrant.expires_at > now,
        )
    ).one_or_none()
    return None if row is None else Asking(row[0], row[1], row[2], row[3])


def answer(
    s: Session, now: datetime, user_code: str, *, user_id: int, sign_in: SignIn, approve: bool
) -> bool:
    """The person's word. Return False when nothing was waiting any more: then nothing happened."""
    result = s.execute(
        update(DeviceGrant)
        .where(
            DeviceGrant.user_code == digest(normal_code(user_code)),
            DeviceGrant.status == "pending",
            DeviceGrant.expires_at > now,
        )
        .values(
            status="approved" if approve else "denied",
            user_id=user_id,
            auth_time=sign_in.at,
            method=sign_in.method,
        ),
        execution_options={"synchronize_session": False},
    )
    return int(getattr(result, "rowcount", 0)) == 1


def poll(
    h: PreparedConnection, now: datetime, device_code: str, *, client_id: str
) -> Issued | Waiting:
    """The device asks. Tokens come exactly once; who asks too often must wait five seconds more."""
    grant = digest(device_code)
    row = h.one(_GRANT, grant=grant)
    if row is None or row[0] != client_id:
        return Waiting.UNKNOWN
    _, scope, status, interval, polled_at, user_id, auth_time, method, expires_at = row
    if status == "used":
        return Waiting.UNKNOWN
    if expires_at <= now:
        return Waiting.EXPIRED
    if status == "denied":
        return Waiting.DENIED
    if status == "pending":
        hasty = polled_at is not None and elapsed(polled_at, now) < timedelta(seconds=interval)
        h.run(_POLLED, grant=grant, now=now, pause=interval + 5 if hasty else interval)
        return Waiting.SLOW_DOWN if hasty else Waiting.PENDING
    if not h.run(_USED, grant=grant):
        return Waiting.UNKNOWN
    sign_in = SignIn(auth_time, method, None)
    issued = tokens.start_family(
        h, now, client_id=client_id, user_id=user_id, scope=scope, sign_in=sign_in
    )
    return Waiting.DENIED if isinstance(issued, TokenRefusal) else issued


_START = Statement(insert(DeviceGrant))
_GRANT = Statement(
    select(
        DeviceGrant.client_id,
        DeviceGrant.scope,
        DeviceGrant.status,
        DeviceGrant.interval,
        DeviceGrant.polled_at,
        DeviceGrant.user_id,
        DeviceGrant.auth_time,
        DeviceGrant.method,
        DeviceGrant.expires_at,
    ).where(DeviceGrant.id == bindparam("grant"))
)
_POLLED = Statement(
    update(DeviceGrant)
    .where(DeviceGrant.id == bindparam("grant"))
    .values(polled_at=bindparam("now"), interval=bindparam("pause"))
)
_USED = Statement(
    update(DeviceGrant)
    .where(DeviceGrant.id == bindparam("grant"), DeviceGrant.status == "approved")
    .values(status="used")
)
