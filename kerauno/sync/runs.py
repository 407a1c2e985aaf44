"""Runs of the sync: their progress and outcome, their journal, and the requests for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from kerauno.base.errors import NotFound, Stale
from kerauno.database.prepared import PreparedConnection, Statement, from_session
from kerauno.tables.base import LARGEST_ID
from kerauno.tables.core import Run, RunChange, RunRequest

FINAL = frozenset({"applied", "unchanged", "failed", "discarded", "expired", "undone"})
"""Statuses that nothing follows, but an `applied` run may be `undone`."""

COUNTS = ("created", "linked", "updated", "deactivated", "reactivated", "conflicts")
"""What `Run.counts` holds, beside `departments` with imported and updated."""

_RESULTS = frozenset(
    {
        "complete",
        "people",
        "counts",
        "ldap_operations",
        "seconds",
        "delay_seconds",
        "error",
        "plan",
        "fingerprint",
        "expires_at",
        "phase",
        "done",
        "total",
    }
)


def start(
    s: Session,
    directory_id: int,
    *,
    trigger: str,
    kind: str,
    now: datetime,
    by: str = "",
    undo_of: int | None = None,
) -> int:
    """A run begins; returns its id. `trigger`: timer, change, console or cli."""
    run = Run(
        directory_id=directory_id,
        trigger=trigger,
        kind=kind,
        status="running",
        started=now,
        requested_by=by,
        undo_of=undo_of,
    )
    s.add(run)
    s.flush()
    return run.id


_PROGRESS = Statement(
    update(Run)
    .where(Run.id == bindparam("of"))
    .values(phase=bindparam("at"), done=bindparam("so_far"), total=bindparam("in_all"))
)


def progress(
    s: Session | PreparedConnection, run_id: int, phase: str, done: int, total: int
) -> None:
    """How far the run is; `total` 0 while that is unknown."""
    from_session(s).run(_PROGRESS, of=run_id, at=phase[:32], so_far=done, in_all=total)


def finish(s: Session, run_id: int, status: str, now: datetime, **results: Any) -> Run:
    """The run ends, or is held. `results` are columns of `Run`: counts, people, error, plan …

    Raises NotFound.
    """
    unknown = results.keys() - _RESULTS
    if unknown:
        raise KeyError(f"a run has no {sorted(unknown)}")
    run = get(s, run_id)
    run.status = status
    run.finished = now
    for name, value in results.items():
        setattr(run, name, value)
    s.flush()
    return run


def get(s: Session, run_id: int) -> Run:
    """The run of this id. Raises NotFound."""
    run = s.get(Run, run_id) if 0 < run_id <= LARGEST_ID else None
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def settle(s: Session, run_id: int, status: str, now: datetime, *, since: str) -> Run:
    """Move a run from the status `since` on, once: raises Stale when somebody else already did.

    A held run becomes applied, discarded or expired, an applied one undone; a held plan is
    forgotten with that.
    """
    moved = s.execute(
        update(Run)
        .where(Run.id == run_id, Run.status == since)
        .values(status=status, finished=now, plan=None)
        .returning(Run.id),
        execution_options={"synchronize_session": False},
    ).first()
    s.expire_all()
    run = get(s, run_id)
    if moved is None:
        raise Stale(f"Run {run_id} is {run.status}, not {since}.")
    return run


def history(
    s: Session, directory_id: int | None = None, *, limit: int = 50, before: int | None = None
) -> list[Run]:
    """Runs, newest first; `before` is the last id of the page before."""
    statement = select(Run).order_by(Run.id.desc()).limit(limit)
    if directory_id is not None:
        statement = statement.where(Run.directory_id == directory_id)
    if before is not None:
        statement = statement.where(Run.id < before)
    return list(s.execute(statement).scalars())


def held(s: Session, directory_id: int) -> list[Run]:
    """Runs that wait for an administrator, newest first."""
    return list(
        s.execute(
            select(Run)
            .where(Run.directory_id == directory_id, Run.status == "held")
            .order_by(Run.id.desc())
        ).scalars()
    )


def as_data(run: Run) -> dict[str, Any]:
    """Return the run in the fields that commands print; a held one with its reason and actions."""
    departments = run.counts.get("departments", {})
    of_held_run = {}
    if run.status == "held":
        of_held_run = {"held_because": run.error, "actions": (run.plan or {}).get("actions", [])}
    return {
        "run": run.id,
        "status": run.status,
        "trigger": run.trigger,
        "kind": run.kind,
        "started": run.started.isoformat(),
        "finished": run.finished.isoformat() if run.finished else None,
        "complete": run.complete,
        "people": run.people,
        **{name: run.counts.get(name, 0) for name in COUNTS},
        "departments": {
            "imported": departments.get("imported", 0),
            "updated": departments.get("updated", 0),
        },
        "ldap_operations": run.ldap_operations,
        "seconds": round(run.seconds, 3),
        "delay_seconds": run.delay_seconds,
        "error": run.error,
        **of_held_run,
    }


def journal(s: Session, run_id: int, entries: list[Mapping[str, Any]]) -> None:
    """Note changes of a run, in the transaction that makes them. Keys are columns of RunChange."""
    if entries:
        s.execute(
            RunChange.__table__.insert(),  # type: ignore[attr-defined]
            [{**_NOTHING, **entry, "run_id": run_id} for entry in entries],
        )


_NOTHING: dict[str, Any] = {
    "guid": None,
    "subject_id": None,
    "name": "",
    "before": None,
    "after": None,
    "error": "",
}


def changes(
    s: Session, run_id: int, *, limit: int | None = None, after: int = 0
) -> list[RunChange]:
    """The run's journal in order; `after` is the last id of the page before."""
    statement = (
        select(RunChange)
        .where(RunChange.run_id == run_id, RunChange.id > after)
        .order_by(RunChange.id)
    )
    return list(s.execute(statement if limit is None else statement.limit(limit)).scalars())


def request(
    s: Session,
    directory_id: int,
    kind: str,
    *,
    now: datetime,
    by: str = "",
    payload: Mapping[str, Any] | None = None,
) -> int:
    """Ask the sync service for work; returns the request's id."""
    row = RunRequest(
        directory_id=directory_id,
        kind=kind,
        payload=dict(payload or {}),
        requested_by=by,
        requested_at=now,
    )
    s.add(row)
    s.flush()
    return row.id


def request_after_test(s: Session, directory_id: int, *, now: datetime, by: str) -> None:
    """Let the sync service try at once: the stored settings were tested with success.

    It may be waiting since its service account was refused. Told once while nobody takes it up.
    """
    told = s.scalars(
        select(RunRequest.payload).where(
            RunRequest.directory_id == directory_id,
            RunRequest.kind == "keep",
            RunRequest.taken_at.is_(None),
        )
    )
    if not any(payload.get("tested") for payload in told):
        request(s, directory_id, "keep", now=now, by=by, payload={"tested": True})


_WAITING = Statement(select(func.count()).where(RunRequest.taken_at.is_(None)))


def waiting(s: Session | PreparedConnection) -> int:
    """How many requests nobody has taken up: cheap enough to ask several times a second."""
    row = from_session(s).one(_WAITING)
    return row[0] if row else 0


_LAST_FINISHED = Statement(
    select(Run.id)
    .where(Run.directory_id == bindparam("directory"), Run.finished.is_not(None))
    .order_by(Run.id.desc())
    .limit(1)
)


def last_finished(s: Session | PreparedConnection, directory_id: int) -> int:
    """The newest run that came to an end; 0 where none did."""
    row = from_session(s).one(_LAST_FINISHED, directory=directory_id)
    return row[0] if row else 0


def take_request(s: Session, now: datetime) -> RunRequest | None:
    """The oldest request that nobody has taken up, now ours; None when there is none."""
    row = s.execute(
        select(RunRequest)
        .where(RunRequest.taken_at.is_(None))
        .order_by(RunRequest.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if row is not None:
        row.taken_at = now
        s.flush()
    return row


def get_request(s: Session, request_id: int) -> RunRequest:
    """The request of this id. Raises NotFound."""
    row = s.get(RunRequest, request_id)
    if row is None:
        raise NotFound(f"There is no request {request_id}.")
    return row


def bind_request(s: Session, request_id: int, run_id: int) -> None:
    """The request is being done by this run, whose progress can now be followed."""
    get_request(s, request_id).run_id = run_id
    s.flush()


def finish_request(
    s: Session,
    request_id: int,
    now: datetime,
    *,
    result: Mapping[str, Any] | None = None,
    error: str = "",
) -> None:
    """The request is done, or cannot be: `error` says why in a sentence."""
    row = get_request(s, request_id)
    row.finished_at = now
    row.result = None if result is None else dict(result)
    row.error = error
    s.flush()


def recover(s: Session, directory_id: int, now: datetime) -> int:
    """After a crash: runs that still say `running` failed, their requests wait again.

    To be called by the holder of the lease only. Return the number of such runs.
    """
    stopped = s.execute(
        update(Run)
        .where(Run.directory_id == directory_id, Run.status == "running")
        .values(
            status="failed",
            finished=now,
            error="The sync service stopped in the middle. The next run finishes the work.",
        )
        .returning(Run.id),
        execution_options={"synchronize_session": False},
    ).all()
    s.execute(
        update(RunRequest)
        .where(
            RunRequest.directory_id == directory_id,
            RunRequest.taken_at.is_not(None),
            RunRequest.finished_at.is_(None),
        )
        .values(taken_at=None, run_id=None),
        execution_options={"synchronize_session": False},
    )
    s.expire_all()
    return len(stopped)


def expire_held(s: Session, now: datetime) -> int:
    """Held runs whose time is over can no longer be confirmed; returns how many."""
    gone = s.execute(
        update(Run)
        .where(Run.status == "held", Run.expires_at <= now)
        .values(status="expired", finished=now, plan=None)
        .returning(Run.id),
        execution_options={"synchronize_session": False},
    ).all()
    s.expire_all()
    return len(gone)


def prune(s: Session, before: datetime) -> int:
    """Forget finished runs and requests older than that, journals included; returns the runs."""
    s.execute(delete(RunRequest).where(RunRequest.finished_at < before))
    gone = s.execute(
        delete(Run).where(Run.started < before, Run.status.in_(FINAL)).returning(Run.id),
        execution_options={"synchronize_session": False},
    ).all()
    return len(gone)
