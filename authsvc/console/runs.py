"""Runs: history, what each changed, held runs, undo."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.console import site, words
from authsvc.console.charts import Chart
from authsvc.console.data import figures, plans, requests, runs
from authsvc.sessions import me
from authsvc.signin_records import EVENT

bp = site.blueprint("runs")
CONFIRM_WORD = "CONFIRM"


@bp.get("/runs")
def history() -> ResponseReturnValue:
    """What ran when, and what waits; edit-to-visible delay, people and sign-ins over time."""
    status = request.args.get("status", "")
    trigger = request.args.get("trigger", "")
    changed = request.args.get("changed") == "1"
    cursor = request.args.get("after", "")
    with site.reading() as s:
        directory = site.directory_or_none(s)
        rows = runs.history(s, status=status, trigger=trigger, changed_only=changed, cursor=cursor)
        charts: tuple[Chart, ...] = ()
        if not cursor:
            charts = (
                figures.delays(s, site.now()),
                figures.people(s, site.now()),
                figures.sign_ins(s, site.now(), event=EVENT, good="ok"),
            )
        return site.page(
            "runs.html",
            rows=rows,
            held=runs.held(s),
            charts=charts,
            wanted=status,
            trigger=trigger,
            changed=changed,
            statuses=words.in_words(words.RUN_STATUSES),
            triggers=words.in_words(words.TRIGGERS),
            service=requests.service(s, directory.id, site.now()) if directory else None,
        )


@bp.post("/runs")
def run_now() -> ResponseReturnValue:
    """Ask for a run now, as the timer would."""
    with site.writing() as s:
        directory = site.directory_or_none(s)
        if directory is None:
            raise NotFound
        asked = requests.ask(s, directory, "keep", {}, by=me().email, now=site.now())
        site.note(s, "sync-requested", outcome="requested")
    return redirect(f"/console/runs/requests/{asked}", 303)


@bp.get("/runs/<int:run_id>")
def show(run_id: int) -> ResponseReturnValue:
    """One run: its counts, its plan while it waits, its changes before and after."""
    with site.reading() as s:
        return _page(s, run_id)


@bp.post("/runs/<int:run_id>/confirm")
def confirm(run_id: int) -> ResponseReturnValue:
    """Apply a held plan, or who is ticked of it: with the word typed, and only the plan shown."""
    ticked = frozenset(request.form.getlist("ticked")) if "choice" in request.form else None
    wrong_word = request.form.get("typed", "").strip().upper() != CONFIRM_WORD
    nobody = ticked is not None and not ticked
    with site.reading() as s:
        if wrong_word or nobody:
            return _page(s, run_id, 422, wrong_word=wrong_word, nobody=nobody, ticked=ticked)
        plan = plans.of_run(s, run_id)
    payload: dict[str, object] = {"run": run_id, "digest": request.form.get("digest", "")}
    if ticked is not None and plan is not None and (keep := sorted(plan.listed - ticked)):
        payload["keep"] = keep
    return _ask(run_id, "confirm", payload, "run-confirmed")


@bp.post("/runs/<int:run_id>/discard")
def discard(run_id: int) -> ResponseReturnValue:
    """Drop a held plan; the next run plans anew."""
    return _ask(run_id, "discard", {"run": run_id}, "run-discarded")


@bp.get("/runs/<int:run_id>/undo")
def before_undo(run_id: int) -> ResponseReturnValue:
    """What undoing would restore, said before it is done."""
    with site.reading() as s:
        run = _found(s, run_id)
        if not run.undoable:
            return redirect(f"/console/runs/{run_id}", 303)
        changes = runs.changes(s, run_id, cursor=request.args.get("after", ""))
        return site.page("run_undo.html", run=run, changes=changes)


@bp.post("/runs/<int:run_id>/undo")
def undo(run_id: int) -> ResponseReturnValue:
    """Ask for the undo."""
    return _ask(run_id, "undo", {"run": run_id}, "run-undone")


def _found(s: Session, run_id: int) -> runs.RunRow:
    run = runs.one(s, run_id)
    if run is None:
        raise NotFound
    return run


def _page(
    s: Session,
    run_id: int,
    status: int = 200,
    *,
    wrong_word: bool = False,
    nobody: bool = False,
    ticked: frozenset[str] | None = None,
) -> ResponseReturnValue:
    run = _found(s, run_id)
    return site.page(
        "_run.html" if site.part_only() else "run.html",
        status,
        run=run,
        plan=plans.of_run(s, run_id) if run.waits else None,
        changes=runs.changes(s, run_id, cursor=request.args.get("after", "")),
        word=CONFIRM_WORD,
        wrong_word=wrong_word,
        nobody=nobody,
        ticked=ticked,
    )


def _ask(run_id: int, kind: str, payload: dict[str, object], event: str) -> ResponseReturnValue:
    with site.writing() as s:
        _found(s, run_id)
        directory = site.directory_or_none(s)
        if directory is None:
            raise NotFound
        asked = requests.ask(s, directory, kind, payload, by=me().email, now=site.now())
        site.note(s, event, outcome="requested", detail={"run": run_id})
    return redirect(f"/console/runs/requests/{asked}", 303)
