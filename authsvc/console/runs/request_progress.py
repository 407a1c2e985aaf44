"""The page that follows a request: waiting, progress, the plan to confirm, the result."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.console import base
from authsvc.console.runs import plans, requests
from authsvc.web.session import require_current_user

bp = base.blueprint("follow")


@bp.get("/runs/requests/<int:request_id>")
def show(request_id: int) -> ResponseReturnValue:
    """How far it is; asked for every second by a script, or by the browser itself."""
    with base.reading() as s:
        followed = _found(s, request_id)
        plan = plans.of_request(s, followed) if followed.kind == "plan" else None
        template = "_request.html" if base.part_only() else "request.html"
        return base.page(template, followed=followed, plan=plan, back=back)


@bp.post("/runs/requests/<int:request_id>/apply")
def apply(request_id: int) -> ResponseReturnValue:
    """Apply exactly the plan that was shown."""
    with base.writing() as s:
        followed = _found(s, request_id)
        plan = plans.of_request(s, followed)
        directory = base.directory_or_none(s)
        if plan is None or directory is None or request.form.get("digest") != plan.digest:
            return redirect(f"/console/runs/requests/{request_id}", 303)
        payload = {"run": plan.run_id, "digest": plan.digest}
        new_id = requests.ask(
            s, directory, "confirm", payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, "sync-requested", outcome="apply", detail={"run": plan.run_id})
    return redirect(f"/console/runs/requests/{new_id}", 303)


def back(followed: requests.Followed) -> str:
    """Return where the request came from."""
    if followed.kind in ("import", "unimport"):
        return "/console/directory/departments"
    if followed.kind in ("user-sync", "user-desync"):
        return f"/console/users/{followed.payload.get('user_id')}/directory"
    if followed.kind in ("confirm", "discard", "undo", "keep"):
        return "/console/runs"
    return "/console/directory/users"


def _found(s: Session, request_id: int) -> requests.Followed:
    followed = requests.follow(s, request_id, base.now())
    if followed is None:
        raise NotFound
    return followed
