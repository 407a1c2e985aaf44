"""The pages of everyone who is signed in: home, own sessions, phone book."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import Flask, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from authsvc.i18n.formatting import ago
from authsvc.i18n.translate import N_, gettext
from authsvc.services import current_services
from authsvc.web.session import (
    CurrentUser,
    clear_session_cookie,
    known_cookie,
    require_current_user,
    require_user,
    set_known_browser_cookie,
)
from authsvc.web.user_agent import browser_name
from kerauno import audit
from kerauno.accounts import dial_plan, known_browsers, links, own_departments
from kerauno.accounts import queries as accounts
from kerauno.signin import sessions
from kerauno.tables.core import WebSession

PHONE_BOOK_LINES = 500
"""Lines of the phone book on one page; a search narrows what is more."""


@dataclass(frozen=True, slots=True)
class ShownSession:
    """One of a person's sessions as their home shows it."""

    handle: str
    browser: str
    address: str
    method: str
    created_at: datetime
    seen: str
    is_this_browser: bool


def setup_views(app: Flask) -> None:
    """Register the pages."""
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/phonebook", view_func=phone_book)
    app.add_url_rule("/sessions/<handle>/end", view_func=end_session, methods=["POST"])
    app.add_url_rule("/sessions/end-others", view_func=end_other_sessions, methods=["POST"])


@require_user
def home() -> ResponseReturnValue:
    """The person's home: name, extension, departments, own sessions."""
    person, services = require_current_user(), current_services()
    now = services.now()
    with services.database.read() as s:
        number = dial_plan.of_user(s, person.user_id)
        open_sessions = sessions.list_for(s, person.user_id, now)
        departments = own_departments.departments_of(s, person.user_id)
        synced = links.of_user(s, person.user_id) is not None
    done = _NOTICES.get(request.args.get("done", ""))
    return render_template(
        "home.html",
        extension=number.number if number and number.reserved_until is None else None,
        departments=departments,
        sessions=[_shown(row, person, now) for row in open_sessions],
        synced=synced,
        notice=gettext(done) if done else "",
    )


@require_user
def end_session(handle: str) -> ResponseReturnValue:
    """End one of one's own sessions. Somebody else's does not exist."""
    person, services = require_current_user(), current_services()
    with services.database.write() as s:
        ended = sessions.end_own(s, person.user_id, handle)
        if ended is None:
            raise NotFound
        _note(s, person, "session-ended", {"handle": handle})
    if handle == person.handle:
        return clear_session_cookie(redirect("/login?signed-out", 303))  # type: ignore[arg-type]
    return redirect("/?done=session", 303)


@require_user
def end_other_sessions() -> ResponseReturnValue:
    """End all of one's sessions but this one; no other browser is known any more."""
    person, services = require_current_user(), current_services()
    with services.database.write() as s:
        count = sessions.end_others(s, person.user_id, person.session_id)
        known_browsers.end_all(s, [person.user_id])
        key = known_browsers.key_for(s, person.user_id)
        _note(s, person, "sessions-ended", {"count": count})
    known = known_browsers.renewed(known_cookie(), person.user_id, key, services.now())
    return set_known_browser_cookie(redirect("/?done=sessions", 303), known)  # type: ignore[arg-type]


@require_user
def phone_book() -> ResponseReturnValue:
    """Everyone with an extension and every ring group, by name; searched by any of their words."""
    query = request.args.get("q", "").replace("\0", "").strip()[:100]
    with current_services().database.read() as s:
        entries = accounts.phonebook(s, query, limit=PHONE_BOOK_LINES + 1)
    return render_template(
        "phonebook.html",
        query=query,
        entries=entries[:PHONE_BOOK_LINES],
        more=len(entries) > PHONE_BOOK_LINES,
    )


_NOTICES = {
    "session": N_("The session was ended."),
    "sessions": N_("All other sessions were ended."),
}


def _shown(row: WebSession, person: CurrentUser, now: datetime) -> ShownSession:
    return ShownSession(
        handle=row.handle,
        browser=browser_name(row.user_agent) or gettext("Unknown browser"),
        address=row.address,
        method=row.method,
        created_at=row.created_at,
        seen=ago(now - row.seen_at),
        is_this_browser=row.handle == person.handle,
    )


def _note(s: Session, person: CurrentUser, event: str, detail: dict[str, object]) -> None:
    audit.append(
        s,
        event,
        now=current_services().now(),
        outcome="ok",
        actor=person.email,
        user_id=person.user_id,
        address=request.remote_addr or "",
        detail=detail,
    )
