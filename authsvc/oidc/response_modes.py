"""How an app gets its answer: by a redirect, or by a form that the browser sends to it.

The form (OAuth 2.0 Form Post Response Mode) keeps code and state out of addresses and logs. A
script of ours sends it; without scripts a button does. Its page may lead to the app's own origins
and nowhere else; Chromium holds the app's redirect after the form to that, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import render_template, request

from authsvc.oidc.authorization_request import FORM_POST, ReplyTo
from authsvc.web.redirect_location import FlaskResponse
from authsvc.web.security_headers import csp_form_action
from kerauno.oauth import redirect_uris

Parameters = Sequence[tuple[str, str]]


def reply(reply_to: ReplyTo, parameters: Parameters, issuer: str) -> FlaskResponse:
    """Send the browser back to the app, naming ourselves (RFC 9207 2)."""
    parameters = [*parameters, ("iss", issuer)]
    if reply_to.state is not None:
        parameters.insert(-1, ("state", reply_to.state))
    response = _form if reply_to.mode == FORM_POST else _redirect
    return response(reply_to, parameters)


def reply_error(reply_to: ReplyTo, error: OAuth2Error, issuer: str) -> FlaskResponse:
    """The same with what went wrong (RFC 6749 4.1.2.1)."""
    parameters = [("error", str(error.error))]
    text = error.get_error_description()
    if text:
        parameters.append(("error_description", text))
    return reply(reply_to, parameters, issuer)


def _redirect(reply_to: ReplyTo, parameters: Parameters) -> FlaskResponse:
    """303 where a form led here: it is not to be sent again."""
    response = FlaskResponse(status=303 if request.method == "POST" else 302)
    response.headers["Location"] = redirect_uris.with_parameters(reply_to.redirect_uri, parameters)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _form(reply_to: ReplyTo, parameters: Parameters) -> FlaskResponse:
    """The referrer policy lets the form have an `Origin`, which some apps check."""
    csp_form_action(*reply_to.client.origins)
    page = render_template(
        "oidc/form_post.html",
        app_name=reply_to.client.name,
        action=reply_to.redirect_uri,
        parameters=parameters,
    )
    response = FlaskResponse(page, content_type="text/html; charset=utf-8")
    response.headers["Referrer-Policy"] = "strict-origin"
    return response
