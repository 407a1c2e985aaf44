"""Signs tokens with the keys of `kerauno.secrets.signing_keys`, and checks those it once signed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from authsvc.oidc.compact_jwt import read_unverified
from kerauno.database.engine import Database
from kerauno.secrets import signing_keys
from kerauno.secrets.encryption import Sealer

KEPT_SECONDS = 30.0
"""How long opened keys are kept: far less than the day by which keys are published ahead."""

ALGORITHMS = list(signing_keys.ALGORITHMS)


class NotOurs(Exception):
    """A token was not signed by this provider, or not in a way it signs."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    until: float
    signing: dict[str, tuple[str, Key]]
    public: list[dict[str, Any]]
    verifying: KeySet


class Keyring:
    """The keys of this moment. Made without opening anything; safe to share by threads."""

    def __init__(self, database: Database, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._database = database
        self._sealer = sealer
        self._now = now
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def sign(self, algorithm: str, claims: dict[str, Any], kind: str = "JWT") -> str:
        """A signed token (RFC 7519) with `kind` as its `typ`. Raises KeyProblem."""
        kid, key = self._keys().signing[algorithm]
        return jwt.encode({"alg": algorithm, "kid": kid, "typ": kind}, claims, key, [algorithm])

    def published(self) -> list[dict[str, Any]]:
        """The public keys as JWKs, newest first."""
        return self._keys().public

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token signed here, however old. Raises NotOurs."""
        try:
            read_unverified(token)
            return dict(jwt.decode(token, self._keys().verifying, algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError, TypeError) as error:
            raise NotOurs(str(error)) from None

    def forget(self) -> None:
        """Read the keys again at next use: they were rotated in this process."""
        self._loaded = None

    def _keys(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None or loaded.until < time.monotonic():
            with self._lock:
                loaded = self._loaded
                if loaded is None or loaded.until < time.monotonic():
                    loaded = self._loaded = self._load()
        return loaded

    def _load(self) -> _Loaded:
        now = self._now()
        with self._database.read() as s:
            due = signing_keys.due(s, now)
        if due:
            with self._database.write() as s:
                signing_keys.maintain(s, self._sealer, now)
        with self._database.read() as s:
            pairs = signing_keys.current(s, self._sealer, now)
            public = signing_keys.published(s, now)
        return _Loaded(
            time.monotonic() + KEPT_SECONDS,
            {name: (pair.id, _private(pair)) for name, pair in pairs.items()},
            public,
            KeySet.import_key_set({"keys": public}),
        )


def _private(pair: signing_keys.KeyPair) -> Key:
    kind = RSAKey if pair.algorithm == "RS256" else ECKey
    return kind.import_key(pair.private)
