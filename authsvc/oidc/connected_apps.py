"""The person's connected apps: what they opened with Kerauno, and ending it."""

from __future__ import annotations

from flask import Flask, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from authsvc.i18n.translate import N_
from authsvc.oidc.provider import current_provider
from authsvc.oidc.scope_labels import known
from authsvc.web.layout import NavItem, add_to_first_group
from authsvc.web.session import require_current_user, require_user
from kerauno import audit
from kerauno.oauth import clients, consents

APPS_PATH = "/apps"


def setup_apps(app: Flask) -> None:
    """Register the page and its entry in the navigation."""
    app.add_url_rule(APPS_PATH, "oidc.apps", apps)
    app.add_url_rule(
        f"{APPS_PATH}/<client_id>/disconnect", "oidc.disconnect", disconnect, methods=["POST"]
    )
    add_to_first_group(app, NavItem(N_("Connected apps"), APPS_PATH, "app"))


@require_user
def apps() -> ResponseReturnValue:
    """Every app that holds something of the person."""
    with current_provider().database.read() as s:
        connected = consents.connected(s, require_current_user().user_id)
    return render_template(
        "oidc/apps.html", known=known, apps=connected, done="disconnected" in request.args
    )


@require_user
def disconnect(client_id: str) -> ResponseReturnValue:
    """Take consent back; tokens end and the app is told."""
    provider, person = current_provider(), require_current_user()
    now = provider.now()
    with provider.database.write() as s:
        if not consents.withdraw(s, person.user_id, client_id, now):
            raise NotFound
        audit.append(
            s,
            "app-consent",
            now=now,
            outcome="withdrawn",
            actor=person.email,
            user_id=person.user_id,
            address=request.remote_addr or "",
            detail={"app": clients.get(s, client_id).name, "client": client_id},
        )
    return redirect(f"{APPS_PATH}?disconnected", 303)
