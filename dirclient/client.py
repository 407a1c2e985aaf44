"""The one object that services hold: every capability of one directory, over LDAP."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from dirclient.config.ports import ChangeSignal, Identity, Progress
from dirclient.config.profile import Profile
from dirclient.connection.pool import Pool
from dirclient.model.assess import ConflictCounter, assess
from dirclient.model.deadline import time_limit
from dirclient.model.directory_objects import (
    Cursor,
    Guid,
    Knowledge,
    LockoutPolicy,
    Login,
    Person,
    ServerState,
    Snapshot,
    Step,
    Whereabouts,
)
from dirclient.operations.bind import LdapAuthenticator
from dirclient.operations.find import LdapFinder
from dirclient.operations.locate import LdapLocator
from dirclient.operations.lockout_policy import LdapPolicies
from dirclient.operations.rootdse import Roots
from dirclient.operations.search_base import DirectoryResolver
from dirclient.probe.connection_test import DirectoryProber
from dirclient.snapshot.change_follower import follow
from dirclient.snapshot.reader import DirectoryReader
from dirclient.snapshot.watcher import DirectoryWatcher


class DirectoryClient:
    """Implements every Protocol of `dirclient.config.ports` for one profile.

    Connections are made on first use, shared by all threads and kept; `close()` ends them. A
    changed profile takes a new client.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        pool: Pool | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.profile = profile
        self.pool = pool or Pool(profile)
        self._now = now
        roots = Roots()
        self._resolver = DirectoryResolver(profile, self.pool, roots)
        self._authenticator = LdapAuthenticator(profile, self.pool)
        self._finder = LdapFinder(profile, self.pool, roots, self._resolver, now=now)
        self._policies = LdapPolicies(profile, self.pool, roots)
        self._reader = DirectoryReader(profile, self.pool, roots, self._resolver, follow, clock=now)
        self._locator = LdapLocator(profile, self.pool, roots)
        self._watcher = DirectoryWatcher(profile, self.pool, roots, self._resolver, clock=now)

    @property
    def operations(self) -> int:
        """LDAP requests so far."""
        return self.pool.operations

    @property
    def servers(self) -> tuple[ServerState, ...]:
        """See `dirclient.config.ports.Servers`."""
        return self.pool.states

    @property
    def refused_for(self) -> float | None:
        """See `dirclient.config.ports.Servers`."""
        return self.pool.refused_for

    def watch_servers(self, callback: Callable[[ServerState], None]) -> None:
        """See `dirclient.config.ports.Servers`."""
        self.pool.watch_servers(callback)

    def examine(self) -> tuple[ServerState, ...]:
        """Ask each server now for all that it is there for; what came of it."""
        self.pool.examine()
        return self.pool.states

    def time_limit(self, seconds: float | None = None) -> AbstractContextManager[None]:
        """Everything within ends in this time; without one, in the profile's sign-in timeout."""
        return time_limit(self.profile.sign_in_timeout if seconds is None else seconds)

    def close(self) -> None:
        """Close every connection. What is lent closes when it comes back."""
        self.pool.close()

    # -- signing in

    def authenticate(self, identity: Identity, password: str) -> None:
        """See `Authenticator`."""
        self._authenticator.authenticate(identity, password)

    def change_password(self, identity: Identity, old: str, new: str) -> None:
        """See `Authenticator`."""
        self._authenticator.change_password(identity, old, new)

    def find(self, login: Login) -> Person:
        """See `Finder`. Takes no longer than a sign-in may."""
        with self.time_limit():
            return self._finder.find(login)

    def find_guid(self, guid: Guid) -> Person:
        """See `Finder`. Takes no longer than a sign-in may."""
        with self.time_limit():
            return self._finder.find_guid(guid)

    def is_domain(self, name: str) -> bool:
        """See `Finder`. Takes no longer than a sign-in may."""
        with self.time_limit():
            return self._finder.is_domain(name)

    def lockout_policy(self, guid: Guid | None = None) -> LockoutPolicy:
        """See `Policies`. Takes no longer than a sign-in may."""
        with self.time_limit():
            return self._policies.lockout_policy(guid)

    def wrong_passwords(self, guid: Guid, window: timedelta) -> int:
        """See `Policies`. Takes no longer than a sign-in may."""
        with self.time_limit():
            return self._policies.wrong_passwords(guid, window)

    # -- reading

    def read(self, progress: Progress | None = None, after: Collection[str] = ()) -> Snapshot:
        """See `Reader`."""
        return self._reader.read(progress, after)

    def ring(self, cursor: Cursor) -> ChangeSignal:
        """See `Watcher`."""
        return self._watcher.ring(cursor)

    def catch_up(self, snapshot: Snapshot) -> Snapshot | None:
        """See `Watcher`."""
        return self._watcher.catch_up(snapshot)

    def knowledge(self) -> Knowledge:
        """See `Watcher`."""
        return self._watcher.knowledge()

    def sweep(self, snapshot: Snapshot) -> Snapshot:
        """See `Watcher`."""
        return self._watcher.sweep(snapshot)

    def locate(self, guids: Collection[Guid]) -> Mapping[Guid, Whereabouts]:
        """See `Locator`."""
        return self._locator.locate(guids)

    # -- configuring

    def probe(self, judge: ConflictCounter = assess) -> Iterator[Step]:
        """See `Prober`. On connections of its own, to meet what a first one would meet."""
        return DirectoryProber(self.profile, self._now).probe(judge)

    def resolve(self, text: str) -> str:
        """See `Resolver`."""
        return self._resolver.resolve(text)

    def suggest(self, text: str, limit: int = 8) -> tuple[str, ...]:
        """See `Resolver`."""
        return self._resolver.suggest(text, limit)
