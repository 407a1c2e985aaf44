"""The parts that the provider's views share: apps, keys, clock, and the app that asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import cast

from flask import Flask, current_app

from authsvc.oidc.keyring import Keyring
from authsvc.services import Services
from kerauno.database.engine import Database
from kerauno.oauth import clients
from kerauno.oauth.clients import ClientInfo

CLIENTS_KEPT_SECONDS = 2.0
"""How long an app's registration may be remembered: changing or removing it counts by then."""

_MOST_KEPT = 1000
_EXTENSION = "kerauno.oidc"


class Provider:
    """The OpenID provider of one app. `issuer` is the configured public address, never the Host."""

    def __init__(self, services: Services) -> None:
        self.issuer = services.settings.public_url
        self.database: Database = services.database
        self.now: Callable[[], datetime] = services.now
        self.sealer = services.sealer
        self.keyring = Keyring(services.database, services.sealer, services.now)
        self._clients: dict[str, tuple[float, ClientInfo]] = {}
        self._lock = threading.Lock()

    def url(self, path: str) -> str:
        """The public address of a path of ours."""
        return self.issuer + path

    def client(self, client_id: str) -> ClientInfo | None:
        """The app of this client_id, as it was at most two seconds ago; None when there is none."""
        kept = self._clients.get(client_id)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        with self.database.read() as s:
            client = clients.find(s, client_id)
        with self._lock:
            if client is None:  # not remembered: a stranger could fill the memory with names
                self._clients.pop(client_id, None)
            else:
                if len(self._clients) >= _MOST_KEPT:
                    self._clients.clear()
                self._clients[client_id] = (time.monotonic() + CLIENTS_KEPT_SECONDS, client)
        return client


def install(app: Flask, provider: Provider) -> None:
    """Make it reachable through `current_provider()`."""
    app.extensions[_EXTENSION] = provider


def current_provider() -> Provider:
    """The provider of the app that serves this request."""
    return cast("Provider", current_app.extensions[_EXTENSION])
