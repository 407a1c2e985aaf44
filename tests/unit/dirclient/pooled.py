"""A pool of connections to scripted servers."""

from __future__ import annotations

import time
from collections.abc import Callable

from dirclient.config.ports import Identity
from dirclient.config.profile import Profile
from dirclient.connection.pool import Pool
from dirclient.model.directory_objects import Guid
from dirclient.operations.bind import LdapAuthenticator
from tests.unit.dirclient.ldap_peer import Peer, Request

GUID = Guid.parse("11223344-5566-7788-99aa-bbccddeeff00")
JOHN = Identity(GUID, "CN=John Doe,DC=x")
NAME = f"<GUID={GUID}>"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset


class Directory:
    """Peers on one port of several addresses, and a pool that knows them in this order."""

    def __init__(self, count: int = 1, **values: object) -> None:
        first = Peer()
        self.peers = [first, *(Peer(port=first.port) for _ in range(count - 1))]
        self.clock = Clock()
        self.profile = Profile.model_validate(
            {
                "servers": tuple(peer.host for peer in self.peers),
                "port": first.port,
                "encryption": "none",
                "plaintext_accepted": True,
                "username": "CN=svc",
                "password": "service",
                "connect_timeout": 0.5,
                "operation_timeout": 0.5,
                "sign_in_timeout": 1.0,
                "pool_size": 3,
                **values,
            }
        )
        self.pool = Pool(self.profile, clock=self.clock)
        self.authenticator = LdapAuthenticator(self.profile, self.pool)

    def script(self, script: Callable[[Request], object]) -> None:
        """Let every peer answer so."""
        for peer in self.peers:
            peer.script = script

    def binds(self) -> list[list[str]]:
        """The names of the binds that each peer saw."""
        return [[request.bind_name for request in peer.binds()] for peer in self.peers]

    def close(self) -> None:
        """Close the pool and stop the peers."""
        self.pool.close()
        for peer in self.peers:
            peer.stop()
