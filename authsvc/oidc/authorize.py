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
from authsvc.oidc.provider import Provider, current_provider
from authsvc.oidc.response_modes import reply, reply_error
from authsvc.oidc.scope_labels import labels_of
from authsvc.web.csrf import csrf_exempt
from authsvc.web.errors import error_page
from authsvc.web.security_headers import add_form_targets, csp_form_action
from authsvc.web.session import CurrentUser, current_user, require_current_user, require_user
from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.database.prepared import PreparedConnection
from kerauno.oauth import authorization_requests, consents, tokens
from kerauno.oauth.tokens import SignIn

CONSENT_PATH = "/oauth/consent"
_FRESH = frozenset({"login", "select_account"})


class Step(enum.Enum):
    """A step that a request needs before its code."""

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
    provider = current_provider()
    try:
        arrived = pending_request.arrive(
            provider, request.form if request.method == "POST" else request.args
        )
    except Untrusted as error:
        return error_page(400, _("This sign-in link does not work"), str(error))
    except Faulty as faulty:
        return reply_error(faulty.reply_to, faulty.error, provider.issuer)
    try:
        if request.method == "POST":  # of another site: the session's cookie did not come along
            return redirect(pending_request.address(provider, arrived), 303)
        return _go_on(provider, arrived, current_user())
    except Throttled:
        return reply_error(arrived.request.reply_to, UnavailableError(), provider.issuer)


def _go_on(provider: Provider, arrived: Arrived, person: CurrentUser | None) -> ResponseReturnValue:
    step = _next_step(provider, arrived, person)
    if isinstance(step, OAuth2Error):
        return _refuse(provider, arrived, step)
    if person is None or step is Step.SIGN_IN:
        return _to_sign_in(provider, arrived, person)
    if step is Step.AGREE:
        return _consent_page(provider, arrived, person)
    with provider.database.fast_write() as h:
        code = _new_code(h, provider, arrived, person)
    return _back(provider, arrived, code)


@require_user
def consent() -> ResponseReturnValue:
    """The person's word on what the app asked for, in the session that was asked."""
    provider, person = current_provider(), require_current_user()
    try:
        arrived = pending_request.answered(provider, request.form.get("request_uri", ""), person)
    except (Untrusted, Faulty):
        return _too_late()
    allowed = request.form.get("decision") == "allow"
    step = _next_step(provider, arrived, person) if allowed else AccessDeniedError()
    if isinstance(step, OAuth2Error):
        return _refuse(provider, arrived, step, person)
    if step is Step.SIGN_IN:
        with provider.database.fast_write() as h:
            pending_request.use_up(h, arrived)
        return _to_sign_in(provider, replace(arrived, handle="", kept=None), person)
    authorization = arrived.request
    with provider.database.write() as s:
        consents.grant(
            s, person.user_id, authorization.client.id, authorization.scopes, provider.now()
        )
    with provider.database.fast_write() as h:
        code = _new_code(h, provider, arrived, person)
        if code:
            _note(h, provider, authorization, person, "granted")
    return _back(provider, arrived, code)


def _next_step(
    provider: Provider, arrived: Arrived, person: CurrentUser | None
) -> Step | OAuth2Error:
    """Return what is due, or why the app gets no code (OpenID Connect Core 3.1.2.1, 3.1.2.6)."""
    authorization = arrived.request
    silent = "none" in authorization.prompt
    if person is None:
        return LoginRequiredError() if silent else Step.SIGN_IN
    fresh = _is_fresh(arrived, person)
    if not fresh and _needs_fresh(provider, authorization, person):
        return LoginRequiredError() if silent else Step.SIGN_IN
    if authorization.id_token_hint and not _is_of(provider, authorization.id_token_hint, person):
        return LoginRequiredError() if fresh or silent else Step.SIGN_IN
    if _must_ask(provider, authorization, person):
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


def _needs_fresh(
    provider: Provider, authorization: AuthorizationRequest, person: CurrentUser
) -> bool:
    """Tell whether the app asks for more than an older session proves."""
    if authorization.prompt & _FRESH:
        return True
    return authorization.max_age is not None and (
        provider.now() - person.created_at > timedelta(seconds=authorization.max_age)
    )


def _is_of(provider: Provider, hint: str, person: CurrentUser) -> bool:
    try:
        return provider.keyring.verify(hint).get("sub") == person.subject
    except NotOurs:
        return False


def _must_ask(provider: Provider, authorization: AuthorizationRequest, person: CurrentUser) -> bool:
    if "consent" in authorization.prompt:
        return True
    if authorization.client.first_party:
        return False
    with provider.database.fast() as h:
        return not consents.covers(h, person.user_id, authorization.client.id, authorization.scopes)


def _to_sign_in(
    provider: Provider, arrived: Arrived, person: CurrentUser | None
) -> ResponseReturnValue:
    """To the sign-in page, and back here."""
    authorization = arrived.request
    again = person is not None or bool(authorization.prompt & _FRESH)
    query = {"next": pending_request.address(provider, arrived, stamped=again)}
    if authorization.login_hint:
        query["username"] = authorization.login_hint[:320]
    if again:  # by the form: a ticket or a session would prove nothing fresh
        query["again"] = "1"
    return redirect(f"/login?{urlencode(query)}", 303 if request.method == "POST" else 302)


def _consent_page(provider: Provider, arrived: Arrived, person: CurrentUser) -> ResponseReturnValue:
    authorization = arrived.request
    redirect_uri = authorization.reply_to.redirect_uri
    with provider.database.fast_write() as h:
        handle = authorization_requests.show(
            h,
            provider.now(),
            client_id=authorization.client.id,
            params=arrived.params,
            asked_at=arrived.since or provider.now(),
            session_handle=person.handle,
            parent=arrived.kept.id if arrived.kept else None,
        )
    csp_form_action(*authorization.client.origins)
    return render_template(
        "oidc/consent.html",
        app_name=authorization.client.name,
        host=urlsplit(redirect_uri).hostname or redirect_uri,
        wishes=labels_of(authorization.scopes),
        request_uri=handle,
        action=CONSENT_PATH,
    )


def _new_code(
    h: PreparedConnection, provider: Provider, arrived: Arrived, person: CurrentUser
) -> str:
    """Return the code; empty where the request was answered in the meantime."""
    if not pending_request.use_up(h, arrived):
        return ""
    authorization = arrived.request
    return tokens.new_code(
        h,
        provider.now(),
        client_id=authorization.client.id,
        user_id=person.user_id,
        redirect_uri=authorization.reply_to.redirect_uri,
        scope=authorization.scope,
        nonce=authorization.nonce,
        code_challenge=authorization.code_challenge,
        sign_in=SignIn(person.created_at, person.method, person.handle),
    )


def _back(provider: Provider, arrived: Arrived, code: str) -> ResponseReturnValue:
    if not code:
        return _too_late()
    return reply(arrived.request.reply_to, [("code", code)], provider.issuer)


def _refuse(
    provider: Provider, arrived: Arrived, error: OAuth2Error, person: CurrentUser | None = None
) -> ResponseReturnValue:
    """Tell the app; with a person, that they did not agree is noted."""
    if arrived.kept is not None:
        with provider.database.fast_write() as h:
            if not pending_request.use_up(h, arrived):
                return _too_late()
            if person is not None and isinstance(error, AccessDeniedError):
                _note(h, provider, arrived.request, person, "denied")
    return reply_error(arrived.request.reply_to, error, provider.issuer)


def _too_late() -> ResponseReturnValue:
    return error_page(
        400,
        _("This took too long"),
        _("The app's request is not waiting any more. Start again there."),
    )


def _note(
    h: PreparedConnection,
    provider: Provider,
    authorization: AuthorizationRequest,
    person: CurrentUser,
    outcome: str,
) -> None:
    audit.append(
        h,
        "app-consent",
        now=provider.now(),
        outcome=outcome,
        actor=person.username,
        user_id=person.user_id,
        address=request.remote_addr or "",
        detail={
            "app": authorization.client.name,
            "client": authorization.client.id,
            "scope": authorization.scope,
        },
    )


def _targets(next_url: str) -> Iterable[str]:
    """Return where a sign-in that goes on here ends: the app's registered origins, and no other."""
    parts = urlsplit(next_url)
    if parts.path != AUTHORIZE_PATH:
        return ()
    provider = current_provider()
    query = dict(parse_qsl(parts.query))
    handle = query.get("request_uri", "")
    if handle:
        with provider.database.fast() as h:
            kept = authorization_requests.recall(h, provider.now(), handle)
        query = kept.params | {"client_id": kept.client_id} if kept else {}
    client = provider.client(query.get("client_id", "")[:64])
    if client is None or not client.answers_at(query.get("redirect_uri", "")):
        return ()
    return client.origins
