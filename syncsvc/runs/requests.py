"""Work that other processes ask for by a run request.

| kind | payload | what happens |
|---|---|---|
| `keep` | `tested`? | a run as Auto-Synchronization says; `tested`: on new connections |
| `build` | `guids`? | Synchronize Users: everyone, or these people alone |
| `plan` | `build`?, `guids`? | a plan, kept as a run of status `planned` for `confirm` |
| `plan` | `settings` | what these unsaved settings would do, as `result.plan` |
| `confirm` | `run`, `digest`?, `keep`? | apply that held or planned run, without those GUIDs |
| `discard`, `undo` | `run` | |
| `import` | `guid` or `dn`, `number` | |
| `unimport` | `guid` or `dn` | |
| `user-sync`, `user-desync` | `email` | the user's Active Directory tab |

The request's `run_id` is set as soon as its run begins; `result` holds the run's document, or
`message`. What cannot be done says why in `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dirclient.config.ports import Progress
from dirclient.model.errors import DirectoryError
from kerauno.base.errors import KeyProblem, LeaseLost, RecordError
from kerauno.sync import runs
from provisioning.partial_confirmation import Choice
from provisioning.plan import Mode
from syncsvc.runs import departments, plan_review, single_user
from syncsvc.runs.engine import Engine, Report, RunOptions
from syncsvc.runs.run_context import Busy

Payload = Mapping[str, Any]


def process_next(engine: Engine, progress: Progress | None = None) -> bool:
    """Do the oldest waiting request; False when there is none."""
    with engine.db.write() as s:
        request = runs.take_request(s, engine.now())
        if request is None:
            return False
        number, kind, payload = request.id, request.kind, dict(request.payload)
        ask = RunOptions("console", by=request.requested_by, progress=progress, request=number)
    result: Report = {}
    error = ""
    try:
        result = _KINDS[kind](engine, payload, ask)
        if result.get("status") == "failed":
            error = str(result.get("error") or "The run failed.")
    except KeyError as missing:
        error = f"The request lacks {missing}." if kind in _KINDS else f"Nobody knows {kind!r}."
    except LeaseLost:
        raise
    except (DirectoryError, RecordError, KeyProblem, Busy) as problem:
        error = str(problem)
        remedy = getattr(problem, "remedy", "")
        error = f"{error} {remedy}".strip()
    with engine.db.write() as s:
        runs.finish_request(s, number, engine.now(), result=result, error=error)
    return True


def _keep(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    if payload.get("tested"):
        engine.close()  # and with it the pause after a password that was refused
    return engine.run(ask)


def _build(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    return engine.run(_limited(ask, payload, Mode.BUILD))


def _plan(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    if "settings" in payload:
        return {"plan": plan_review.try_settings(engine, payload["settings"])}
    mode = Mode.BUILD if payload.get("build", True) else None
    return plan_review.plan_for_review(engine, _limited(ask, payload, mode))


def _confirm(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    with engine.db.write() as s:
        runs.get(s, payload["run"])
        runs.bind_request(s, ask.request or 0, payload["run"])
    choice = Choice(keep=frozenset(payload.get("keep", ())))
    return plan_review.confirm(engine, payload["run"], ask, payload.get("digest"), choice)


def _discard(engine: Engine, payload: Payload, _ask: RunOptions) -> Report:
    plan_review.discard(engine, payload["run"])
    return {"run": payload["run"], "message": f"Run {payload['run']} was discarded."}


def _undo(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    report, could_not = plan_review.undo(engine, payload["run"], ask)
    return {**report, "could_not": could_not}


def _import(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    which = payload.get("guid") or payload["dn"]
    return departments.import_department(engine, ask, which, str(payload["number"]))


def _unimport(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    return departments.unimport_department(engine, ask, payload.get("guid") or payload["dn"])


def _user_sync(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    return {"message": single_user.sync_user(engine, payload["email"], by=ask.by)}


def _user_desync(engine: Engine, payload: Payload, ask: RunOptions) -> Report:
    return {"message": single_user.desync_user(engine, payload["email"], by=ask.by)}


def _limited(ask: RunOptions, payload: Payload, mode: Mode | None) -> RunOptions:
    guids = payload.get("guids")
    return RunOptions(
        ask.trigger,
        mode=mode,
        by=ask.by,
        only=None if guids is None else frozenset(guids),
        progress=ask.progress,
        request=ask.request,
    )


_KINDS: dict[str, Callable[[Engine, Payload, RunOptions], Report]] = {
    "keep": _keep,
    "build": _build,
    "plan": _plan,
    "confirm": _confirm,
    "discard": _discard,
    "undo": _undo,
    "import": _import,
    "unimport": _unimport,
    "user-sync": _user_sync,
    "user-desync": _user_desync,
}
