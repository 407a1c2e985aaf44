"""The console put together: who may enter, what templates can say, the navigation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.exceptions import Forbidden, NotFound

from authsvc.console import labels
from authsvc.services import current_services
from authsvc.web.request_bounds import refuse_impossible
from authsvc.web.session import ADMIN, current_user, redirect_to_login, require_current_user
from kerauno import audit
from kerauno.sync import directory_settings
from kerauno.tables.core import Directory


def blueprint(name: str) -> Blueprint:
    """A part of the console: for administrators alone, below /console."""
    made = Blueprint(f"console_{name}", __name__, url_prefix="/console")
    made.before_request(administrators_only)
    return made


def administrators_only() -> ResponseReturnValue | None:
    """Others get 403; where the address names an object, 404, whether there is one or not."""
    person = current_user()
    if person is None:
        return redirect_to_login()
    if person.role != ADMIN:
        raise NotFound if request.view_args else Forbidden
    refuse_impossible()
    return None


def setup_templates(app: Flask) -> None:
    """Give templates the words for codes, and the way to this page's other parts."""
    app.jinja_env.globals.update(words=labels, said=labels.label, changed_url=changed_url)


def changed_url(**changes: Any) -> str:
    """This page's address with some of its query changed; an empty value takes a name out."""
    query = {name: value for name, value in request.args.items() if name not in changes}
    query.update({name: str(value) for name, value in changes.items() if value not in ("", None)})
    return f"{request.path}?{urlencode(query)}" if query else request.path


def now() -> datetime:
    """The moment by the app's clock."""
    return current_services().now()


@contextmanager
def reading() -> Iterator[Session]:
    """A session that only reads."""
    with current_services().database.read() as s:
        yield s


@contextmanager
def writing() -> Iterator[Session]:
    """One writing transaction."""
    with current_services().database.write() as s:
        yield s


def directory_or_none(s: Session) -> Directory | None:
    """The configured directory."""
    return directory_settings.load(s)


def note(s: Session, event: str, **more: Any) -> None:
    """Audit what the signed-in administrator does, in the caller's transaction."""
    audit.append(
        s,
        event,
        now=now(),
        actor=require_current_user().email,
        address=request.remote_addr or "",
        **more,
    )


def page(template: str, status: int = 200, **values: Any) -> tuple[str, int]:
    """A page of the console."""
    return render_template(f"console/{template}", **values), status


def part_only() -> bool:
    """Return whether a script asks for a part of the page, to put it into the page that is open."""
    return "HX-Request" in request.headers or request.values.get("part") == "1"
