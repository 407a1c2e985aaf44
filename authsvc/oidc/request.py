"""An authorization request, read and checked (OpenID Connect Core 3.1.2.1, RFC 6749, RFC 7636).

Pure. Until the app and its redirect address are proven, a fault is shown here (`Untrusted`) and
never sent anywhere: this is what keeps the endpoint from being an open redirect. From then on a
fault goes to the app, with the error its specification names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from authlib.oauth2.rfc6749.errors import (
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
    UnsupportedResponseTypeError,
)
from authlib.oidc.core.errors import (
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)

from authsvc.texts import gettext as _
from kerauno.clients import ClientInfo
from kerauno.registration import CODE

PARAMETERS = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "acr_values",
    "response_mode",
    "request",
    "request_uri",
    "registration",
)
"""Every parameter that is read; others are ignored, as RFC 6749 3.1 asks."""

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of 32 octets, RFC 7636 4.2
_LONGEST = 2000


class Untrusted(Exception):
    """The request cannot be answered to the app: who asks, or where to answer, is not proven."""


class Faulty(Exception):
    """The request is at fault, and the app is told: `error` says what, at `redirect_uri`."""

    def __init__(self, error: OAuth2Error, redirect_uri: str, state: str | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.redirect_uri = redirect_uri
        self.state = state


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A sound request. `max_age` is in seconds; `prompt` is a set of the words of `PROMPTS`."""

    client: ClientInfo
    redirect_uri: str
    scopes: tuple[str, ...]
    code_challenge: str
    state: str | None = None
    nonce: str | None = None
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    id_token_hint: str = ""

    @property
    def scope(self) -> str:
        """The scopes as one string."""
        return " ".join(self.scopes)


def gather(values: Callable[[str], Sequence[str]]) -> tuple[dict[str, str], list[str]]:
    """The parameters given (empty ones are not, RFC 6749 3.1), and those given more than once.

    `values` gives all values of one name.
    """
    params: dict[str, str] = {}
    doubled: list[str] = []
    for name in PARAMETERS:
        given = values(name)
        if len(given) > 1:
            doubled.append(name)
        if given and given[0]:
            params[name] = given[0]
    return params, doubled


def identify(
    params: Mapping[str, str], doubled: Sequence[str], find: Callable[[str], ClientInfo | None]
) -> tuple[ClientInfo, str]:
    """The app and the address to answer at. Raises Untrusted when either is not proven."""
    for name in ("client_id", "redirect_uri"):
        if name in doubled:
            raise Untrusted(_("The parameter %(name)s is there more than once.", name=name))
    client = find(params.get("client_id", "")[:64])
    if client is None:
        raise Untrusted(_("The app that sent you here is not registered."))
    redirect_uri = params.get("redirect_uri", "")
    if not client.answers_at(redirect_uri):
        raise Untrusted(
            _("%(app)s asked to be answered at an address it has not registered.", app=client.name)
        )
    return client, redirect_uri


def check(
    params: Mapping[str, str], doubled: Sequence[str], client: ClientInfo, redirect_uri: str
) -> AuthorizationRequest:
    """The request as a whole, for an app and address that `identify` has proven. Raises Faulty."""
    state = params.get("state")
    try:
        if doubled:
            raise InvalidRequestError(f"The parameter {doubled[0]} is there more than once.")
        if any(len(value) > _LONGEST for value in params.values()):
            raise InvalidRequestError("A parameter is too long.")
        _check_unsupported(params)
        _check_response(params, client)
        return AuthorizationRequest(
            client=client,
            redirect_uri=redirect_uri,
            scopes=_scopes(params, client),
            code_challenge=_challenge(params),
            state=state,
            nonce=params.get("nonce"),
            prompt=_prompt(params),
            max_age=_max_age(params),
            login_hint=params.get("login_hint", ""),
            id_token_hint=params.get("id_token_hint", ""),
        )
    except OAuth2Error as error:
        raise Faulty(error, redirect_uri, state) from None


def _check_unsupported(params: Mapping[str, str]) -> None:
    if "request" in params:
        raise RequestNotSupportedError()
    if "request_uri" in params:
        raise RequestURINotSupportedError()
    if "registration" in params:
        raise RegistrationNotSupportedError()


def _check_response(params: Mapping[str, str], client: ClientInfo) -> None:
    if "response_type" not in params:
        raise InvalidRequestError("The parameter response_type is missing.")
    if params["response_type"] != "code":
        raise UnsupportedResponseTypeError("that")
    if params.get("response_mode", "query") != "query":
        raise InvalidRequestError("Only the response_mode query is offered.")
    if CODE not in client.grant_types:
        raise UnauthorizedClientError("This app may not use the authorization code.")


def _scopes(params: Mapping[str, str], client: ClientInfo) -> tuple[str, ...]:
    """What is asked and known; unknown words are passed over (OpenID Connect Core 3.1.2.1)."""
    asked = dict.fromkeys(params.get("scope", "").split(" "))
    scopes = tuple(scope for scope in asked if scope in client.scopes)
    if not scopes:
        raise InvalidScopeError()
    return scopes


def _challenge(params: Mapping[str, str]) -> str:
    """RFC 7636 4.4.1 names both errors. A method left out means `plain`, which is not offered."""
    challenge = params.get("code_challenge")
    if challenge is None:
        raise InvalidRequestError("code challenge required")
    if params.get("code_challenge_method", "plain") != "S256":
        raise InvalidRequestError("transform algorithm not supported")
    if not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError("The code_challenge is not an S256 challenge.")
    return challenge


def _prompt(params: Mapping[str, str]) -> frozenset[str]:
    prompt = frozenset(params.get("prompt", "").split())
    if not prompt <= PROMPTS:
        raise InvalidRequestError("The prompt has a value that is not known.")
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequestError("The prompt none stands alone.")
    return prompt


def _max_age(params: Mapping[str, str]) -> int | None:
    text = params.get("max_age")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidRequestError("The max_age is not a number of seconds.")
    return int(text)
