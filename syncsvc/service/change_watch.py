"""Follow the directory between complete reads, and know when it has cost enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dirclient.model.directory_objects import Snapshot
from dirclient.model.errors import DirectoryError
from syncsvc.runs.engine import Client
from syncsvc.runs.run_context import Clock
from syncsvc.runs.snapshot_difference import differ

RING_EVERY = 1.0
RING_AT_LEAST_EVERY = 6.0
LOOK_AT_LEAST_EVERY = 20.0
"""Seconds between two looks at the doorbell: usually; at the most after answers that were long in
coming, since what delayed them may be over and changes are to be seen within ten seconds; and at
the most after many requests."""

SWEEP_EVERY = 30.0
SWEEP_AT_LEAST_EVERY = 55.0
"""Seconds between two sweeps for what was deleted: usually, and at the most."""

LISTEN_EVERY = 30.0
"""Seconds after which changes are asked for although no bell rang: an account's end comes with
time alone, and no server counts that as a change."""

SHARE_OF_TIME = 0.05
OPERATIONS_A_SECOND = 5.0
"""What watching may cost a domain controller: a twentieth of one connection's time, as far as the
limits above allow, and so many requests a second on average. After an expensive look the next one
waits longer; after one that failed it does not, for then the loop itself waits."""


@dataclass(slots=True)
class Watch:
    """The knowledge of one directory, and the time of the next look. Times are `clock`'s
    seconds."""

    client: Client
    clock: Callable[[], float]
    now: Clock
    snapshot: Snapshot | None = None
    since: datetime | None = None  # when what the last look found was not there yet
    next_ring: float = 0.0
    next_sweep: float = 0.0
    _listened: float = 0.0
    _rung_at: datetime | None = None
    _swept_at: datetime | None = None

    def adopt(self, snapshot: Snapshot) -> None:
        """Go on from a complete read."""
        self.snapshot = snapshot
        self._rung_at = self._swept_at = snapshot.read_at
        self._listened = self.clock()
        self.next_ring = self.clock() + RING_EVERY
        self.next_sweep = math.inf if snapshot.deletions_visible else self.clock() + SWEEP_EVERY

    def due(self) -> bool:
        """Return whether it is time for a look."""
        return self.clock() >= min(self.next_ring, self.next_sweep)

    def look(self) -> Snapshot | None:
        """Look at the doorbell, or sweep. Return the snapshot as it is now.

        The same object means that nothing of interest changed; None that only a complete read
        can tell. Raises DirectoryError.
        """
        assert self.snapshot is not None
        began, operations, looked_at = self.clock(), self.client.operations, self.now()
        sweeping = began >= self.next_sweep
        try:
            snapshot = self._swept() if sweeping else self._rung()
        except DirectoryError:
            self._pace(self.clock(), self.client.operations, sweeping=sweeping)
            raise
        self._pace(began, operations, sweeping=sweeping)
        if snapshot is None:
            return None
        if snapshot is not self.snapshot and not differ(self.snapshot, snapshot):
            # Only bookkeeping moved on, such as somebody's last logon: nothing to plan.
            self.snapshot = snapshot
        if sweeping:  # only what is gone is found by sweeping, and it went after the last sweep
            self.since, self._swept_at = self._swept_at, looked_at
        else:
            self.since, self._rung_at = self._rung_at, looked_at
        return snapshot

    def _rung(self) -> Snapshot | None:
        assert self.snapshot is not None
        bell = self.client.ring(self.snapshot.cursor)
        quiet = not bell.changed and self.snapshot.unread is None
        if quiet and self.clock() - self._listened < LISTEN_EVERY:
            return self.snapshot
        self._listened = self.clock()
        return self.client.catch_up(self.snapshot)

    def _swept(self) -> Snapshot:
        assert self.snapshot is not None
        return self.client.sweep(self.snapshot)

    def _pace(self, began: float, operations: int, *, sweeping: bool) -> None:
        """The next look is as far away as this one was dear."""
        ended = self.clock()
        operations_used = self.client.operations - operations
        by_time, by_number = (ended - began) / SHARE_OF_TIME, operations_used / OPERATIONS_A_SECOND
        if sweeping:
            pause = min(max(SWEEP_EVERY, by_time, by_number), SWEEP_AT_LEAST_EVERY)
            self.next_sweep = ended + pause
            self.next_ring = max(self.next_ring, ended)
        else:
            slow, busy = min(by_time, RING_AT_LEAST_EVERY), min(by_number, LOOK_AT_LEAST_EVERY)
            self.next_ring = max(ended, began + max(RING_EVERY, slow, busy))
