"""The directory that sign-in asks, built from what an administrator saved last.

A client with its connection pool is kept for as long as the settings have the same version; a
changed setting is picked up at the next sign-in, in every worker, without a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from authsvc import metrics
from dirclient.config.ports import Authenticator, Finder, Policies, Prober, Resolver, Servers
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import ServerState
from dirclient.model.errors import Misconfigured
from kerauno.base.errors import KeyProblem
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.sync import directory_settings

_log = structlog.get_logger(__name__)


class Client(Authenticator, Finder, Policies, Prober, Resolver, Servers, Protocol):
    """The questions that the web process asks of a directory."""

    def close(self) -> None:
        """End its connections."""


Connect = Callable[[Profile], Client]

_LOOK_EVERY = 1.0  # seconds between looks at what the sign-in page may ask for
_RETIREMENT = 60.0  # seconds: the longest sign-in timeout there can be


@dataclass(frozen=True, slots=True)
class OpenDirectory:
    """A directory that can be asked, with the settings that sign-in obeys."""

    id: int
    version: int
    client: Client
    auto_sync: bool
    login_without_domain: bool
    profile: Profile
    saved_at: datetime


class Directories:
    """Gives the directory of the moment. Safe to share by threads."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        connect: Connect,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OpenDirectory | None = None
        self._looked = float("-inf")
        self._sent_to_look = float("-inf")

    def current(self) -> OpenDirectory | None:
        """The directory as saved last, or None while none is set up. One cheap statement.

        Raises Misconfigured when the settings cannot be used, KeyProblem when the stored
        password cannot be opened, DatabaseUnavailable.
        """
        with self._database.fast() as hot:
            saved = directory_settings.version(hot)
        return self.at(saved)

    def at(self, saved: tuple[int, int] | None) -> OpenDirectory | None:
        """The directory whose id and version the caller has just read. Costs nothing if kept."""
        current = self._open
        if saved is None:
            return None
        if current is None or (current.id, current.version) != saved:
            current = self._renew(saved)
        return current

    def servers_aside(self) -> dict[str, ServerState]:
        """The servers that this process has set aside, by address."""
        current = self._open
        states = current.client.servers if current else ()
        return {state.address: state for state in states if not state.up}

    def bare_names(self, *, look: bool = True) -> bool:
        """Return whether the sign-in page may ask for a username; asked at most once a second.

        Only words depend on it, so that a moment's delay or a database that is away harms nobody.
        Without `look` nobody is asked, and what was known last serves.
        """
        now = self._clock()
        if look and now - self._looked >= _LOOK_EVERY:
            self._looked = now
            try:
                self.current()
            except Exception as error:
                _log.warning("directory settings cannot be read", error=str(error))
        current = self._open
        return current is None or current.login_without_domain

    def names_are_known(self) -> bool:
        """Return False at most once per second: that caller must refresh the setting by calling
        `bare_names`. All other callers use the cached value and never wait.
        """
        now = self._clock()
        if now - max(self._looked, self._sent_to_look) < _LOOK_EVERY:
            return True
        self._sent_to_look = now
        return False

    def connect(self, profile: Profile) -> Client:
        """A client for settings that are not stored, to test them. The caller closes it."""
        return self._connect(profile)

    def try_again(self, now: datetime) -> bool:
        """Bind again where the service account was refused, and others were let in since.

        The sync service looks at the directory with the same account; a connection test that
        succeeds makes it look at once. Its look proves the password, which nobody here needs to
        try again at the cost of the account's own lockout. Returns whether that was so.
        """
        opened = self._open
        refused_for = None if opened is None else opened.client.refused_for
        if opened is None or refused_for is None:
            return False
        with self._database.read() as s:
            looked_at = directory_settings.state(s, opened.id).looked_at
        if looked_at is None or looked_at <= now - timedelta(seconds=refused_for):
            return False
        with self._lock:
            if self._open is opened:
                self._open = None
        self._retire(opened.client)
        return True

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            current, self._open = self._open, None
        if current is not None:
            current.client.close()

    def _renew(self, saved: tuple[int, int]) -> OpenDirectory | None:
        with self._lock:
            current = self._open
            if current is not None and (current.id, current.version) == saved:
                return current
            with self._database.read() as s:
                row = directory_settings.load(s)
            if row is None:
                return None
            profile = Profile.from_stored(row.profile, self._open_password(row.sealed_password))
            faults = profile.faults()
            if faults:
                first = faults[0]
                raise Misconfigured(first.message, field=first.field, remedy=first.remedy)
            self._open = fresh = OpenDirectory(
                row.id,
                row.version,
                self._connect(profile),
                row.auto_sync,
                row.login_without_domain,
                profile,
                row.updated_at,
            )
            self._tell_of_servers(fresh, current)
        if current is not None:
            self._retire(current.client)
        return fresh

    def _tell_of_servers(self, fresh: OpenDirectory, current: OpenDirectory | None) -> None:
        """Keep the figures of the servers in use, from now on those of these settings."""

        def tell(state: ServerState) -> None:
            if self._open is fresh:
                metrics.note_server(state.address, up=state.up)

        for server in current.profile.servers if current else ():
            metrics.forget_server(server)
        for state in fresh.client.servers:
            tell(state)
        fresh.client.watch_servers(tell)

    @staticmethod
    def _retire(client: Client) -> None:
        """Close it when the sign-ins that still use it have ended, one way or the other."""
        later = threading.Timer(_RETIREMENT, client.close)
        later.daemon = True
        later.start()

    def _open_password(self, sealed: str) -> str:
        """Open the stored password; after a key rotation, with the key file as it is now."""
        try:
            return self._sealer.open(sealed)
        except KeyProblem:
            self._sealer = Sealer(self._sealer.key_file)
            return self._sealer.open(sealed)
