"""Decisions of an administrator about a run: look at a plan, confirm, discard, undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dirclient.model.directory_objects import Guid
from kerauno import audit
from kerauno.base.errors import InvalidValue, NotFound, Stale
from kerauno.base.lookup_keys import lookup_key
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Run
from provisioning.deletion_threshold import HELD_FOR, fingerprint
from provisioning.partial_confirmation import EVERYONE, SHOWN, Choice, journal_of
from provisioning.plan import Mode
from syncsvc.applying.undo import undo_run
from syncsvc.runs.engine import Engine, Planned, Report, RunOptions
from syncsvc.runs.run_context import Running
from syncsvc.runs.run_summary import no_counts

_WAITING = ("held", "planned")


def plan_for_review(engine: Engine, ask: RunOptions) -> Report:
    """Make a plan and keep it as a run of status `planned`, for `confirm` to apply exactly it."""
    configured = engine.configured()
    mode = ask.mode or configured.mode
    with (
        engine.leasing(configured, ask.wait) as lease,
        engine.failing(engine.start(lease, configured, mode.value, ask), configured) as (
            running,
            outcome,
        ),
    ):
        snapshot = engine.snapshot(configured, running.report)
        planned = engine.planned(configured, snapshot, mode, ask.only, running.fence)
        stored = planned.plan.stored()
        stored["reasons"] = [*engine.reasons_to_hold(planned), *engine.undone(planned)]
        if planned.lag is not None:
            stored["reasons"].insert(0, planned.lag.words)
        if ask.only is not None:
            stored["only"] = sorted(ask.only)
        with engine.db.write() as s:
            outcome.update(
                running.finish(
                    s,
                    "planned",
                    complete=snapshot.unread is None,
                    people=len(snapshot.people),
                    counts=no_counts(len(planned.plan.conflicts)),
                    ldap_operations=snapshot.operations,
                    plan=stored,
                    fingerprint=fingerprint(planned.plan, planned.records),
                    expires_at=engine.now() + HELD_FOR,
                    phase="",
                )
            )
    return outcome


def try_settings(engine: Engine, draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run would do if these settings were saved; nothing is written."""
    auto = draft.get("auto_sync")
    mode = engine.configured().mode if auto is None else Mode.BUILD if auto else Mode.KEEP
    return engine.preview(mode, draft).plan.stored()


def confirm(
    engine: Engine,
    run_id: int,
    ask: RunOptions,
    digest: str | None = None,
    choice: Choice = EVERYONE,
) -> Report:
    """Apply a held or reviewed plan: exactly it, or nothing; of a held one only what is chosen.

    The directory is read and planned on once more. Only when that gives the very same plan, on
    records that are as they were, is it applied, as this same run. Raises NotFound, and Stale
    when the plan's time is over or anything has moved: then the run is `expired`. Raises
    InvalidValue for a choice that does not fit the plan: then the run waits on.
    """
    configured = engine.configured()
    with engine.leasing(configured, ask.wait) as lease:
        run = _waiting(engine, run_id)
        stored = run.plan or {}
        if digest is not None and digest != stored.get("digest"):
            raise Stale(f"Run {run_id} has another plan than the one you saw.")
        running = Running(engine.db, lease, run_id, engine.now, engine.stop, ask.progress)
        snapshot = engine.snapshot(configured, running.report)
        only = frozenset(stored["only"]) if "only" in stored else None
        planned = engine.planned(
            configured,
            snapshot,
            Mode(run.kind),
            only,
            running.fence,
            force=bool(stored.get("lagging")),
        )
        if left_out := frozenset(map(Guid, stored.get("left_out", ()))):
            planned = planned.without(left_out)
        now = (planned.plan.digest(), fingerprint(planned.plan, planned.records))
        if now != (stored.get("digest"), run.fingerprint):
            with engine.db.write() as s:
                runs.settle(s, run_id, "expired", engine.now(), since=run.status)
            raise Stale(
                f"The directory or the records have changed since run {run_id} was planned. "
                "Nothing was changed; look at a new plan."
            )
        kept = _kept(choice, run, planned)
        with engine.db.write() as s:
            running.fence(s)
            runs.settle(s, run_id, "running", engine.now(), since=run.status)
        with engine.failing(running, configured) as (_, outcome):
            engine.check_settings(configured)
            outcome.update(_apply_part(engine, running, planned, kept))
            _note(engine, planned, ask, outcome, kept)
    return outcome


def _kept(choice: Choice, run: Run, planned: Planned) -> frozenset[Guid]:
    kept = choice.kept(planned.plan)
    if kept and run.status != "held":
        raise InvalidValue(
            f"Run {run.id} is a preview and is applied as a whole.",
            field="only",
            remedy="Plan anew for the people whom you mean.",
        )
    return kept


def _apply_part(
    engine: Engine, running: Running, planned: Planned, kept: frozenset[Guid]
) -> Report:
    if not kept:
        return engine.carry_out(running, planned)
    with engine.db.write() as s:
        running.fence(s)
        runs.journal(s, running.id, journal_of(planned.plan, kept))
    return engine.carry_out(running, planned.without(kept))


def _note(
    engine: Engine, planned: Planned, ask: RunOptions, outcome: Report, kept: frozenset[Guid]
) -> None:
    """Say in the run's document and in the audit log who was confirmed and who was kept."""
    rows = [(action.guid, action.username) for action in planned.plan.actions]
    rows += [(department.guid, department.name) for department in planned.plan.departments]
    rows.sort(key=lambda row: lookup_key(row[1]))
    confirmed = [(guid, name) for guid, name in rows if guid not in kept]
    left_out = [(guid, name) for guid, name in rows if guid in kept]
    outcome["confirmed"] = [str(guid) for guid, _ in confirmed]
    outcome["kept"] = [str(guid) for guid, _ in left_out]
    with engine.db.write() as s:
        audit.append(
            s,
            "run-confirmed",
            now=engine.now(),
            outcome=outcome["status"],
            actor=ask.by or ask.trigger,
            detail={
                "run": outcome["run"],
                "confirmed": len(confirmed),
                "kept": len(left_out),
                "people": [name for _, name in confirmed[:SHOWN]],
                "left_out": [name for _, name in left_out[:SHOWN]],
            },
        )


def discard(engine: Engine, run_id: int) -> None:
    """Drop a held or reviewed plan. Raises NotFound, Stale when it no longer waits."""
    run = _waiting(engine, run_id)
    with engine.db.write() as s:
        runs.settle(s, run_id, "discarded", engine.now(), since=run.status)


def undo(engine: Engine, run_id: int, ask: RunOptions) -> tuple[Report, list[str]]:
    """Undo an applied run as a run of its own; also says what could not be restored.

    Raises NotFound, and Stale for a run that is not `applied`.
    """
    configured = engine.configured()
    with engine.leasing(configured, ask.wait) as lease:
        with engine.db.read() as s:
            run = runs.get(s, run_id)
            if run.status != "applied" or run.kind == "undo":
                raise Stale(f"Run {run_id} is {run.status} ({run.kind}) and cannot be undone.")
        running = engine.start(lease, configured, "undo", ask, undo_of=run_id)
        with engine.failing(running, configured) as (_, outcome), engine.db.write() as s:
            running.fence(s)
            restored, could_not = undo_run(s, configured.id, run_id, running.id, engine.now())
            runs.settle(s, run_id, "undone", engine.now(), since="applied")
            counts = no_counts() | {"updated": restored}
            status = "applied" if restored else "unchanged"
            outcome.update(
                running.finish(s, status, counts=counts, error=" ".join(could_not), phase="")
            )
    return outcome, could_not


def _waiting(engine: Engine, run_id: int) -> Run:
    with engine.db.write() as s:
        runs.expire_held(s, engine.now())
    with engine.db.read() as s:
        directory = directory_settings.load(s)
        run = runs.get(s, run_id)
        if directory is None or run.directory_id != directory.id:
            raise NotFound(f"There is no run {run_id}.")
        if run.status not in _WAITING:
            raise Stale(f"Run {run_id} is {run.status}: there is nothing to decide.")
        return run
