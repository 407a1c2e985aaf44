"""A server that may be older than what was acted on, such as the second one after a failover.

The records rest on the word of a server as it was at some moment: `DirectoryState.acted_on`. Who
answers later must have come at least as far (`dirclient.operations.replication_state`). Until that
is proven it may add people and refuse sign-in, but takes nothing away and brings nothing old back.
That ends when it has caught up, when an administrator confirms what waits, or after `LONGEST_WAIT`:
changes that only a lost server had never arrive, and a server may be unable to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Cursor, Knowledge, Snapshot
from dirclient.operations.replication_state import covers
from kerauno.database.engine import Database
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import DirectoryState
from syncsvc.runs.snapshot_difference import differ

_log = structlog.get_logger(__name__)

LONGEST_WAIT = timedelta(hours=24)
"""After this the server that answers is believed as it is. Sites of a forest replicate every three
hours by default, and a night is not to end the wait before anybody has looked."""


@dataclass(frozen=True, slots=True)
class Lag:
    """The `server` that answers has not been proven to have what `marks` had seen."""

    server: str
    others: tuple[str, ...]
    marks: tuple[Cursor, ...]
    since: datetime

    @property
    def until(self) -> datetime:
        """When the wait ends by itself."""
        return self.since + LONGEST_WAIT

    @property
    def words(self) -> str:
        """Return what waits and why, for an administrator."""
        server, since = self.server, f"{self.since:%Y-%m-%d %H:%M}"
        others = ", ".join(name for name in self.others if name and name != server)
        if others:
            return (
                f"{server} has not caught up with {others} since {since} UTC: "
                "changes that would take something away wait."
            )
        return (
            f"{server} shows since {since} UTC an older state than was read before: "
            "changes that would take something away wait."
        )

    def ended(self, known: Knowledge, now: datetime) -> bool:
        """Return whether the wait is over: by proof, or by time."""
        return now >= self.until or all(covers(known, mark) for mark in self.marks)


REMEDY = (
    "They are made as soon as it has, and 24 hours later at the latest. If the other server does "
    "not come back, look at the list and confirm it."
)


def lag_of(state: DirectoryState, known: Knowledge, now: datetime) -> Lag | None:
    """Return whether who answers may be older than what was acted on. None: no, or no longer."""
    marks = _marks(state.acted_on)
    lag = Lag(
        known.server,
        tuple(sorted(name for cursor, name in marks if not covers(known, cursor))),
        tuple(cursor for cursor, _ in marks),
        state.lagging_since or now,
    )
    return None if lag.ended(known, now) else lag


def store(
    s: Session, directory_id: int, snapshot: Snapshot, lag: Lag | None, *, acted: bool
) -> None:
    """Store on whose word the records rest now; writes only what differs.

    Without a lag that is the snapshot's alone. With it, that is added once something was done by
    it: then a return needs that proof too.
    """
    state = directory_settings.state(s, directory_id)
    differences = {
        mark.server_id: {
            "usn": mark.usn,
            "cookie": mark.cookie.decode("ascii", "replace"),
            "server": snapshot.server,
        }
        for mark in snapshot.marks
    }
    before = dict(state.acted_on or {})
    values: dict[str, Any] = {
        "acted_on": differences if lag is None else before | (differences if acted else {}),
        "lagging": "" if lag is None else lag.words,
        "lagging_since": None if lag is None else lag.since,
    }
    if all(getattr(state, name) == value for name, value in values.items()):
        return
    directory_settings.set_state(s, directory_id, **values)


def _marks(stored: Mapping[str, Mapping[str, Any]] | None) -> tuple[tuple[Cursor, str], ...]:
    return tuple(
        (Cursor(server_id, mark["usn"], mark["cookie"].encode()), mark["server"])
        for server_id, mark in sorted((stored or {}).items())
    )


@dataclass(slots=True)
class Witness:
    """On whose word the records rest, as one process goes along. `lag`: of what was noted last."""

    db: Database
    now: Callable[[], datetime]
    lag: Lag | None = None
    _believed: Snapshot | None = None

    def servers(self, directory_id: int) -> frozenset[str]:
        """Return the ids of the servers on whose word the records rest."""
        with self.db.read() as s:
            return frozenset(directory_settings.state(s, directory_id).acted_on or {})

    def note(
        self,
        directory_id: int,
        snapshot: Snapshot,
        lag: Lag | None,
        fence: Callable[[Session], None],
        *,
        acted: bool = False,
    ) -> None:
        """Note it before it is acted on, and say once when a server lags or no longer does.

        A read that shows what the last one showed asks no more of the next server: what else the
        domain controller counts, such as changes of DNS, may be long in reaching the others.
        """
        same = lag is None and self._shows_the_same(snapshot)
        with self.db.write() as s:
            fence(s)
            state = directory_settings.state(s, directory_id)
            waited = state.lagging
            if waited or not same or [*(state.acted_on or {})] != [snapshot.cursor.server_id]:
                store(s, directory_id, snapshot, lag, acted=acted)
            if waited and lag is None:
                _end_waiting(s, directory_id, self.now())
        if lag is not None and self.lag is None:
            _log.warning("a server lags behind", error=lag.words)
        elif lag is None and waited:
            _log.info("the server that answers is believed again", before=waited)
        self.lag = lag
        if lag is None:
            self._believed = replace(snapshot, memory=None)

    def _shows_the_same(self, snapshot: Snapshot) -> bool:
        before = self._believed
        if before is None or before.cursor.server_id != snapshot.cursor.server_id:
            return False
        return not differ(before, snapshot)


def _end_waiting(s: Session, directory_id: int, now: datetime) -> None:
    """Let the runs expire that were held for a lag: what they hold is done, or looked at again."""
    for run in runs.held(s, directory_id):
        if (run.plan or {}).get("lagging"):
            runs.settle(s, run.id, "expired", now, since="held")
