"""For whoever watches the service: is it ready, and what does it count."""

from __future__ import annotations

import hmac
import math
import threading
from contextlib import suppress
from datetime import datetime

from cachetools import TTLCache
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from authsvc import metrics
from authsvc.services import Services, current_services
from authsvc.web import authorization_header
from authsvc.web.errors import problem
from dirclient.model.errors import DirectoryError, Misconfigured
from kerauno import migrations, write_probe
from kerauno.base.config import Settings, read_token
from kerauno.base.errors import (
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    KeyProblem,
    SchemaOutdated,
)
from kerauno.sync import directory_settings
from kerauno.tables.core import DirectoryState

_BELIEVED = 5.0  # seconds for which the directory is not asked again


_DATABASE_WORDS: dict[type[DatabaseUnavailable], str] = {
    SchemaOutdated: "outdated",
    DatabaseFull: "full",
    DatabaseReadOnly: "read-only",
}
"""What readiness says of a database that cannot be used."""


def setup_health(app: Flask, settings: Settings) -> None:
    """Register `/readyz` and `/metrics`. `authsvc.ops.liveness` answers `/healthz`."""
    seen = _Seen()
    token = read_token(settings.metrics_token_file) if settings.metrics_token_file else ""
    app.add_url_rule("/readyz", "readyz", lambda: _ready(seen, token))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(token))


class _Seen:
    """The last answers: watchers ask often, and each look at the directory costs a search."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: TTLCache[None, str] = TTLCache(1, _BELIEVED)
        self._written: TTLCache[None, bool] = TTLCache(1, _BELIEVED)
        self._tables_known = False

    def database(self, services: Services) -> None:
        """Read, and write every few seconds. Raises DatabaseUnavailable and what is below it.

        `authsvc serve` starts without a database that is away: whether its tables are this
        version's is found out here, once.
        """
        if not self._tables_known:
            migrations.check(services.database)
            self._tables_known = True
        with services.database.read() as s:
            directory_settings.load(s)
        if None not in self._written:
            write_probe.probe(services.database, services.now())
            self._written[None] = True

    def directory(self, services: Services) -> str:
        """ok, unreachable, misconfigured, departments-unread or none."""
        with self._lock:
            state = self._state.get(None)
            if state is None:
                state = self._state[None] = _look(services)
            return state


def _look(services: Services) -> str:
    try:
        directory = services.directories.current()
        if directory is None:
            return "none"
        directory.client.lockout_policy()
        with services.database.read() as s:
            unread = directory_settings.state(s, directory.id).unread
    except (Misconfigured, KeyProblem):
        return "misconfigured"
    except DirectoryError:
        return "unreachable"
    return "departments-unread" if unread else "ok"


def _ready(seen: _Seen, token: str) -> ResponseReturnValue:
    """503 only when this process can serve nothing: without a directory local users still sign in,
    and everybody else is told what is wrong, which a proxy that takes the service away cannot.

    Everyone is told the status alone; whoever sends the token of the metrics, why it is so, and
    whether the directory is followed and its servers are in use.
    """
    services = current_services()
    try:
        seen.database(services)
        database = "ok"
        directory = seen.directory(services)
    except DatabaseUnavailable as error:
        database, directory = _DATABASE_WORDS.get(type(error), "unavailable"), "unknown"
    good = database == "ok"
    status = "ready" if good and directory in ("ok", "none") else "degraded"
    body: dict[str, object] = {"status": status if good else "unavailable"}
    if token and _has_token(token):
        body |= {"database": database, "directory": directory}
        if good:
            body["directories"] = _directories(services, directory)
    return jsonify(body), 200 if good else 503


def _directories(services: Services, seen: str) -> list[dict[str, object]]:
    """Return for each directory whether it answers and whether its changes are followed."""
    now = services.now()
    with services.database.read() as s:
        directory = directory_settings.load(s)
        if directory is None:
            return []
        state = directory_settings.state(s, directory.id)
    return [
        {
            "name": directory.name,
            "reachable": seen in ("ok", "departments-unread"),
            "following": state.looked_at is not None and not directory_settings.is_deaf(state, now),
            "last_look_seconds": _last_look(state, now),
            "servers": _servers(services),
        }
    ]


def _servers(services: Services) -> list[dict[str, object]]:
    """Return each server as this process has found it, and why one is set aside."""
    try:
        directory = services.directories.current()
    except (DirectoryError, KeyProblem):
        return []
    states = directory.client.servers if directory else ()
    return [
        {
            "server": state.address,
            "up": state.up,
            "operation": state.operation or None,
            "reason": state.reason or None,
            "since": state.since.isoformat() if state.since else None,
            "until": state.until.isoformat() if state.until else None,
        }
        for state in states
    ]


def _last_look(state: DirectoryState, now: datetime) -> float | None:
    """Return the seconds since the last look at the directory that succeeded."""
    if state.looked_at is None:
        return None
    return max(0.0, round((now - state.looked_at).total_seconds(), 3))


def _has_token(token: str) -> bool:
    given = authorization_header.bearer(request.headers.get("Authorization", ""))
    return hmac.compare_digest(given.encode(), token.encode())


def _note_last_look() -> None:
    """Bring the figure of the last look up to date; without a database it stays as it was."""
    services = current_services()
    with suppress(DatabaseUnavailable), services.database.read() as s:
        directory = directory_settings.load(s)
        if directory is None:
            return
        seconds = _last_look(directory_settings.state(s, directory.id), services.now())
        metrics.last_look.set(math.inf if seconds is None else seconds)


def _metrics(token: str) -> ResponseReturnValue:
    """The figures; where a token is set, only for whoever sends it (RFC 6750 2.1)."""
    if token and not _has_token(token):
        refused = problem(401, "Send the token of metrics_token_file.")
        refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    _note_last_look()
    return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
