"""Work asked of the sync service, and how far it has come.

The console never reads a directory at length: it writes a run request, and its page follows the
request's row and the run's until both are finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authsvc.console.runs import queries
from kerauno.base.clock import elapsed
from kerauno.sync import directory_settings
from kerauno.sync import runs as sync_runs
from kerauno.tables.core import Directory, DirectoryState, Run, RunRequest

SILENT_AFTER = timedelta(seconds=30)
"""A sync service that has not been heard of for so long is taken for stopped."""

_SAME = timedelta(seconds=10)
"""The same request by the same person within this is a double press, not a second wish."""


@dataclass(frozen=True, slots=True)
class Service:
    """The state of the sync service, as far as its heartbeat tells.

    `error`: why the last read failed; `unread`: why departments alone could not be read;
    `lagging`: for which server changes wait;
    `looked_at`: its last look at the directory that succeeded; `deaf`: that is too long ago.
    """

    heard_at: datetime | None
    running: bool
    error: str
    read_at: datetime | None
    people: int
    unread: str = ""
    looked_at: datetime | None = None
    deaf: bool = False
    lagging: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """A request as its page follows it.

    `state`: waiting (not taken up yet), running, done, failed.
    """

    id: int
    kind: str
    state: str
    payload: Mapping[str, Any]
    requested_by: str
    requested_at: datetime
    run: queries.RunRow | None
    result: Mapping[str, Any]
    error: str
    service: Service

    @property
    def finished(self) -> bool:
        """Return whether nothing more will happen to it."""
        return self.state in ("done", "failed")


def service(s: Session, directory_id: int, now: datetime) -> Service:
    """When the sync service was last heard of, and what it last read."""
    state = s.get(DirectoryState, directory_id)
    if state is None:
        return Service(None, False, "", None, 0)
    running = state.heard_at is not None and elapsed(state.heard_at, now) <= SILENT_AFTER
    return Service(
        state.heard_at,
        running,
        state.error,
        state.read_at,
        state.people,
        state.unread,
        state.looked_at,
        deaf=directory_settings.is_deaf(state, now),
        lagging=state.lagging,
    )


def ask(
    s: Session,
    directory: Directory,
    kind: str,
    payload: Mapping[str, Any],
    *,
    by: str,
    now: datetime,
) -> int:
    """Write a run request and give its id; a double press gives the first one's."""
    recent = s.scalars(
        select(RunRequest)
        .where(
            RunRequest.directory_id == directory.id,
            RunRequest.kind == kind,
            RunRequest.requested_by == by,
            RunRequest.requested_at >= now - _SAME,
            RunRequest.finished_at.is_(None),
        )
        .order_by(RunRequest.id.desc())
    )
    for earlier in recent:
        if earlier.payload == dict(payload):
            return earlier.id
    return sync_runs.request(s, directory.id, kind, now=now, by=by, payload=payload)


def follow(s: Session, request_id: int, now: datetime) -> Followed | None:
    """The request as it stands now, with its run where it has one."""
    row = s.get(RunRequest, request_id)
    if row is None:
        return None
    run_id = row.run_id or (row.result or {}).get("run")
    run = s.get(Run, run_id) if isinstance(run_id, int) else None
    return Followed(
        id=row.id,
        kind=row.kind,
        state=_state(row),
        payload=row.payload,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        run=None if run is None else queries.row_of(run),
        result=row.result or {},
        error=row.error,
        service=service(s, row.directory_id, now),
    )


def _state(row: RunRequest) -> str:
    if row.finished_at is not None:
        return "failed" if row.error else "done"
    return "waiting" if row.taken_at is None else "running"
