"""Security > Apps: who delegates sign-in to Kerauno, and what to enter on their side."""

from __future__ import annotations

import json
from typing import Any

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from authsvc.console import base
from authsvc.console.apps import setup_guides
from authsvc.console.labels import labels
from authsvc.i18n.translate import N_, gettext
from authsvc.services import current_services
from authsvc.web.json_reader import parse_json
from kerauno.oauth import clients, consents, logout_queue
from kerauno.oauth.registration import (
    ALGORITHMS,
    AUTH_METHODS,
    CREDENTIALS,
    GRANTS,
    ClientFault,
    Registration,
    RegistrationRefused,
    holds_secrets,
)
from kerauno.tables.core import User
from kerauno.tables.oauth import Client, Consent

bp = base.blueprint("clients")

METHODS = {
    "client_secret_basic": N_("A server: it keeps a secret"),
    "private_key_jwt": N_("A server: it signs with a key of its own"),
    "none": N_("An app on people's devices or in their browser: no secret"),
}
GRANT_NAMES = {
    "authorization_code": N_("Sign people in"),
    "refresh_token": N_("Stay signed in (offline_access)"),
    "client_credentials": N_("Act for itself"),
    "urn:ietf:params:oauth:grant-type:device_code": N_("Sign in devices without a keyboard"),
}


@bp.get("/clients")
def table() -> ResponseReturnValue:
    """Every app."""
    with base.reading() as s:
        rows = clients.all_clients(s)
        waiting = logout_queue.pending(s)
    return base.page("clients.html", rows=rows, waiting=waiting, methods=labels(METHODS))


@bp.get("/clients/new")
def new_form() -> ResponseReturnValue:
    """The form for another app."""
    return _form(Registration(name=""), [], new=True)


@bp.post("/clients/new")
def add() -> ResponseReturnValue:
    """Register an app; its secret is shown this once."""
    wish = _read()
    try:
        with base.writing() as s:
            row, secret = clients.create(s, wish, base.now())
            base.note(s, "client", outcome="added", detail={"app": row.name, "client": row.id})
    except RegistrationRefused as refused:
        return _form(wish, refused.faults, new=True, status=422)
    return _one(row, secret=secret)


@bp.get("/clients/<client_id>")
def one(client_id: str) -> ResponseReturnValue:
    """An app, what to enter on its side, and who agreed to it."""
    with base.reading() as s:
        row = clients.get(s, client_id)
    return _one(row)


@bp.get("/clients/<client_id>/edit")
def edit_form(client_id: str) -> ResponseReturnValue:
    """The app's words, to be changed."""
    with base.reading() as s:
        row = clients.get(s, client_id)
    return _form(clients.registration_of(row), [], row=row)


@bp.post("/clients/<client_id>/edit")
def edit(client_id: str) -> ResponseReturnValue:
    """Store the app's words. Somebody else's change in the meantime is 409."""
    wish = _read()
    version = request.form.get("version", -1, type=int) or -1
    with base.reading() as s:
        row = clients.get(s, client_id)
    try:
        with base.writing() as s:
            clients.change(s, client_id, wish, base.now(), version=version)
            base.note(s, "client", outcome="changed", detail={"app": wish.name, "client": row.id})
    except RegistrationRefused as refused:
        return _form(wish, refused.faults, row=row, status=422)
    return redirect(f"/console/clients/{client_id}?saved=1", 303)


@bp.post("/clients/<client_id>/secret")
def rotate(client_id: str) -> ResponseReturnValue:
    """Another secret, shown this once."""
    with base.writing() as s:
        secret = clients.rotate_secret(s, client_id, base.now())
        row = clients.get(s, client_id)
        detail = {"app": row.name, "client": row.id}
        base.note(s, "client", outcome="secret-rotated", detail=detail)
    return _one(row, secret=secret)


@bp.post("/clients/<client_id>/remove")
def remove(client_id: str) -> ResponseReturnValue:
    """Remove an app with all that it holds."""
    with base.writing() as s:
        row = clients.remove(s, client_id)
        base.note(s, "client", outcome="removed", detail={"app": row.name, "client": row.id})
    return redirect("/console/clients?removed=1", 303)


@bp.post("/clients/<client_id>/consents/<int:user_id>/withdraw")
def withdraw(client_id: str, user_id: int) -> ResponseReturnValue:
    """Take a person's consent back for them; what the app holds of them ends."""
    with base.writing() as s:
        row = clients.get(s, client_id)
        consents.withdraw(s, user_id, client_id, base.now())
        detail = {"app": row.name, "client": row.id}
        base.note(s, "app-consent", outcome="withdrawn", user_id=user_id, detail=detail)
    return redirect(f"/console/clients/{client_id}?withdrawn=1", 303)


def _one(row: Client, secret: str | None = None) -> ResponseReturnValue:
    with base.reading() as s:
        agreed = _agreed(s, row.id)
    issuer = current_services().settings.public_url
    return base.page(
        "client.html",
        row=row,
        secret=secret,
        unencrypted=clients.registration_of(row).unencrypted(),
        agreed=agreed,
        method=gettext(METHODS[row.auth_method]),
        grant_names=labels(GRANT_NAMES),
        recipes=setup_guides.for_client(issuer, row, secret),
    )


def _agreed(s: Session, client_id: str) -> list[tuple[User, Consent]]:
    rows = s.execute(
        select(User, Consent)
        .join(Consent, Consent.user_id == User.id)
        .where(Consent.client_id == client_id)
        .order_by(Consent.granted_at.desc(), User.id)
        .limit(200)
    )
    return [(row[0], row[1]) for row in rows]


def _form(
    wish: Registration,
    faults: list[ClientFault],
    *,
    row: Client | None = None,
    new: bool = False,
    status: int = 200,
) -> ResponseReturnValue:
    return base.page(
        "client_form.html",
        status,
        f=wish,
        jwks=_shown_keys(wish),
        faults=faults,
        row=row,
        new=new,
        methods=labels(METHODS),
        grant_names=labels(GRANT_NAMES),
        algorithms=ALGORITHMS,
    )


def _shown_keys(wish: Registration) -> str:
    """Return the app's keys as text. What was refused because it is secret does not come back."""
    if not wish.jwks or holds_secrets(wish.jwks):
        return ""
    return json.dumps(wish.jwks, indent=2)


def _read() -> Registration:
    """The form's words. What is no choice of the form is left to be found at fault."""
    form = request.form
    method = form.get("auth_method", "")
    grants = tuple(grant for grant in GRANTS if grant in form.getlist("grant_types"))
    if method == "none":
        grants = tuple(grant for grant in grants if grant != CREDENTIALS)
    return Registration(
        name=form.get("name", "")[:500],
        auth_method=method if method in AUTH_METHODS else "",
        redirect_uris=_lines("redirect_uris"),
        post_logout_redirect_uris=_lines("post_logout_redirect_uris"),
        backchannel_logout_uri=form.get("backchannel_logout_uri", "")[:2000],
        grant_types=grants,
        scopes=tuple(form.get("scopes", "").split()),
        jwks=_keys(form.get("jwks", "")),
        id_token_alg=form.get("id_token_alg", ALGORITHMS[0]),
        first_party=form.get("first_party") == "yes",
    )


def _lines(name: str) -> tuple[str, ...]:
    return tuple(request.form.get(name, "")[:20_000].split())


def _keys(text: str) -> dict[str, Any] | None:
    try:
        read = parse_json(text) if text.strip() else None
    except ValueError:
        return {}
    return read if isinstance(read, dict) else None
