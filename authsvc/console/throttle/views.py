"""Security > Throttle: who has to wait after too many wrong passwords, and letting them try."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from authsvc.console import base
from kerauno.signin import throttle_list

bp = base.blueprint("throttles")


@bp.get("/throttles")
def table() -> ResponseReturnValue:
    """Names, people and addresses whose attempts are used up just now."""
    search = request.args.get("q", "").strip()[:200]
    with base.reading() as s:
        rows = throttle_list.listing(s, base.now(), search)
    return base.page("throttles.html", rows=rows, search=search)


@bp.post("/throttles/clear")
def clear() -> ResponseReturnValue:
    """Let one of them try again; where it is a user's, under every name."""
    key = request.form.get("key", "")[:96].replace("\0", "")
    with base.writing() as s:
        user_id, label = throttle_list.owner(s, key)
        throttle_list.clear(s, key)
        base.note(s, "attempts-cleared", outcome="ok", user_id=user_id, detail={"name": label})
    return redirect("/console/throttles?cleared=1", 303)
