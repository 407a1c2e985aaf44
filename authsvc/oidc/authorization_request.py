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

from authsvc.i18n.translate import gettext as _
from kerauno.oauth.clients import ClientInfo
from kerauno.oauth.registration import CODE

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
_LONGEST = 2000  # characters of one parameter
MOST = 8 * 1024
"""Octets of all parameters together."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
QUERY, FORM_POST = "query", "form_post"
RESPONSE_MODES = (QUERY, FORM_POST)


class Untrusted(Exception):
    """The request cannot be answered to the app: who asks, or where to answer, is not proven."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The address and the way to answer an app. `mode` is one of RESPONSE_MODES."""

    client: ClientInfo
    redirect_uri: str
    mode: str
    state: str | None


class Faulty(Exception):
    """The request is at fault, and the app is told what `error` says."""

    def __init__(self, error: OAuth2Error, reply_to: ReplyTo) -> None:
        super().__init__(str(error))
        self.error = error
        self.reply_to = reply_to


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A sound request. `max_age` is in seconds; `prompt` is a set of the words of `PROMPTS`."""

    reply_to: ReplyTo
    scopes: tuple[str, ...]
    code_challenge: str
    nonce: str | None = None
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    id_token_hint: str = ""

    @property
    def client(self) -> ClientInfo:
        """The app."""
        return self.reply_to.client

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
    reply_to = _reply_to(params, doubled, client, redirect_uri)
    try:
        if doubled:
            raise InvalidRequestError(f"The parameter {doubled[0]} is there more than once.")
        _check_size(params)
        if reply_to.state != params.get("state"):
            raise InvalidRequestError("The state has a character that a form does not keep.")
        _check_unsupported(params)
        _check_response(params, reply_to)
        return AuthorizationRequest(
            reply_to=reply_to,
            scopes=_scopes(params, client),
            code_challenge=_challenge(params),
            nonce=params.get("nonce"),
            prompt=_prompt(params),
            max_age=_max_age(params),
            login_hint=params.get("login_hint", ""),
            id_token_hint=params.get("id_token_hint", ""),
        )
    except OAuth2Error as error:
        raise Faulty(error, reply_to) from None


def _reply_to(
    params: Mapping[str, str], doubled: Sequence[str], client: ClientInfo, redirect_uri: str
) -> ReplyTo:
    """Return how to answer even a faulty request.

    A form can be sent to the web alone (not to an app's own scheme), and changes line breaks.
    """
    mode, state = params.get("response_mode", QUERY), params.get("state")
    as_form = (
        mode == FORM_POST
        and "response_mode" not in doubled
        and redirect_uri.lower().startswith(("https://", "http://"))
    )
    if as_form and state is not None and _CONTROL.search(state):
        state = None
    return ReplyTo(client, redirect_uri, FORM_POST if as_form else QUERY, state)


def _check_size(params: Mapping[str, str]) -> None:
    if any(len(value) > _LONGEST for value in params.values()):
        raise InvalidRequestError("A parameter is too long.")
    if sum(len(value.encode("utf-8", "surrogatepass")) for value in params.values()) > MOST:
        raise InvalidRequestError("The request is too long.")
    if any("\0" in value for value in params.values()):
        raise InvalidRequestError("A parameter has a character that is not allowed.")


def _check_unsupported(params: Mapping[str, str]) -> None:
    if "request" in params:
        raise RequestNotSupportedError()
    if "request_uri" in params:
        raise RequestURINotSupportedError()
    if "registration" in params:
        raise RegistrationNotSupportedError()


def _check_response(params: Mapping[str, str], reply_to: ReplyTo) -> None:
    if "response_type" not in params:
        raise InvalidRequestError("The parameter response_type is missing.")
    if params["response_type"] != "code":
        raise UnsupportedResponseTypeError("that")
    mode = params.get("response_mode", QUERY)
    if mode not in RESPONSE_MODES:
        raise InvalidRequestError("This response_mode is not offered.")
    if mode != reply_to.mode:
        raise InvalidRequestError("A form cannot be sent to this redirect_uri.")
    if CODE not in reply_to.client.grant_types:
        raise UnauthorizedClientError("This app may not use the authorization code.")


def _scopes(params: Mapping[str, str], client: ClientInfo) -> tuple[str, ...]:
    """Return what is asked and known; unknown words are passed over (OpenID Connect Core
    3.1.2.1)."""
    requested = dict.fromkeys(params.get("scope", "").split(" "))
    scopes = tuple(scope for scope in requested if scope in client.scopes)
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
