"""The authorization endpoint: an app sends a person here, and gets them back with a code.

Signed in and known to the app, the person sees nothing of it: one session check, one insert and a
redirect. Otherwise the request waits while they sign in, agree, or both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.rfc6749.errors import AccessDeniedError, OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from flask import Flask, redirect, render_template, request
from flask.typing import ResponseReturnValue

from authsvc.errors import error_page
from authsvc.location import Response
from authsvc.oidc import request as asking
from authsvc.oidc.endpoints import AUTHORIZE_PATH
from authsvc.oidc.keyring import NotOurs
from authsvc.oidc.provider import Provider, provider
from authsvc.oidc.request import AuthorizationRequest, Faulty, Untrusted
from authsvc.oidc.wishes import wishes
from authsvc.security import add_form_targets, lead_forms_to, serves_other_sites
from authsvc.sessions import Me, current, me, require_user
from authsvc.texts import gettext as _
from kerauno import app_requests, audit, consents, redirect_uris, tokens
from kerauno.hot import Hot
from kerauno.tokens import SignIn

CONSENT_PATH = "/oauth/consent"
_LONGEST_NEXT = 3500  # characters; a longer request waits in the database instead


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A sound request, its words, and since when it has been here (None: it is new)."""

    request: AuthorizationRequest
    params: dict[str, str]
    since: datetime | None


def setup_authorize(app: Flask) -> None:
    """Register the endpoint and the consent form, and tell where sign-in may lead on to."""
    app.add_url_rule(
        AUTHORIZE_PATH, "oidc.authorize", serves_other_sites(authorize), methods=["GET", "POST"]
    )
    app.add_url_rule(CONSENT_PATH, "oidc.consent", consent, methods=["POST"])
    add_form_targets(app, _targets)


def authorize() -> ResponseReturnValue:
    """Lead the person to sign in or agree where that is needed, then back to the app."""
    here = provider()
    try:
        arrived = _arrive(here)
    except Untrusted as error:
        return error_page(400, _("This sign-in link does not work"), str(error))
    except Faulty as faulty:
        return _send_error(here, faulty.error, faulty.redirect_uri, faulty.state)
    if request.method == "POST":  # sent by another site: the session's cookie came not along
        return redirect(_waiting(here, arrived), 303)
    asked = arrived.request
    person = current()
    if person is None or _must_sign_in_again(here, arrived, person):
        if "none" in asked.prompt:
            return _refuse(here, asked, LoginRequiredError())
        return _to_sign_in(here, arrived, person)
    if asked.id_token_hint and not _is_of(here, asked.id_token_hint, person):
        return _refuse(here, asked, LoginRequiredError())  # they signed in, as someone else
    if _must_ask(here, asked, person):
        if "none" in asked.prompt:
            return _refuse(here, asked, ConsentRequiredError())
        return _consent_page(here, arrived)
    with here.database.fast_write() as h:
        return _back_with_code(h, here, asked, person)


@require_user
def consent() -> ResponseReturnValue:
    """The person's word on what the app asked for."""
    here = provider()
    handle = request.form.get("request_uri", "")
    now = here.now()
    try:
        arrived = _recalled(here, handle, now)
    except (Untrusted, Faulty):
        return error_page(
            400,
            _("This took too long"),
            _("The app's request is not waiting any more. Start again there."),
        )
    asked, person = arrived.request, me()
    if request.form.get("decision") != "allow":
        with here.database.fast_write() as h:
            app_requests.forget(h, handle)
            _note(h, here, asked, person, "app-consent", "denied")
        return _refuse(here, asked, AccessDeniedError())
    with here.database.write() as s:
        consents.grant(s, person.user_id, asked.client.id, asked.scopes, now)
    with here.database.fast_write() as h:
        app_requests.forget(h, handle)
        _note(h, here, asked, person, "app-consent", "granted")
        return _back_with_code(h, here, asked, person)


def _arrive(here: Provider) -> _Arrived:
    """What the app asks, from the address, a form, or kept here. Raises Untrusted, Faulty."""
    source = request.form if request.method == "POST" else request.args
    handles = source.getlist("request_uri")
    if len(handles) == 1 and handles[0].startswith(app_requests.PREFIX):
        return _recalled(here, handles[0], here.now(), source.get("client_id", ""))
    params, doubled = asking.gather(source.getlist)
    client, redirect_uri = asking.identify(params, doubled, here.client)
    return _Arrived(asking.check(params, doubled, client, redirect_uri), params, None)


def _recalled(here: Provider, handle: str, now: datetime, client_id: str | None = None) -> _Arrived:
    """A request that was pushed (RFC 9126 4) or has been waiting."""
    with here.database.fast() as h:
        kept = app_requests.recall(h, now, handle)
    if kept is None or client_id not in (None, kept[0]):
        raise Untrusted(
            _("The app's request is not known any more. Please start again at the app.")
        )
    owner, params, since = kept
    client, redirect_uri = asking.identify(params | {"client_id": owner}, (), here.client)
    return _Arrived(asking.check(params, (), client, redirect_uri), params, since)


def _must_sign_in_again(here: Provider, arrived: _Arrived, person: Me) -> bool:
    """Whether the app asks for more than this session proves (OpenID Connect Core 3.1.2.1)."""
    asked = arrived.request
    if arrived.since is not None and person.created_at > arrived.since:
        return False  # they signed in after the app asked: nothing could be fresher
    if asked.prompt & {"login", "select_account"}:
        return True
    if asked.max_age is not None:
        age = here.now() - person.created_at
        if age > timedelta(seconds=asked.max_age):
            return True
    return bool(asked.id_token_hint) and not _is_of(here, asked.id_token_hint, person)


def _is_of(here: Provider, hint: str, person: Me) -> bool:
    try:
        return here.keyring.verify(hint).get("sub") == person.subject
    except NotOurs:
        return False


def _must_ask(here: Provider, asked: AuthorizationRequest, person: Me) -> bool:
    if "consent" in asked.prompt:
        return True
    if asked.client.first_party:
        return False
    with here.database.fast() as h:
        return not consents.covers(h, person.user_id, asked.client.id, asked.scopes)


def _to_sign_in(here: Provider, arrived: _Arrived, person: Me | None) -> ResponseReturnValue:
    """To the sign-in page, and back here. The request waits here where it must be proven that
    the sign-in came after it, or where it is too long for an address."""
    asked = arrived.request
    target = f"{AUTHORIZE_PATH}?{urlencode(arrived.params)}"
    anew = person is not None or asked.prompt & {"login", "select_account"}
    if anew or arrived.since is not None or len(target) > _LONGEST_NEXT:
        target = _waiting(here, arrived)
    query = {"next": target}
    if asked.login_hint:
        query["username"] = asked.login_hint[:320]
    if anew:  # by the form: a ticket or a session would prove nothing fresh
        query["again"] = "1"
    return redirect(f"/login?{urlencode(query)}", 302)


def _waiting(here: Provider, arrived: _Arrived) -> str:
    """Keep the request; gives the address under which it goes on."""
    client_id = arrived.request.client.id
    with here.database.fast_write() as h:
        handle = app_requests.keep(
            h,
            here.now(),
            client_id=client_id,
            params=arrived.params,
            seconds=app_requests.WAITING_SECONDS,
        )
    query = urlencode({"client_id": client_id, "request_uri": handle})
    return f"{AUTHORIZE_PATH}?{query}"


def _consent_page(here: Provider, arrived: _Arrived) -> ResponseReturnValue:
    asked = arrived.request
    target = _waiting(here, arrived)
    lead_forms_to(redirect_uris.origin(asked.redirect_uri))
    return render_template(
        "oidc/consent.html",
        app_name=asked.client.name,
        host=urlsplit(asked.redirect_uri).hostname or asked.redirect_uri,
        wishes=wishes(asked.scopes),
        request_uri=dict(parse_qsl(urlsplit(target).query))["request_uri"],
        action=CONSENT_PATH,
    )


def _back_with_code(
    h: Hot, here: Provider, asked: AuthorizationRequest, person: Me
) -> ResponseReturnValue:
    code = tokens.new_code(
        h,
        here.now(),
        client_id=asked.client.id,
        user_id=person.user_id,
        redirect_uri=asked.redirect_uri,
        scope=asked.scope,
        nonce=asked.nonce,
        code_challenge=asked.code_challenge,
        sign_in=SignIn(person.created_at, person.method, person.handle),
    )
    return _send(asked.redirect_uri, [("code", code)], asked.state, here.issuer)


def _refuse(here: Provider, asked: AuthorizationRequest, error: OAuth2Error) -> Response:
    return _send_error(here, error, asked.redirect_uri, asked.state)


def _send_error(
    here: Provider, error: OAuth2Error, redirect_uri: str, state: str | None
) -> Response:
    """RFC 6749 4.1.2.1."""
    params = [("error", str(error.error))]
    text = error.get_error_description()
    if text:
        params.append(("error_description", text))
    return _send(redirect_uri, params, state, here.issuer)


def _send(
    redirect_uri: str, params: list[tuple[str, str]], state: str | None, issuer: str
) -> Response:
    """Back to the app, naming ourselves (RFC 9207 2). 303: a form is not to be sent again."""
    if state is not None:
        params = [*params, ("state", state)]
    location = redirect_uris.with_parameters(redirect_uri, [*params, ("iss", issuer)])
    response = Response(status=303 if request.method == "POST" else 302)
    response.headers["Location"] = location
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _note(
    h: Hot, here: Provider, asked: AuthorizationRequest, person: Me, event: str, outcome: str
) -> None:
    audit.append(
        h,
        event,
        now=here.now(),
        outcome=outcome,
        actor=person.username,
        user_id=person.user_id,
        address=request.remote_addr or "",
        detail={"app": asked.client.name, "client": asked.client.id, "scope": asked.scope},
    )


def _targets(next_url: str) -> Iterable[str]:
    """Where a sign-in that goes on here ends: the app's registered address, and no other."""
    parts = urlsplit(next_url)
    if parts.path != AUTHORIZE_PATH:
        return []
    here = provider()
    query = dict(parse_qsl(parts.query))
    handle = query.get("request_uri", "")
    if handle:
        with here.database.fast() as h:
            kept = app_requests.recall(h, here.now(), handle)
        query = kept[1] | {"client_id": kept[0]} if kept else {}
    client = here.client(query.get("client_id", "")[:64])
    redirect_uri = query.get("redirect_uri", "")
    if client is None or not client.answers_at(redirect_uri):
        return []
    return [redirect_uris.origin(redirect_uri)]
