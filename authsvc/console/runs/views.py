"""Runs: history, what each changed, held runs, undo."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.console import base, labels
from authsvc.console.runs import plans, queries, requests, statistics
from authsvc.console.runs.charts import Chart
from authsvc.signin.store import EVENT
from authsvc.web.session import require_current_user

bp = base.blueprint("runs")
CONFIRM_WORD = "CONFIRM"


@bp.get("/runs")
def history() -> ResponseReturnValue:
    """Return what ran when, and what waits; edit-to-visible delay, people and sign-ins over
    time."""
    status = request.args.get("status", "")
    trigger = request.args.get("trigger", "")
    changed = request.args.get("changed") == "1"
    cursor = request.args.get("after", "")
    with base.reading() as s:
        directory = base.directory_or_none(s)
        rows = queries.history(
            s, status=status, trigger=trigger, changed_only=changed, cursor=cursor
        )
        charts: tuple[Chart, ...] = ()
        if not cursor:
            charts = (
                statistics.delays(s, base.now()),
                statistics.people(s, base.now()),
                statistics.sign_ins(s, base.now(), event=EVENT, good="ok"),
            )
        return base.page(
            "runs.html",
            rows=rows,
            held=queries.held(s),
            charts=charts,
            wanted=status,
            trigger=trigger,
            changed=changed,
            statuses=labels.labels(labels.RUN_STATUSES),
            triggers=labels.labels(labels.TRIGGERS),
            service=requests.service(s, directory.id, base.now()) if directory else None,
        )


@bp.post("/runs")
def run_now() -> ResponseReturnValue:
    """Ask for a run now, as the timer would."""
    with base.writing() as s:
        directory = base.directory_or_none(s)
        if directory is None:
            raise NotFound
        request_id = requests.ask(
            s, directory, "keep", {}, by=require_current_user().email, now=base.now()
        )
        base.note(s, "sync-requested", outcome="requested")
    return redirect(f"/console/runs/requests/{request_id}", 303)


@bp.get("/runs/<int:run_id>")
def show(run_id: int) -> ResponseReturnValue:
    """One run: its counts, its plan while it waits, its changes before and after."""
    with base.reading() as s:
        return _page(s, run_id)


@bp.post("/runs/<int:run_id>/confirm")
def confirm(run_id: int) -> ResponseReturnValue:
    """Apply a held plan, or who is ticked of it: with the word typed, and only the plan shown."""
    ticked = frozenset(request.form.getlist("ticked")) if "choice" in request.form else None
    wrong_word = request.form.get("typed", "").strip().upper() != CONFIRM_WORD
    none_ticked = ticked is not None and not ticked
    with base.reading() as s:
        if wrong_word or none_ticked:
            return _page(
                s, run_id, 422, wrong_word=wrong_word, none_ticked=none_ticked, ticked=ticked
            )
        plan = plans.of_run(s, run_id)
    payload: dict[str, object] = {"run": run_id, "digest": request.form.get("digest", "")}
    if ticked is not None and plan is not None and (keep := sorted(plan.listed - ticked)):
        payload["keep"] = keep
    return _ask(run_id, "confirm", payload, "run-confirmed")


@bp.post("/runs/<int:run_id>/discard")
def discard(run_id: int) -> ResponseReturnValue:
    """Drop a held plan; the next run plans again."""
    return _ask(run_id, "discard", {"run": run_id}, "run-discarded")


@bp.get("/runs/<int:run_id>/undo")
def before_undo(run_id: int) -> ResponseReturnValue:
    """Return what undoing would restore, said before it is done."""
    with base.reading() as s:
        run = _found(s, run_id)
        if not run.undoable:
            return redirect(f"/console/runs/{run_id}", 303)
        changes = queries.changes(s, run_id, cursor=request.args.get("after", ""))
        return base.page("run_undo.html", run=run, changes=changes)


@bp.post("/runs/<int:run_id>/undo")
def undo(run_id: int) -> ResponseReturnValue:
    """Ask for the undo."""
    return _ask(run_id, "undo", {"run": run_id}, "run-undone")


def _found(s: Session, run_id: int) -> queries.RunRow:
    run = queries.one(s, run_id)
    if run is None:
        raise NotFound
    return run


def _page(
    s: Session,
    run_id: int,
    status: int = 200,
    *,
    wrong_word: bool = False,
    none_ticked: bool = False,
    ticked: frozenset[str] | None = None,
) -> ResponseReturnValue:
    run = _found(s, run_id)
    return base.page(
        "_run.html" if base.part_only() else "run.html",
        status,
        run=run,
        plan=plans.of_run(s, run_id) if run.waits else None,
        changes=queries.changes(s, run_id, cursor=request.args.get("after", "")),
        word=CONFIRM_WORD,
        wrong_word=wrong_word,
        nobody=none_ticked,
        ticked=ticked,
    )


def _ask(run_id: int, kind: str, payload: dict[str, object], event: str) -> ResponseReturnValue:
    with base.writing() as s:
        _found(s, run_id)
        directory = base.directory_or_none(s)
        if directory is None:
            raise NotFound
        request_id = requests.ask(
            s, directory, kind, payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, event, outcome="requested", detail={"run": run_id})
    return redirect(f"/console/runs/requests/{request_id}", 303)
