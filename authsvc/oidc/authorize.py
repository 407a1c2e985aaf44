"""The authorization endpoint: an app sends a person here, and gets them back with a code.

Signed in and known to the app, the person sees nothing of it: one session check, one insert and a
redirect. Otherwise the request waits while they sign in, agree, or both.

Every condition of the request is asked where the code is made (`_next_step`), whichever page the
person comes from.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.rfc6749.errors import AccessDeniedError, OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from flask import Flask, redirect, render_template, request
from flask.typing import ResponseReturnValue

from authsvc.i18n.translate import gettext as _
from authsvc.oidc import pending_request
from authsvc.oidc.authorization_request import AuthorizationRequest, Faulty, Untrusted
from authsvc.oidc.endpoints import AUTHORIZE_PATH
from authsvc.oidc.keyring import NotOurs
from authsvc.oidc.pending_request import Arrived
from authsvc.oidc.provider import Provider, provider
from authsvc.oidc.response_modes import reply, reply_error
from authsvc.oidc.scope_labels import wishes
from authsvc.web.errors import error_page
from authsvc.web.security import add_form_targets, csp_form_action, csrf_exempt
from authsvc.web.session import CurrentUser, current_user, require_current_user, require_user
from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.database.prepared import PreparedConnection
from kerauno.oauth import authorization_requests, consents, tokens
from kerauno.oauth.tokens import SignIn

CONSENT_PATH = "/oauth/consent"
_FRESH = frozenset({"login", "select_account"})


class Step(enum.Enum):
    """What a request needs before its code."""

    SIGN_IN = enum.auto()
    AGREE = enum.auto()
    CODE = enum.auto()


class UnavailableError(OAuth2Error):
    """RFC 6749 4.1.2.1: too much waits already for people at this address."""

    error = "temporarily_unavailable"


def setup_authorize(app: Flask) -> None:
    """Register the endpoint and the consent form, and tell where sign-in may lead on to."""
    app.add_url_rule(
        AUTHORIZE_PATH, "oidc.authorize", csrf_exempt(authorize), methods=["GET", "POST"]
    )
    app.add_url_rule(CONSENT_PATH, "oidc.consent", consent, methods=["POST"])
    add_form_targets(app, _targets)


def authorize() -> ResponseReturnValue:
    """Lead the person to sign in or agree where that is needed, then back to the app."""
    here = provider()
    try:
        arrived = pending_request.arrive(
            here, request.form if request.method == "POST" else request.args
        )
    except Untrusted as error:
        return error_page(400, _("This sign-in link does not work"), str(error))
    except Faulty as faulty:
        return reply_error(faulty.reply_to, faulty.error, here.issuer)
    try:
        if request.method == "POST":  # of another site: the session's cookie did not come along
            return redirect(pending_request.address(here, arrived), 303)
        return _go_on(here, arrived, current_user())
    except Throttled:
        return reply_error(arrived.request.reply_to, UnavailableError(), here.issuer)


def _go_on(here: Provider, arrived: Arrived, person: CurrentUser | None) -> ResponseReturnValue:
    step = _next_step(here, arrived, person)
    if isinstance(step, OAuth2Error):
        return _refuse(here, arrived, step)
    if person is None or step is Step.SIGN_IN:
        return _to_sign_in(here, arrived, person)
    if step is Step.AGREE:
        return _consent_page(here, arrived, person)
    with here.database.fast_write() as h:
        code = _new_code(h, here, arrived, person)
    return _back(here, arrived, code)


@require_user
def consent() -> ResponseReturnValue:
    """The person's word on what the app asked for, in the session that was asked."""
    here, person = provider(), require_current_user()
    try:
        arrived = pending_request.answered(here, request.form.get("request_uri", ""), person)
    except (Untrusted, Faulty):
        return _too_late()
    allowed = request.form.get("decision") == "allow"
    step = _next_step(here, arrived, person) if allowed else AccessDeniedError()
    if isinstance(step, OAuth2Error):
        return _refuse(here, arrived, step, person)
    if step is Step.SIGN_IN:
        with here.database.fast_write() as h:
            pending_request.use_up(h, arrived)
        return _to_sign_in(here, replace(arrived, handle="", kept=None), person)
    asked = arrived.request
    with here.database.write() as s:
        consents.grant(s, person.user_id, asked.client.id, asked.scopes, here.now())
    with here.database.fast_write() as h:
        code = _new_code(h, here, arrived, person)
        if code:
            _note(h, here, asked, person, "granted")
    return _back(here, arrived, code)


def _next_step(here: Provider, arrived: Arrived, person: CurrentUser | None) -> Step | OAuth2Error:
    """Return what is due, or why the app gets no code (OpenID Connect Core 3.1.2.1, 3.1.2.6)."""
    asked = arrived.request
    silent = "none" in asked.prompt
    if person is None:
        return LoginRequiredError() if silent else Step.SIGN_IN
    fresh = _is_fresh(arrived, person)
    if not fresh and _needs_fresh(here, asked, person):
        return LoginRequiredError() if silent else Step.SIGN_IN
    if asked.id_token_hint and not _is_of(here, asked.id_token_hint, person):
        return LoginRequiredError() if fresh or silent else Step.SIGN_IN
    if _must_ask(here, asked, person):
        return ConsentRequiredError() if silent else Step.AGREE
    return Step.CODE


def _is_fresh(arrived: Arrived, person: CurrentUser) -> bool:
    """Tell whether the person proved who they are after the app asked.

    A ticket that the browser shows by itself proves nothing of the person's doing.
    """
    return (
        arrived.since is not None
        and person.created_at > arrived.since
        and person.method != "kerberos"
    )


def _needs_fresh(here: Provider, asked: AuthorizationRequest, person: CurrentUser) -> bool:
    """Tell whether the app asks for more than an older session proves."""
    if asked.prompt & _FRESH:
        return True
    return asked.max_age is not None and (
        here.now() - person.created_at > timedelta(seconds=asked.max_age)
    )


def _is_of(here: Provider, hint: str, person: CurrentUser) -> bool:
    try:
        return here.keyring.verify(hint).get("sub") == person.subject
    except NotOurs:
        return False


def _must_ask(here: Provider, asked: AuthorizationRequest, person: CurrentUser) -> bool:
    if "consent" in asked.prompt:
        return True
    if asked.client.first_party:
        return False
    with here.database.fast() as h:
        return not consents.covers(h, person.user_id, asked.client.id, asked.scopes)


def _to_sign_in(
    here: Provider, arrived: Arrived, person: CurrentUser | None
) -> ResponseReturnValue:
    """To the sign-in page, and back here."""
    asked = arrived.request
    again = person is not None or bool(asked.prompt & _FRESH)
    query = {"next": pending_request.address(here, arrived, stamped=again)}
    if asked.login_hint:
        query["username"] = asked.login_hint[:320]
    if again:  # by the form: a ticket or a session would prove nothing fresh
        query["again"] = "1"
    return redirect(f"/login?{urlencode(query)}", 303 if request.method == "POST" else 302)


def _consent_page(here: Provider, arrived: Arrived, person: CurrentUser) -> ResponseReturnValue:
    asked = arrived.request
    redirect_uri = asked.reply_to.redirect_uri
    with here.database.fast_write() as h:
        handle = authorization_requests.show(
            h,
            here.now(),
            client_id=asked.client.id,
            params=arrived.params,
            asked_at=arrived.since or here.now(),
            session_handle=person.handle,
            parent=arrived.kept.id if arrived.kept else None,
        )
    csp_form_action(*asked.client.origins)
    return render_template(
        "oidc/consent.html",
        app_name=asked.client.name,
        host=urlsplit(redirect_uri).hostname or redirect_uri,
        wishes=wishes(asked.scopes),
        request_uri=handle,
        action=CONSENT_PATH,
    )


def _new_code(h: PreparedConnection, here: Provider, arrived: Arrived, person: CurrentUser) -> str:
    """Return the code; empty where the request was answered in the meantime."""
    if not pending_request.use_up(h, arrived):
        return ""
    asked = arrived.request
    return tokens.new_code(
        h,
        here.now(),
        client_id=asked.client.id,
        user_id=person.user_id,
        redirect_uri=asked.reply_to.redirect_uri,
        scope=asked.scope,
        nonce=asked.nonce,
        code_challenge=asked.code_challenge,
        sign_in=SignIn(person.created_at, person.method, person.handle),
    )


def _back(here: Provider, arrived: Arrived, code: str) -> ResponseReturnValue:
    if not code:
        return _too_late()
    return reply(arrived.request.reply_to, [("code", code)], here.issuer)


def _refuse(
    here: Provider, arrived: Arrived, error: OAuth2Error, person: CurrentUser | None = None
) -> ResponseReturnValue:
    """Tell the app; with a person, that they did not agree is noted."""
    if arrived.kept is not None:
        with here.database.fast_write() as h:
            if not pending_request.use_up(h, arrived):
                return _too_late()
            if person is not None and isinstance(error, AccessDeniedError):
                _note(h, here, arrived.request, person, "denied")
    return reply_error(arrived.request.reply_to, error, here.issuer)


def _too_late() -> ResponseReturnValue:
    return error_page(
        400,
        _("This took too long"),
        _("The app's request is not waiting any more. Start again there."),
    )


def _note(
    h: PreparedConnection,
    here: Provider,
    asked: AuthorizationRequest,
    person: CurrentUser,
    outcome: str,
) -> None:
    audit.append(
        h,
        "app-consent",
        now=here.now(),
        outcome=outcome,
        actor=person.username,
        user_id=person.user_id,
        address=request.remote_addr or "",
        detail={"app": asked.client.name, "client": asked.client.id, "scope": asked.scope},
    )


def _targets(next_url: str) -> Iterable[str]:
    """Where a sign-in that goes on here ends: the app's registered origins, and no other."""
    parts = urlsplit(next_url)
    if parts.path != AUTHORIZE_PATH:
        return ()
    here = provider()
    query = dict(parse_qsl(parts.query))
    handle = query.get("request_uri", "")
    if handle:
        with here.database.fast() as h:
            kept = authorization_requests.recall(h, here.now(), handle)
        query = kept.params | {"client_id": kept.client_id} if kept else {}
    client = here.client(query.get("client_id", "")[:64])
    if client is None or not client.answers_at(query.get("redirect_uri", "")):
        return ()
    return client.origins
