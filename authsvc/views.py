"""The pages of everyone: sign-in, home, own sessions, phone book."""

from __future__ import annotations

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue

from authsvc.security import allow_form_targets, safe_next
from authsvc.services import services
from authsvc.sessions import require_user


def setup_views(app: Flask) -> None:
    """Register the pages."""
    app.add_url_rule("/login", view_func=login)
    app.add_url_rule("/", view_func=home)


def login() -> ResponseReturnValue:
    """The sign-in form."""
    target = safe_next(request.args.get("next"))
    allow_form_targets(target)
    return render_template(
        "login.html",
        next=target,
        username="",
        notice=None,
        bare_names=services().directories.bare_names(),
    )


@require_user
def home() -> ResponseReturnValue:
    """The person's home."""
    return render_template("home.html", sessions=[], departments=[], extension=None, synced=False)
