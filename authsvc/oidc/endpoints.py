"""The provider's endpoints for programs. The ones for people are in authorize, logout, device."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
)
from flask import Flask, Response, request

from authsvc.oidc import authorization_request, claims, client_auth
from authsvc.oidc.provider import Provider, current_provider
from authsvc.oidc.token_endpoint import TOKEN_PATH, TokenServer
from authsvc.web import authorization_header
from authsvc.web.csrf import csrf_exempt
from kerauno.base.errors import Throttled
from kerauno.base.ip_addresses import network
from kerauno.oauth import authorization_requests, devices, tokens
from kerauno.oauth.clients import ClientInfo
from kerauno.oauth.registration import DEVICE, GRANTS, USER_SCOPES

AUTHORIZE_PATH = "/oauth/authorize"
USERINFO_PATH = "/oauth/userinfo"
INTROSPECT_PATH = "/oauth/introspect"
REVOKE_PATH = "/oauth/revoke"
KEYS_PATH = "/oauth/jwks"
PUSH_PATH = "/oauth/par"
LOGOUT_PATH = "/oauth/logout"
DEVICE_START_PATH = "/oauth/device"
DEVICE_PATH = "/device"
QR_PATH = "/device/qr"

_CACHED = {"Cache-Control": "public, max-age=300"}
_NOT_CACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
WELL_KNOWN_PATHS = (
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",  # RFC 8414
)
OPEN_PATHS = frozenset(
    {
        *WELL_KNOWN_PATHS,
        KEYS_PATH,
        TOKEN_PATH,
        USERINFO_PATH,
        REVOKE_PATH,
        PUSH_PATH,
        DEVICE_START_PATH,
    }
)
"""What an app in a browser calls from its own site. Not introspection, which needs a secret."""

_OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, *",  # the star does not mean the first
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
    "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def setup_endpoints(app: Flask, server: TokenServer) -> None:
    """Register them. `server` answers token requests."""

    def token() -> Response:
        return server.respond()

    for path in WELL_KNOWN_PATHS:
        app.add_url_rule(path, f"oidc.{path.rpartition('/')[2]}", discovery)
    app.add_url_rule(KEYS_PATH, "oidc.keys", keys)
    for path, name, view, methods in (
        (TOKEN_PATH, "token", token, ["POST"]),
        (USERINFO_PATH, "userinfo", userinfo, ["GET", "POST"]),
        (REVOKE_PATH, "revoke", revoke, ["POST"]),
        (INTROSPECT_PATH, "introspect", introspect, ["POST"]),
        (PUSH_PATH, "push", push, ["POST"]),
        (DEVICE_START_PATH, "device_start", device_start, ["POST"]),
    ):
        app.add_url_rule(path, f"oidc.{name}", csrf_exempt(view), methods=methods)
    app.after_request(_open_to_scripts)


def _open_to_scripts(response: Response) -> Response:
    """Let scripts of any site read the answer, errors included: no cookie counts at these paths.

    With Flask's own answer to OPTIONS, this is what a preflight asks for (WHATWG Fetch 3.3).
    """
    if request.path in OPEN_PATHS:
        response.headers.extend(_OPEN)
    return response


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(body), status, headers or _NOT_CACHED, content_type="application/json"
    )


def _refusal(error: OAuth2Error) -> Response:
    status, body, headers = error()
    return Response(json.dumps(body), status, headers)


def _refusing(view: Callable[[], Response]) -> Callable[[], Response]:
    """Answer errors as RFC 6749 5.2 has them; a parameter must not be there twice (3.2)."""

    @wraps(view)
    def guarded() -> Response:
        try:
            if any(len(values) > 1 for _, values in request.form.lists()):
                raise InvalidRequestError("A parameter is there more than once.")
            return view()
        except OAuth2Error as error:
            return _refusal(error)
        except Throttled as error:
            return _too_much(error)

    return guarded


def _too_much(error: Throttled) -> Response:
    """Too many requests of this kind wait for people at this address (RFC 9126 2.3)."""
    body = {"error": "slow_down", "error_description": "Too many requests are waiting."}
    return _json(body, 429, _NOT_CACHED | {"Retry-After": str(error.retry_after)})


def metadata(of: Provider) -> dict[str, Any]:
    """Return what the provider offers (OpenID Connect Discovery 3, RFC 8414 2, RFC 9126 5, RFC 9207
    3)."""
    methods = list(client_auth.METHODS)
    return {
        "issuer": of.issuer,
        "authorization_endpoint": of.url(AUTHORIZE_PATH),
        "token_endpoint": of.url(TOKEN_PATH),
        "userinfo_endpoint": of.url(USERINFO_PATH),
        "jwks_uri": of.url(KEYS_PATH),
        "introspection_endpoint": of.url(INTROSPECT_PATH),
        "revocation_endpoint": of.url(REVOKE_PATH),
        "end_session_endpoint": of.url(LOGOUT_PATH),
        "device_authorization_endpoint": of.url(DEVICE_START_PATH),
        "pushed_authorization_request_endpoint": of.url(PUSH_PATH),
        "scopes_supported": list(USER_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(authorization_request.RESPONSE_MODES),
        "grant_types_supported": list(GRANTS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": client_auth.ASSERTION_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": methods[:-1],
        "introspection_endpoint_auth_signing_alg_values_supported": (
            client_auth.ASSERTION_ALGORITHMS
        ),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": client_auth.ASSERTION_ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(authorization_request.PROMPTS),
        "acr_values_supported": list(claims.ACRS),
        "claim_types_supported": ["normal"],
        "claims_supported": list(claims.SUPPORTED),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }


def discovery() -> Response:
    """The provider's metadata."""
    return _json(metadata(current_provider()), headers=_CACHED)


def keys() -> Response:
    """The public keys (RFC 7517 5)."""
    return _json({"keys": current_provider().keyring.published()}, headers=_CACHED)


def userinfo() -> Response:
    """Return what the access token's scopes tell of its person (OpenID Connect Core 5.3)."""
    token = _bearer()
    if isinstance(token, Response):
        return token
    provider = current_provider()
    with provider.database.fast() as h:
        grant = tokens.holder_of(h, provider.now(), token)
    if grant is None:
        return _bearer_error(401, "invalid_token", "The access token has expired or was ended.")
    holder, scope = grant
    scopes = scope.split()
    if "openid" not in scopes:
        return _bearer_error(403, "insufficient_scope", "It needs the scope openid.", "openid")
    return _json(claims.of_person(holder, scopes))


def _bearer() -> str | Response:
    """The access token of this request (RFC 6750 2), or the answer that says what is wrong."""
    if "access_token" in request.args:  # 2.3: it would end in logs and histories
        return _bearer_error(400, "invalid_request", "A token does not belong in an address.")
    token = authorization_header.bearer(request.headers.get("Authorization", ""))
    in_form = request.form.get("access_token") if request.method == "POST" else None
    if token:
        if in_form is not None:
            return _bearer_error(400, "invalid_request", "More than one token was sent.")
        return token
    if in_form:
        return in_form
    return _bearer_error(401)


def _bearer_error(status: int, error: str = "", text: str = "", scope: str = "") -> Response:
    """RFC 6750 3: without a token no error is named."""
    parts = {"error": error, "error_description": text, "scope": scope}
    parameters = "".join(f', {name}="{value}"' for name, value in parts.items() if value)
    body = {name: value for name, value in parts.items() if value and name != "scope"}
    headers = _NOT_CACHED | {"WWW-Authenticate": f'Bearer realm="Kerauno"{parameters}'}
    return _json(body, status, headers)


def _proven(path: str) -> ClientInfo:
    """The app that sent this request. Raises OAuth2Error."""
    provider = current_provider()
    audiences = (provider.issuer, provider.url(path), provider.url(TOKEN_PATH))
    return client_auth.authenticate(provider, audiences)


@_refusing
def introspect() -> Response:
    """Return whether a token is good, for what and whom (RFC 7662). For apps that can keep a
    secret.

    The company's own apps may ask about any token, others about their own alone; everything else
    is simply not active.
    """
    client = _proven(INTROSPECT_PATH)
    if not client.confidential:
        raise InvalidClientError("Only apps with credentials may ask.", status_code=401)
    token = request.form.get("token")
    if not token:
        raise InvalidRequestError("The parameter token is missing.")
    provider = current_provider()
    with provider.database.fast() as h:
        description = tokens.describe(h, provider.now(), token)
    if description is None or not (client.first_party or description.client_id == client.id):
        return _json({"active": False})
    body = {
        "active": True,
        "client_id": description.client_id,
        "scope": description.scope,
        "token_type": "Bearer" if description.kind == "access_token" else "refresh_token",
        "iat": int(description.issued_at.timestamp()),
        "exp": int(description.expires_at.timestamp()),
        "sub": description.subject or description.client_id,
        "iss": provider.issuer,
        "aud": description.client_id,
    }
    return _json(body | ({"username": description.username} if description.username else {}))


@_refusing
def revoke() -> Response:
    """End a token (RFC 7009). The answer is the same whether there was one."""
    client = _proven(REVOKE_PATH)
    token = request.form.get("token")
    if not token:
        raise InvalidRequestError("The parameter token is missing.")
    with current_provider().database.fast_write() as h:
        tokens.revoke(h, token, client_id=client.id)
    return Response(status=200, headers=_NOT_CACHED)


@_refusing
def push() -> Response:
    """Take an authorization request from the app itself (RFC 9126)."""
    client = _proven(PUSH_PATH)
    params, doubled = authorization_request.gather(request.form.getlist)
    if "request_uri" in params:
        raise InvalidRequestError("A pushed request has no request_uri.")
    params["client_id"] = client.id
    redirect_uri = params.get("redirect_uri", "")
    if not client.answers_at(redirect_uri):
        raise InvalidRequestError("The redirect_uri is not registered.")
    try:
        authorization_request.check(params, doubled, client, redirect_uri)
    except authorization_request.Faulty as faulty:
        raise faulty.error from None
    provider = current_provider()
    owner = "" if client.confidential else network(request.remote_addr or "")
    with provider.database.fast_write() as h:
        handle = authorization_requests.push(
            h, provider.now(), client_id=client.id, params=params, owner=owner
        )
    return _json({"request_uri": handle, "expires_in": authorization_requests.PUSHED_SECONDS}, 201)


@_refusing
def device_start() -> Response:
    """A device asks for a code to show (RFC 8628 3.1)."""
    client = _proven(DEVICE_START_PATH)
    if DEVICE not in client.grant_types:
        raise UnauthorizedClientError("This app may not sign in devices.")
    scopes = dict.fromkeys(request.form.get("scope", "openid").split())
    scope = " ".join(word for word in scopes if word in client.scopes)
    if not scope:
        raise InvalidScopeError()
    provider = current_provider()
    now: datetime = provider.now()
    address = request.remote_addr or ""
    with provider.database.fast_write() as h:
        started = devices.start(h, now, client_id=client.id, scope=scope, address=address)
    page = provider.url(DEVICE_PATH)
    body = {
        "device_code": started.device_code,
        "user_code": started.user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={started.user_code}",
        "qr_code_uri": f"{provider.url(QR_PATH)}?user_code={started.user_code}",  # for displays
        "expires_in": devices.LIFETIME_SECONDS,
        "interval": devices.INTERVAL_SECONDS,
    }
    return _json(body)
