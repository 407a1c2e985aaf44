"""The key pairs that sign ID and logout tokens: made, published, rotated, retired by themselves.

A key is published a day before it signs and for a day after it stopped, so that an app which
caches the key set never meets a token whose key it cannot find.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from kerauno.secrets.encryption import Sealer
from kerauno.tables.oauth import SigningKey

ALGORITHMS = ("RS256", "ES256")
SIGNING_DAYS = 90
AHEAD = timedelta(days=1)
"""How long a key is published before it signs, and after it stopped."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An opened key. `private` is its JWK with the private members."""

    id: str
    algorithm: str
    private: dict[str, Any]


class _Dated(Protocol):
    algorithm: str
    signs_from: datetime


def published(s: Session, now: datetime) -> list[dict[str, Any]]:
    """The public keys that apps must know at this instant, as JWKs (RFC 7517), newest first."""
    rows = s.scalars(
        select(SigningKey)
        .where(or_(SigningKey.expires_at.is_(None), SigningKey.expires_at > now))
        .order_by(SigningKey.signs_from.desc(), SigningKey.id)
    )
    return [row.public for row in rows]


def current(s: Session, sealer: Sealer, now: datetime) -> dict[str, KeyPair]:
    """The key that signs at this instant, for each algorithm.

    Raises KeyProblem when the secret key file cannot open it.
    """
    newest: dict[str, SigningKey] = {}
    for row in s.scalars(select(SigningKey).order_by(SigningKey.signs_from)):
        # The very first key signs even for a process whose clock is behind its maker's.
        if row.signs_from <= now or row.algorithm not in newest:
            newest[row.algorithm] = row
    return {
        algorithm: KeyPair(row.id, algorithm, json.loads(sealer.open(row.sealed_private)))
        for algorithm, row in newest.items()
    }


def due(s: Session, now: datetime) -> bool:
    """Return whether `maintain` would change anything; a cheap look without the write lock."""
    rows = list(s.scalars(select(SigningKey)))
    if any(row.expires_at is not None and row.expires_at <= now for row in rows):
        return True
    return any(_next_start(rows, algorithm, now) is not None for algorithm in ALGORITHMS)


def maintain(s: Session, sealer: Sealer, now: datetime) -> list[str]:
    """Make the keys that are due and drop those that have expired; returns the new keys' ids.

    Call it inside a writing transaction, as often as you like. On PostgreSQL two callers at the
    same instant may both make a key; both are published, so nothing breaks.
    """
    s.execute(delete(SigningKey).where(SigningKey.expires_at <= now))
    rows = list(s.scalars(select(SigningKey)))
    made = []
    for algorithm in ALGORITHMS:
        start = _next_start(rows, algorithm, now)
        if start is not None:
            made.append(_add(s, sealer, algorithm, now, start))
    return made


def rotate(s: Session, sealer: Sealer, now: datetime, *, at_once: bool = False) -> list[str]:
    """Bring the next rotation forward, for every algorithm; returns the new keys' ids.

    The new keys are published now and sign in a day, or with `at_once` (a key was stolen) at
    once, and then the old keys leave the key set at once too.
    """
    start = now if at_once else now + AHEAD
    made = [_add(s, sealer, algorithm, now, start) for algorithm in ALGORITHMS]
    if at_once:
        s.execute(delete(SigningKey).where(SigningKey.id.not_in(made)))
    return made


def reseal(s: Session, sealer: Sealer) -> int:
    """Seal every private key again, for `encryption.rotate`. Return their number."""
    rows = list(s.scalars(select(SigningKey)))
    for row in rows:
        row.sealed_private = sealer.reseal(row.sealed_private)
    return len(rows)


def _next_start(rows: Iterable[_Dated], algorithm: str, now: datetime) -> datetime | None:
    """When a key that must be made now is to begin; None while no key is due."""
    own = [row for row in rows if row.algorithm == algorithm]
    if not own:
        return now
    end = max(row.signs_from for row in own) + timedelta(days=SIGNING_DAYS)
    return max(end, now + AHEAD) if now >= end - AHEAD else None


def _add(s: Session, sealer: Sealer, algorithm: str, now: datetime, start: datetime) -> str:
    """Store a new pair that signs from `start`; the ones before it stop then, and leave later."""
    for row in s.scalars(select(SigningKey).where(SigningKey.algorithm == algorithm)):
        if row.signs_until is None or row.signs_until > start:
            row.signs_until = start
            row.expires_at = start + AHEAD
    key = RSAKey.generate_key(2048) if algorithm == "RS256" else ECKey.generate_key("P-256")
    kid = key.thumbprint()
    names = {"kid": kid, "use": "sig", "alg": algorithm}
    private = {**key.as_dict(private=True), **names}
    s.add(
        SigningKey(
            id=kid,
            algorithm=algorithm,
            public={**key.as_dict(private=False), **names},
            sealed_private=sealer.seal(json.dumps(private)),
            created_at=now,
            signs_from=start,
        )
    )
    s.flush()
    return kid
