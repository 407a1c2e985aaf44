"""Workflow Tools > Active Directory > AD Users: the table, View Details, Synchronize Users."""

from __future__ import annotations

import re

from flask import redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from authsvc.console import base
from authsvc.console.ad_users import queries
from authsvc.console.runs import requests
from authsvc.web.session import require_current_user
from kerauno.accounts import links
from kerauno.tables.core import SeenPerson, SyncExclusion

bp = base.blueprint("people")
HERE = "/console/directory/users"
MOST_SELECTED = 1000


@bp.get("/directory/users")
def table() -> ResponseReturnValue:
    """Recognized people, synced or not, and why not."""
    text = request.args.get("q", "").strip()
    state = request.args.get("state", "")
    code = request.args.get("conflict", "")
    sort = queries.Sort.parse(request.args.get("sort", "name"))
    with base.reading() as s:
        directory = base.directory_or_none(s)
        if directory is None:
            return base.page("people_unset.html")
        backwards = "before" in request.args
        cursor = request.args.get("before" if backwards else "after", "")
        table = queries.table(
            s,
            directory,
            text=text,
            state=state,
            code=code,
            sort=sort,
            cursor=cursor,
            backwards=backwards,
        )
        return base.page(
            "_people.html" if base.part_only() else "people.html",
            counts=table.counts,
            rows=table.page,
            kinds=queries.conflict_counts(s, directory.id) if state == "conflict" else {},
            text=text,
            state=state,
            code=code,
            sort=sort,
            service=requests.service(s, directory.id, base.now()),
            directory=directory,
        )


@bp.get("/directory/users/<guid>")
def details(guid: str) -> ResponseReturnValue:
    """View Details: what would be stored, from which attribute, and the account's state."""
    with base.reading() as s:
        directory = base.directory_or_none(s)
        details = queries.details(s, directory, guid, base.now()) if directory else None
        if details is None:
            raise NotFound
        return base.page("person.html", person=details)


@bp.post("/directory/users/synchronize")
def synchronize() -> ResponseReturnValue:
    """Ask for the plan: of everyone, or of the selected people alone."""
    chosen = sorted(filter(_is_guid, set(request.form.getlist("guid"))))[:MOST_SELECTED]
    with base.writing() as s:
        directory = base.directory_or_none(s)
        if directory is None:
            raise NotFound
        if request.form.get("only") == "selected" and not chosen:
            return redirect(f"{HERE}?nobody=1", 303)
        payload: dict[str, object] = {"build": True}
        if request.form.get("only") == "selected":
            known = {guid for guid in chosen if s.get(SeenPerson, (directory.id, guid))}
            payload["guids"] = sorted(known)
        request_id = requests.ask(
            s, directory, "plan", payload, by=require_current_user().email, now=base.now()
        )
        base.note(s, "sync-requested", outcome="plan", detail={"people": len(chosen) or "all"})
    return redirect(f"/console/runs/requests/{request_id}", 303)


@bp.post("/directory/users/<guid>/release")
def release(guid: str) -> ResponseReturnValue:
    """Let a person who was held out be synced again."""
    with base.writing() as s:
        directory = base.directory_or_none(s)
        if directory is None or s.get(SyncExclusion, (directory.id, guid)) is None:
            raise NotFound
        links.release(s, directory.id, guid)
        base.note(s, "person-released", outcome="ok", guid=guid)
        requests.ask(s, directory, "keep", {}, by=require_current_user().email, now=base.now())
    return redirect(f"{HERE}/{guid}", 303)


def _is_guid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f-]{36}", text) is not None
