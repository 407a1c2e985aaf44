"""The health of a profile's servers: who is set aside, who is asked first, who came back.

A server that fails is set aside (its circuit is open), everyone moves on to the next one, and a
background thread knocks until what failed works again; then the order of the profile holds again.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dirclient.model.directory_objects import ServerState
from dirclient.model.errors import DirectoryError, Misconfigured, Unavailable

log = logging.getLogger(__name__)

KNOCK_EVERY = 2.0
"""Seconds from a failure to the first knock; each knock in vain doubles them."""
LONGEST_KNOCK = 8.0
"""Most seconds between two knocks: a server that is well again serves within ten."""
LONGEST_PAUSE = 60.0
"""Most seconds before the first knock at a server that passed knocks and failed again."""
RELAPSE = 300.0
"""Seconds after a server came back within which another failure counts as the same one."""
RETRY_WHEN_FAILED = 0.5
"""Seconds for which a failure that took time is believed even when no other server is left."""


class Operation(enum.StrEnum):
    """The kind of a request to a server."""

    CONNECT = "connect"
    BIND = "bind"
    SEARCH = "search"


@dataclass(slots=True)
class Server:
    """One server. `why` says what happened when it was set aside, and `operation` at what.

    `epoch` grows with each failure: connections made in an older one are not lent again. Times
    are the clock's; `since` alone is of the calendar.
    """

    address: str
    failed: bool = False
    why: DirectoryError | None = None
    operation: Operation = Operation.CONNECT
    since: datetime | None = None
    epoch: int = 0
    believed_until: float = 0.0
    knock_at: float = 0.0
    knocks: int = 0
    failures: int = 0  # one soon after the other
    back_at: float = float("-inf")


Examine = Callable[[str, Operation], None]
"""Asks a server, by address, for what it failed at; raises `DirectoryError` while it still does."""


class Health:
    """Shared by everyone who connects for a profile; servers go by their rank in it."""

    def __init__(
        self, addresses: Iterable[str], examine: Examine, clock: Callable[[], float]
    ) -> None:
        self.servers = tuple(Server(address) for address in addresses)
        self._examine = examine
        self._clock = clock
        self._watchers: list[Callable[[ServerState], None]] = []
        self._lock = threading.Lock()
        self._knocker: threading.Thread | None = None
        self._stop = threading.Event()

    def order(self) -> list[int]:
        """Return whom to try: the healthy as the profile has them, then the others.

        Of these not whom it would take long to try again so soon.
        """
        now = self._clock()
        healthy = [rank for rank, server in enumerate(self.servers) if not server.failed]
        return healthy + [
            rank
            for rank, server in enumerate(self.servers)
            if server.failed and now >= server.believed_until
        ]

    def is_best(self, rank: int, slow: Collection[int] = ()) -> bool:
        """Return whether no better server is in health, but for those that are slow."""
        better = enumerate(self.servers[:rank])
        return not rank or all(server.failed or other in slow for other, server in better)

    def watch(self, callback: Callable[[ServerState], None]) -> None:
        """Tell each time, from now on, that a server is set aside or comes back."""
        self._watchers.append(callback)

    def states(self) -> tuple[ServerState, ...]:
        """Each server as it is now, in the profile's order."""
        with self._lock:
            return tuple(map(self._state, self.servers))

    def set_aside(
        self, rank: int, why: DirectoryError, operation: Operation, *, slow: bool = False
    ) -> None:
        """Let nobody go there until it works again. `slow`: it took long to find out."""
        server = self.servers[rank]
        with self._lock:
            now = self._clock()
            server.epoch += 1
            server.why, server.operation = why, operation
            server.believed_until = now + (RETRY_WHEN_FAILED if slow else 0.0)
            if server.failed:
                return
            relapsed = now - server.back_at < RELAPSE
            server.failed, server.since, server.knocks = True, datetime.now(UTC), 0
            server.failures = server.failures + 1 if relapsed else 1
            server.knock_at = now + _doubled(server.failures - 1, LONGEST_PAUSE)
            if self._knocker is None and not self._stop.is_set():
                self._knocker = threading.Thread(
                    target=self._knock, name="directory-health", daemon=True
                )
                self._knocker.start()
            state = self._state(server)
        log.warning("directory server %s set aside (%s): %s", server.address, operation, why)
        self._tell(state)

    def recovered(self, rank: int) -> None:
        """It has done what it failed at."""
        server = self.servers[rank]
        with self._lock:
            if not server.failed:
                return
            server.failed, server.why, server.since = False, None, None
            server.back_at = self._clock()
            state = self._state(server)
        log.warning("directory server %s is back", server.address)
        self._tell(state)

    def renew(self, rank: int) -> None:
        """Lend its connections of before no more."""
        with self._lock:
            self.servers[rank].epoch += 1

    def tried(self) -> tuple[str, ...]:
        """A line for each server that is set aside."""
        return tuple(f"{server.address}: {server.why}" for server in self.servers if server.why)

    def verdict(self) -> DirectoryError:
        """Return what to raise when no server could be used: rather a fault to mend than an
        outage."""
        for server in self.servers:
            if isinstance(server.why, Misconfigured):
                fault = server.why
                return Misconfigured(str(fault), field=fault.field, remedy=fault.remedy)
        if not self.servers:
            return Misconfigured(
                "No directory server is configured.", field="servers", remedy="Enter AD Server."
            )
        reasons = [str(server.why) for server in self.servers if server.why]
        words = " ".join(("No directory server can be reached.", *reasons))
        return Unavailable(words, tried=self.tried())

    def stop(self) -> None:
        """Knock no more."""
        self._stop.set()

    def forget(self) -> None:
        """In a child process: the parent's thread is not here, and what failed may be well."""
        self._lock = threading.Lock()
        self._knocker = None
        for server in self.servers:
            server.failed, server.why, server.since = False, None, None

    def _state(self, server: Server) -> ServerState:
        if not server.failed:
            return ServerState(server.address, True)
        until = datetime.now(UTC) + timedelta(seconds=max(0.0, server.knock_at - self._clock()))
        reason = str(server.why or "")
        return ServerState(
            server.address, False, server.operation.value, reason, server.since, until
        )

    def _tell(self, state: ServerState) -> None:
        for callback in self._watchers:
            callback(state)

    def _knock(self) -> None:
        """Ask the servers that are set aside, again and again, until none is left."""
        while not self._stop.wait(self._pause()):
            for rank, server in enumerate(self.servers):
                if server.failed and self._clock() >= server.knock_at:
                    if self._works(server):
                        self.recovered(rank)
                    else:
                        server.knocks += 1
                        server.knock_at = self._clock() + _doubled(server.knocks, LONGEST_KNOCK)
            with self._lock:
                if not any(server.failed for server in self.servers):
                    self._knocker = None
                    return

    def _pause(self) -> float:
        """Until the next knock, or until somebody may have failed meanwhile."""
        due = min((s.knock_at for s in self.servers if s.failed), default=0.0) - self._clock()
        return min(max(due, KNOCK_EVERY / 10), KNOCK_EVERY)

    def _works(self, server: Server) -> bool:
        try:
            self._examine(server.address, server.operation)
        except DirectoryError as why:
            server.why = why
            return False
        except Exception:
            log.exception("asking %s how it is failed", server.address)
            return False
        return True


def _doubled(times: int, most: float) -> float:
    """The first pause, so often doubled."""
    return min(KNOCK_EVERY * 2.0 ** min(times, 16), most)
