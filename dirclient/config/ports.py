"""One Protocol for each capability. The contract suite in tests/contracts runs every
implementation (the LDAP client on Samba AD and slapd, the in-memory fake) through the same tests.

Every method may raise `Unavailable` and `Misconfigured`; what else it raises stands with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from dirclient.model.assess import ConflictCounter, assess
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


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity to bind as: `guid` if the directory accepts that (AD), else `dn`."""

    guid: Guid
    dn: str

    @classmethod
    def nobody(cls) -> Identity:
        """An identity that no account has: asking for it costs a bind and locks nobody out.

        It is a GUID just made up, or a DN that no tree has.
        """
        return cls(Guid(uuid.uuid4()), "cn=nobody")


class Authenticator(Protocol):
    """Proves a password by one bind."""

    def authenticate(self, identity: Identity, password: str) -> None:
        """Return when the directory accepted the password; raise `Refused` when it said no.

        Costs the directory exactly one bind and nothing else. Never a second bind after a server
        judged or may have judged the password; repeated only when provably nothing was sent, or
        where a server answered that it could not judge. An empty, blank-only or
        NUL-bearing password raises `BadCredentials` without asking (RFC 4513 5.1.2).
        """

    def change_password(self, identity: Identity, old: str, new: str) -> None:
        """Change as the person would, proving `old`. Raises `PasswordRejected`, `Refused`.

        Only over an encrypted connection; an empty `old` or `new` is refused before any request.
        """


class Finder(Protocol):
    """Finds one person by the name they sign in with."""

    def find(self, login: Login) -> Person:
        """The one person in scope with this username/email. Raises `NotFound`, `Ambiguous`."""

    def find_guid(self, guid: Guid) -> Person:
        """The person with this identity, wherever moved, if still in scope. Raises `NotFound`."""

    def is_domain(self, name: str) -> bool:
        """Return whether `name` is this domain's, as in COMPANY\\john.doe: its NetBIOS or DNS name.

        Known for minutes after it was asked once. Where domains have no names, none is.
        """


class Policies(Protocol):
    """Reads what the domain says about lockout."""

    def lockout_policy(self, guid: Guid | None = None) -> LockoutPolicy:
        """The strictest policy that may hold for this account; for anybody when guid is None."""

    def wrong_passwords(self, guid: Guid, window: timedelta) -> int:
        """How many wrong passwords of this account count, the last one within the window.

        Each server counts for itself (MS-ADTS 3.1.1.5.2, badPwdCount): the most that any counts.
        Raises `Unavailable` unless all of them answer, `NotFound` where it may not be read.
        """


class Servers(Protocol):
    """Tells which servers are in use."""

    @property
    def servers(self) -> tuple[ServerState, ...]:
        """Each server of the profile, in its order, as this process has found it."""

    @property
    def refused_for(self) -> float | None:
        """How many seconds ago the service account was refused and left alone; None: it was not."""

    def watch_servers(self, callback: Callable[[ServerState], None]) -> None:
        """Call this each time, from now on, that a server is set aside or comes back."""


class Prober(Protocol):
    """Tests a profile step by step."""

    def probe(self, judge: ConflictCounter = assess) -> Iterator[Step]:
        """Yield each step as it finishes; stop after the first that failed. Never raises.

        `judge` says how many of the people are free of conflicts.
        """


Progress = Callable[[str, int, int], None]
"""Called as (phase, done, total); total 0 while unknown."""


class Reader(Protocol):
    """Reads everything, completely, or raises `Incomplete`."""

    def read(self, progress: Progress | None = None, after: Collection[str] = ()) -> Snapshot:
        """A complete snapshot. LDAP operations do not grow with people except for pages.

        `after`: the ids of the servers whose word was acted on. Where another one answers, one
        search more tells how far it had followed them (`Snapshot.vector`).
        """


@dataclass(frozen=True, slots=True)
class ChangeSignal:
    """The answer to one cheap poll: has anything changed since the cursor, and on which server?"""

    changed: bool
    server_id: str
    usn: int


class Watcher(Protocol):
    """Follows changes after a snapshot on one server."""

    def ring(self, cursor: Cursor) -> ChangeSignal:
        """One base-object read of the root DSE."""

    def catch_up(self, snapshot: Snapshot) -> Snapshot | None:
        """The snapshot brought up to now by reading only what changed; itself-equal if nothing did.

        None when that cannot be known from changes alone (another server, a restored database,
        a moved OU that is too large): the caller then does a complete read. Raises `Incomplete`.
        """

    def knowledge(self) -> Knowledge:
        """How far the server has come that answers now. Two base reads."""

    def sweep(self, snapshot: Snapshot) -> Snapshot:
        """Identities alone: the snapshot without those that are gone. Raises `Incomplete`."""


class Locator(Protocol):
    """Tells what became of people who are no longer in a snapshot."""

    def locate(self, guids: Collection[Guid]) -> Mapping[Guid, Whereabouts]:
        """Return who is still in the domain and who is not; who is left out, of them nothing is
        known.

        Costs one request for each hundred of them, and one more the first time.
        """


class Resolver(Protocol):
    """Understands the search DNs that people type, and suggests while they type."""

    def resolve(self, text: str) -> str:
        """The exact DN for loosely typed text. Raises `Misconfigured` naming the nearest match."""

    def suggest(self, text: str, limit: int = 8) -> tuple[str, ...]:
        """DNs of groups, OUs and containers whose name contains the text."""
