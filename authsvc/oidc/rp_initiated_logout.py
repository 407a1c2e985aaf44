"""An app asks to sign the person out (OpenID Connect RP-Initiated Logout 1.0).

An ID token of ours for the person who is signed in proves that the app may ask; otherwise the
person is asked, so that no other site can sign them out. A token that cannot be verified, whose key
may have left the key set since, proves nothing and is no reason to keep anybody signed in. Back to
the app only to an address that it has registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, redirect, render_template, request
from flask.typing import ResponseReturnValue

from authsvc.i18n.translate import gettext as _
from authsvc.oidc.endpoints import LOGOUT_PATH
from authsvc.oidc.keyring import NotOurs
from authsvc.oidc.provider import Provider, current_provider
from authsvc.web.csrf import csrf_exempt
from authsvc.web.errors import error_page
from authsvc.web.security_headers import csp_form_action
from authsvc.web.session import CurrentUser, clear_session_cookie, current_user
from kerauno import audit
from kerauno.oauth import redirect_uris
from kerauno.oauth.clients import ClientInfo
from kerauno.signin import sessions

CONFIRM_PATH = "/oauth/logout/confirm"
_WAY_BACK = ("post_logout_redirect_uri", "state")
_PARAMETERS = ("id_token_hint", "client_id", *_WAY_BACK)


class Refused(Exception):
    """The request contradicts itself, or asks to go where it may not."""


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A sound request. `target` is where to go afterwards, empty for a page of ours."""

    client: ClientInfo | None
    subject: str | None  # of the ID token, where one was given
    target: str


def setup_logout(app: Flask) -> None:
    """Register the endpoint and its confirmation."""
    app.add_url_rule(LOGOUT_PATH, "oidc.logout", csrf_exempt(logout), methods=["GET", "POST"])
    app.add_url_rule(CONFIRM_PATH, "oidc.logout_confirm", confirm, methods=["POST"])


def logout() -> ResponseReturnValue:
    """Sign out at once, or ask first."""
    provider = current_provider()
    params = _params(request.form if request.method == "POST" else request.args)
    try:
        logout_request = read(provider, params)
    except Refused as error:
        return error_page(400, _("This sign-in link does not work"), str(error))
    if request.method == "POST":  # sent by another site: the session's cookie came not along
        return redirect(f"{LOGOUT_PATH}?{urlencode(params)}", 303)
    person = current_user()
    if person is None:
        return _done(logout_request.target)
    if logout_request.subject != person.subject:
        return _ask(logout_request, params)
    _end(provider, person, logout_request)
    return _done(logout_request.target)


def confirm() -> ResponseReturnValue:
    """The person agrees to be signed out."""
    provider = current_provider()
    try:
        logout_request = read(provider, _params(request.form))
    except Refused as error:
        return error_page(400, _("This sign-in link does not work"), str(error))
    person = current_user()
    if person is not None:
        _end(provider, person, logout_request)
    return _done(logout_request.target)


def read(provider: Provider, params: Mapping[str, str]) -> LogoutRequest:
    """Return who asks, about whom, and where to go then. Raises Refused."""
    client_id, subject = params.get("client_id", ""), None
    hint = params.get("id_token_hint")
    claims = _claims(provider, hint) if hint else None
    if claims is not None:
        if claims.get("iss") != provider.issuer or client_id not in ("", claims.get("aud")):
            raise Refused(_("The app's proof of sign-in is not its own."))
        client_id, subject = str(claims.get("aud", "")), str(claims.get("sub", ""))
    client = provider.client(client_id[:64]) if client_id else None
    target = params.get("post_logout_redirect_uri", "")
    if hint and claims is None and not client_id:
        target = ""  # whose address it is, the token alone could have told
    if target:
        if client is None or target not in client.post_logout_redirect_uris:
            raise Refused(_("The app asked to go on at an address it has not registered."))
        if "state" in params:
            target = redirect_uris.with_parameters(target, [("state", params["state"])])
    return LogoutRequest(client, subject, target)


def _claims(provider: Provider, hint: str) -> dict[str, Any] | None:
    """Return what an ID token says; None where nothing in it may be used (section 5)."""
    try:
        return provider.keyring.verify(hint)
    except NotOurs:
        return None


def _params(source: Mapping[str, str]) -> dict[str, str]:
    return {name: source[name] for name in _PARAMETERS if source.get(name)}


def _ask(logout_request: LogoutRequest, params: Mapping[str, str]) -> ResponseReturnValue:
    kept = {"client_id": logout_request.client.id} if logout_request.client else {}
    if logout_request.target:
        csp_form_action(redirect_uris.origin(logout_request.target))
        kept |= {name: params[name] for name in _WAY_BACK if name in params}
    return render_template(
        "oidc/logout.html",
        app_name=logout_request.client.name if logout_request.client else "",
        action=CONFIRM_PATH,
        params=kept,
    )


def _end(provider: Provider, person: CurrentUser, logout_request: LogoutRequest) -> None:
    with provider.database.write() as s:
        sessions.end(s, person.session_id, provider.now())
        audit.append(
            s,
            "sign-out",
            now=provider.now(),
            outcome="ok",
            actor=person.email,
            user_id=person.user_id,
            address=request.remote_addr or "",
            detail={"app": logout_request.client.name} if logout_request.client else {},
        )


def _done(target: str) -> ResponseReturnValue:
    g.pop("_login_user", None)  # the page that follows is nobody's
    response = (
        redirect(target, 303)
        if target
        else Response(
            render_template("oidc/signed_out.html"),
            content_type="text/html; charset=utf-8",
        )
    )
    return clear_session_cookie(response)  # type: ignore[arg-type]
