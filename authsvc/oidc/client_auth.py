"""How apps prove who they are: RFC 6749 2.3 and OpenID Connect Core 9.

client_secret_basic (and the same secret in the form, client_secret_post), private_key_jwt
(RFC 7523), and for public apps none, or an empty secret. Whatever fails is `invalid_client`, with
401, and never says which part was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from flask import request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from authsvc.oidc.compact_jwt import read_unverified
from authsvc.oidc.provider import Provider
from authsvc.web import authorization_header
from kerauno.oauth import authorization_requests
from kerauno.oauth.clients import ClientInfo

ASSERTION_ALGORITHMS = ["RS256", "PS256", "ES256"]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")

_LONGEST_ASSERTION = timedelta(hours=1)
_LEEWAY = timedelta(seconds=30)


def authenticate(provider: Provider, audiences: tuple[str, ...]) -> ClientInfo:
    """The app that sent this request, proven. Raises InvalidClientError, InvalidRequestError.

    `audiences` are what an assertion may be meant for: the issuer and the endpoint's address.
    A parameter without a value counts as left out (RFC 6749 3.2): many libraries of public apps
    send `client_secret=`, or HTTP Basic with an empty password.
    """
    form = {name: value for name, value in request.form.items() if value}
    basic = request.headers.get("Authorization", "")
    used = sum(("client_secret" in form, "client_assertion" in form, bool(basic)))
    if used > 1:
        raise InvalidRequestError("More than one way to authenticate was used.")
    if basic:
        return _by_basic(provider, basic, form)
    if "client_assertion" in form:
        return _by_assertion(provider, form, audiences)
    client = provider.client(form.get("client_id", "")[:64])
    if client is None:
        raise _failed()
    if "client_secret" in form:
        if client.auth_method == "client_secret_basic" and client.secret_is(form["client_secret"]):
            return client
        raise _failed()
    if client.auth_method != "none":
        raise InvalidClientError("This client must authenticate.", status_code=401)
    return client


def _proves(client: ClientInfo, secret: str) -> bool:
    """Tell whether the secret of HTTP Basic is the app's; a public app's is empty."""
    if client.auth_method == "none":
        return not secret
    return client.auth_method == "client_secret_basic" and client.secret_is(secret)


def _failed() -> InvalidClientError:
    return InvalidClientError("Client authentication failed.", status_code=401)


def _by_basic(provider: Provider, header: str, form: Mapping[str, str]) -> ClientInfo:
    """RFC 6749 2.3.1: both halves are form-urlencoded before they are joined."""
    pair = authorization_header.basic(header)
    if pair is None:
        raise _failed()
    client_id, secret = (unquote_plus(half) for half in pair)
    client = provider.client(client_id[:64])
    if client is None or not _proves(client, secret):
        raise _failed()
    if form.get("client_id", client_id) != client_id:
        raise InvalidRequestError("The client_id is not that of the credentials.")
    return client


def _by_assertion(
    provider: Provider, form: Mapping[str, str], audiences: tuple[str, ...]
) -> ClientInfo:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidRequestError("The client_assertion_type is not known.")
    assertion = form["client_assertion"]
    client_id = _claimed_client(assertion)
    client = provider.client(client_id[:64])
    if client is None or client.auth_method != "private_key_jwt" or not client.jwks:
        raise _failed()
    if form.get("client_id", client.id) != client.id:
        raise InvalidRequestError("The client_id is not that of the assertion.")
    claims = _verified(assertion, client, audiences, provider.now())
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidClientError("The assertion has no jti.", status_code=401)
    until = datetime.fromtimestamp(claims["exp"], UTC) + _LEEWAY
    with provider.database.fast_write() as h:
        fresh = authorization_requests.first_use(h, client.id, jti, until)
    if not fresh:
        raise InvalidClientError("The assertion was used before.", status_code=401)
    return client


def _claimed_client(assertion: str) -> str:
    """Return who the assertion says it is from; believed only after its signature was checked."""
    try:
        return str(read_unverified(assertion)["sub"])
    except (ValueError, KeyError):
        raise InvalidClientError("The assertion cannot be read.", status_code=401) from None


def _verified(
    assertion: str, client: ClientInfo, audiences: tuple[str, ...], now: datetime
) -> dict[str, Any]:
    """The assertion's claims, its signature, audience and times checked (RFC 7523 3)."""
    try:
        keys = KeySet.import_key_set(client.jwks)  # type: ignore[arg-type]
        claims = jwt.decode(assertion, keys, algorithms=ASSERTION_ALGORITHMS).claims
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(_LEEWAY.total_seconds()),
            iss={"essential": True, "value": client.id},
            sub={"essential": True, "value": client.id},
            aud={"essential": True, "values": list(audiences)},
            exp={"essential": True},
        )
        registry.validate(claims)
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidClientError("The assertion is not valid.", status_code=401) from None
    if claims["exp"] > now.timestamp() + _LONGEST_ASSERTION.total_seconds():
        raise InvalidClientError("The assertion is valid for too long.", status_code=401)
    return claims
