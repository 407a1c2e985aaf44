"""The token endpoint's grants, on Authlib's server and grant classes.

Authlib reads the request, finds the grant and words the errors. What a grant does with the
records is ours: one short transaction, and the signature is made after it, so that no writer
waits for a signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, BaseGrant, OAuth2Request, TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import (
    AccessDeniedError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN
from authlib.oauth2.rfc8628 import AuthorizationPendingError, ExpiredTokenError, SlowDownError
from flask import Response, request

from authsvc.oidc import claims, client_auth
from authsvc.oidc.provider import Provider
from kerauno import audit
from kerauno.database.prepared import PreparedConnection
from kerauno.oauth import devices, tokens
from kerauno.oauth.clients import ClientInfo
from kerauno.oauth.devices import Waiting
from kerauno.oauth.registration import CODE, CREDENTIALS, DEVICE, REFRESH, USER_SCOPES
from kerauno.oauth.tokens import Issued, TokenRefusal

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address

_SAID = {
    TokenRefusal.PERSON_GONE: "The person is signed out or may no longer sign in.",
    TokenRefusal.REPLAYED: "It was used before; everything that came of it has ended.",
}


class TokenRequest(OAuth2Request):
    """Flask's request for Authlib. Its transport check is left out: how people reach the
    service is what `public_url` says, and behind a proxy the request itself does not know."""

    def __init__(self) -> None:
        self.method = request.method
        self.uri = request.path
        self.headers = {}  # what is in them is read by `client_auth`
        self.payload = BasicOAuth2Payload(request.form.to_dict())
        self.client = None
        self.auth_method = None
        self.user = None
        self._scope = None
        self._body = None

    @property
    def form(self) -> dict[str, str]:
        """The form alone: credentials and codes in the query string are not read."""
        assert self.payload is not None
        return self.payload.data


class TokenServer(AuthorizationServer):
    """The token endpoint."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        for grant in (CodeGrant, RefreshGrant, CredentialsGrant, DeviceGrant):
            self.register_grant(grant)

    def create_oauth2_request(self, request: object) -> OAuth2Request:  # noqa: ARG002
        """The request that Flask serves now."""
        return TokenRequest()

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """As Flask's response."""
        text = json.dumps(body) if isinstance(body, Mapping) else body
        return Response(text, status, headers)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def respond(self) -> Response:
        """Answer the token request that Flask serves now."""
        if any(len(values) > 1 for _, values in request.form.lists()):  # RFC 6749 3.2
            return self.refuse(InvalidRequestError("A parameter is there more than once."))
        if "grant_type" not in request.form:
            return self.refuse(InvalidRequestError("The parameter grant_type is missing."))
        return self.create_token_response()  # type: ignore[return-value]

    def refuse(self, error: OAuth2Error) -> Response:
        """An error as RFC 6749 5.2 has it."""
        return self.handle_response(*error())


class _Grant(BaseGrant, TokenEndpointMixin):
    """The steps of every grant: prove the app, see whether it may, answer with tokens."""

    server: TokenServer
    app: ClientInfo  # once proven
    GRANT_TYPE: str

    @property
    def provider(self) -> Provider:
        """The provider of the server."""
        return self.server.provider

    def validate_token_request(self) -> None:
        """Prove the app and see whether this grant is open to it."""
        provider = self.provider
        self.app = client_auth.authenticate(provider, (provider.issuer, provider.url(TOKEN_PATH)))
        if self.GRANT_TYPE not in self.app.grant_types:
            raise UnauthorizedClientError("This app may not use this grant.")

    def parameter(self, name: str) -> str:
        """A parameter that must be there. Raises InvalidRequestError."""
        value = self.request.form.get(name)
        if not value:
            raise InvalidRequestError(f"The parameter {name} is missing.")
        return value

    def answer(self, issued: Issued, now: datetime) -> Any:
        """The tokens as RFC 6749 5.1 has them, with an ID token for who asked for openid."""
        body: dict[str, Any] = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": tokens.ACCESS_SECONDS,
            "scope": issued.scope,
        }
        if issued.refresh_token:
            body["refresh_token"] = issued.refresh_token
        if "openid" in issued.scope.split():
            content = claims.id_token(self.provider.issuer, self.app, issued, now)
            body["id_token"] = self.provider.keyring.sign(self.app.id_token_alg, content)
        return 200, body, self.TOKEN_RESPONSE_HEADER

    def note(
        self, h: PreparedConnection, now: datetime, outcome: str, user_id: int | None = None
    ) -> None:
        """Audit it: who signed in where, or what was refused."""
        audit.append(
            h,
            "app-sign-in",
            now=now,
            outcome=outcome,
            actor=self.app.id,
            user_id=user_id,
            address=request.remote_addr or "",
            detail={"app": self.app.name, "grant": self.GRANT_TYPE},
        )

    def note_refusal(self, h: PreparedConnection, now: datetime, refusal: TokenRefusal) -> None:
        """Audit what deserves a look; anybody can send nonsense, and that is not kept."""
        if refusal not in (TokenRefusal.UNKNOWN, TokenRefusal.EXPIRED):
            self.note(h, now, f"refused {refusal}")


def s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 4.2)."""
    octets = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


class CodeGrant(_Grant):
    """Authorization code with PKCE (RFC 6749 4.1.3, RFC 7636 4.5)."""

    GRANT_TYPE = CODE

    def create_token_response(self) -> Any:
        """Use the code up and give tokens for it."""
        code = self.parameter("code")
        redirect_uri = self.parameter("redirect_uri")
        verifier = self.parameter("code_verifier")
        if not CODE_VERIFIER_PATTERN.match(verifier):
            raise InvalidRequestError("The code_verifier is malformed.")
        now = self.provider.now()
        with self.provider.database.fast_write() as h:
            issued = tokens.redeem_code(
                h,
                now,
                code,
                client_id=self.app.id,
                redirect_uri=redirect_uri,
                challenge=s256(verifier),
            )
            if isinstance(issued, TokenRefusal):
                self.note_refusal(h, now, issued)
            elif issued.first_in_session:
                self.note(h, now, "signed-in", issued.holder.user_id)
        if isinstance(issued, TokenRefusal):
            raise InvalidGrantError(_SAID.get(issued, "The code is not valid."))
        return self.answer(issued, now)


class RefreshGrant(_Grant):
    """Refresh with rotation (RFC 6749 6, RFC 9700 4.14.2)."""

    GRANT_TYPE = REFRESH

    def create_token_response(self) -> Any:
        """Trade the refresh token."""
        token = self.parameter("refresh_token")
        now = self.provider.now()
        with self.provider.database.fast_write() as h:
            issued = tokens.refresh(
                h, now, token, client_id=self.app.id, scope=self.request.form.get("scope")
            )
            if issued is TokenRefusal.SCOPE_TOO_WIDE:
                raise InvalidScopeError()  # rolls back: the refresh token stays good
            if isinstance(issued, TokenRefusal):
                self.note_refusal(h, now, issued)
        if isinstance(issued, TokenRefusal):
            raise InvalidGrantError(_SAID.get(issued, "The refresh token is not valid."))
        return self.answer(issued, now)


class CredentialsGrant(_Grant):
    """The app for itself (RFC 6749 4.4): no person, no refresh token, no scope about people."""

    GRANT_TYPE = CREDENTIALS

    def create_token_response(self) -> Any:
        """Give an access token of the app's own."""
        scopes = self.request.form.get("scope", "").split()
        own = self.app.scopes - set(USER_SCOPES)
        if not set(scopes) <= own:
            raise InvalidScopeError()
        scope = " ".join(scopes or sorted(own))
        now = self.provider.now()
        with self.provider.database.fast_write() as h:
            token = tokens.client_token(h, now, client_id=self.app.id, scope=scope)
        body = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": tokens.ACCESS_SECONDS,
            "scope": scope,
        }
        return 200, body, self.TOKEN_RESPONSE_HEADER


_WAITING: dict[Waiting, type[OAuth2Error]] = {
    Waiting.PENDING: AuthorizationPendingError,
    Waiting.SLOW_DOWN: SlowDownError,
    Waiting.DENIED: AccessDeniedError,
    Waiting.EXPIRED: ExpiredTokenError,
    Waiting.UNKNOWN: InvalidGrantError,
}


class DeviceGrant(_Grant):
    """A device polls for what a person confirmed elsewhere (RFC 8628 3.4)."""

    GRANT_TYPE = DEVICE

    def create_token_response(self) -> Any:
        """Answer the poll."""
        code = self.parameter("device_code")
        now = self.provider.now()
        with self.provider.database.fast_write() as h:
            issued = devices.poll(h, now, code, client_id=self.app.id)
            if isinstance(issued, Issued):
                self.note(h, now, "signed-in", issued.holder.user_id)
        if isinstance(issued, Waiting):
            raise _WAITING[issued]()
        return self.answer(issued, now)
