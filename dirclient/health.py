"""The health of a profile's servers: who is set aside, who is asked first, who came back.

A server that fails is set aside (its circuit is open), everyone moves on to the next one, and a
background thread knocks until it answers; then the order of the profile holds again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dirclient.errors import DirectoryError, Misconfigured, Unavailable

log = logging.getLogger(__name__)

KNOCK_EVERY = 2.0
"""Seconds between the background thread's attempts at servers that are set aside."""
RETRY_WHEN_FAILED = 0.5
"""Seconds for which a server's failure is believed even when no other one is left."""


@dataclass(slots=True)
class Server:
    """One server. `why` says what happened when it was set aside.

    `epoch` grows with each failure: connections made in an older one are not lent again.
    """

    address: str
    failed: bool = False
    failed_at: float = 0.0
    why: DirectoryError | None = None
    epoch: int = 0


class Health:
    """Shared by everyone who connects for a profile; servers go by their rank in it.

    `ask` asks a server whether it is well, by address; it raises `DirectoryError` when not.
    """

    def __init__(
        self, addresses: Iterable[str], ask: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self.servers = tuple(Server(address) for address in addresses)
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._knocker: threading.Thread | None = None
        self._stop = threading.Event()

    def order(self) -> list[int]:
        """Whom to try: the healthy as the profile has them, then those that failed a while ago."""
        now = self._clock()
        healthy = [rank for rank, server in enumerate(self.servers) if not server.failed]
        return healthy + [
            rank
            for rank, server in enumerate(self.servers)
            if server.failed and now - server.failed_at >= RETRY_WHEN_FAILED
        ]

    def is_best(self, rank: int) -> bool:
        """Whether no better server is in health."""
        return not rank or all(server.failed for server in self.servers[:rank])

    def set_aside(self, rank: int, why: DirectoryError) -> None:
        """Let nobody go there until it answers again."""
        server = self.servers[rank]
        with self._lock:
            if not server.failed:
                log.warning("directory server %s set aside: %s", server.address, why)
            server.failed, server.failed_at, server.why = True, self._clock(), why
            server.epoch += 1
            if self._knocker is None and not self._stop.is_set():
                self._knocker = threading.Thread(
                    target=self._knock, name="directory-health", daemon=True
                )
                self._knocker.start()

    def recovered(self, rank: int) -> None:
        """It has answered."""
        server = self.servers[rank]
        with self._lock:
            if server.failed:
                log.warning("directory server %s is back", server.address)
            server.failed, server.why = False, None

    def tried(self) -> tuple[str, ...]:
        """A line for each server that is set aside."""
        return tuple(f"{server.address}: {server.why}" for server in self.servers if server.why)

    def verdict(self) -> DirectoryError:
        """What to raise when no server could be used: rather a fault to mend than an outage."""
        for server in self.servers:
            if isinstance(server.why, Misconfigured):
                fault = server.why
                return Misconfigured(str(fault), field=fault.field, remedy=fault.remedy)
        if not self.servers:
            return Misconfigured(
                "No directory server is configured.", field="servers", remedy="Enter AD Server."
            )
        found = [str(server.why) for server in self.servers if server.why]
        words = " ".join(("No directory server can be reached.", *found))
        return Unavailable(words, tried=self.tried())

    def stop(self) -> None:
        """Knock no more."""
        self._stop.set()

    def forget(self) -> None:
        """In a child process: the parent's thread is not here, and what failed may be well."""
        self._lock = threading.Lock()
        self._knocker = None
        for server in self.servers:
            server.failed, server.why = False, None

    def _knock(self) -> None:
        """Ask the servers that are set aside, again and again, until none is left."""
        while not self._stop.wait(KNOCK_EVERY):
            for rank, server in enumerate(self.servers):
                if server.failed and self._answers(server):
                    self.recovered(rank)
            with self._lock:
                if not any(server.failed for server in self.servers):
                    self._knocker = None
                    return

    def _answers(self, server: Server) -> bool:
        try:
            self._ask(server.address)
        except DirectoryError as why:
            server.why = why
            return False
        except Exception:
            log.exception("asking %s how it is failed", server.address)
            return False
        return True
