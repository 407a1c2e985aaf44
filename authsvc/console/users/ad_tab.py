"""Users & Devices > Users > one user > Active Directory: Sync with AD, De-Sync."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from authsvc.console import base
from authsvc.console.runs import requests
from authsvc.console.users import queries
from authsvc.web.session import require_current_user

bp = base.blueprint("user_directory")


@bp.get("/users/<int:user_id>/directory")
def show(user_id: int) -> ResponseReturnValue:
    """Return whether and how this user is tied to a person in AD."""
    with base.reading() as s:
        user = queries.one(s, user_id)
        directory = base.directory_or_none(s)
        return base.page(
            "user_directory.html",
            user=user,
            directory=directory,
            candidates=queries.candidates(s, directory, user)
            if directory and not user.link
            else (),
            service=requests.service(s, directory.id, base.now()) if directory else None,
        )


@bp.post("/users/<int:user_id>/directory/sync")
def sync(user_id: int) -> ResponseReturnValue:
    """Sync with AD: ask for the link of username/email and sign-in alone.

    Who is linked already is looked at in AD: disabled or expired, their access ends at once.
    """
    return _ask(user_id, "user-sync")


@bp.post("/users/<int:user_id>/directory/desync")
def desync(user_id: int) -> ResponseReturnValue:
    """De-Sync: ask for the end of the link."""
    return _ask(user_id, "user-desync")


def _ask(user_id: int, kind: str) -> ResponseReturnValue:
    with base.writing() as s:
        user = queries.one(s, user_id)
        directory = base.directory_or_none(s)
        if directory is None:
            raise NotFound
        if user.link is None and kind == "user-desync":
            return redirect(f"/console/users/{user_id}/directory", 303)
        payload: dict[str, object] = {"user_id": user_id, "email": user.line.email}
        if request.form.get("guid"):
            payload["guid"] = request.form["guid"][:36]
        request_id = requests.ask(
            s, directory, kind, payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, kind, outcome="requested", user_id=user_id)
    return redirect(f"/console/runs/requests/{request_id}", 303)
