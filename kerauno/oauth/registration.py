"""The registration of an app by an administrator, and its validation.

A registration is checked as a whole and every fault is told at once. Names are those of RFC 7591.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from kerauno.base.errors import RecordError
from kerauno.oauth.redirect_uris import is_loopback
from kerauno.outgoing.address_policy import BACK_CHANNEL, url_problem

CODE = "authorization_code"
REFRESH = "refresh_token"
CREDENTIALS = "client_credentials"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = (CODE, REFRESH, CREDENTIALS, DEVICE)

AUTH_METHODS = ("client_secret_basic", "private_key_jwt", "none")
ALGORITHMS = ("RS256", "ES256")

USER_SCOPES = ("openid", "profile", "email", "phone", "groups", "offline_access")

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")  # RFC 6749 3.3
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # a name, or IPv6: it ends up in a header
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Of a JWK: RFC 7518 6.2.2, 6.3.2, 6.4.1."""

_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")  # a private-use scheme, RFC 8252 7.1


@dataclass(frozen=True, slots=True)
class ClientFault:
    """One thing wrong with a registration: the field, what is wrong, and what to do."""

    field: str
    message: str
    remedy: str


class RegistrationRefused(RecordError):
    """An app cannot be registered like this. `faults` holds every fault, not only the first."""

    def __init__(self, faults: list[ClientFault]) -> None:
        super().__init__(" ".join(f"{fault.message} {fault.remedy}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Registration:
    """The registration of an app, in the names of RFC 7591."""

    name: str
    auth_method: str = "client_secret_basic"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    grant_types: tuple[str, ...] = (CODE, REFRESH, CREDENTIALS, DEVICE)
    scopes: tuple[str, ...] = USER_SCOPES
    jwks: dict[str, Any] | None = None
    id_token_alg: str = "RS256"  # noqa: S105 - no password
    first_party: bool = True

    def faults(self) -> list[ClientFault]:
        """Everything that keeps this from being stored; empty when it is good."""
        return [*self._identity_faults(), *self._address_faults(), *self._grant_faults()]

    def _identity_faults(self) -> list[ClientFault]:
        problems = []
        if not self.name.strip() or len(self.name) > 128 or not self.name.isprintable():
            problems.append(
                ClientFault("name", "The app has no usable name.", "Give 1 to 128 letters.")
            )
        if self.auth_method not in AUTH_METHODS:
            problems.append(
                ClientFault(
                    "auth_method",
                    f"{self.auth_method} is not a way to authenticate here.",
                    f"Choose one of {', '.join(AUTH_METHODS)}.",
                )
            )
        if self.id_token_alg not in ALGORITHMS:
            problems.append(
                ClientFault(
                    "id_token_alg",
                    f"{self.id_token_alg} is not offered.",
                    f"Choose one of {', '.join(ALGORITHMS)}.",
                )
            )
        if self.auth_method == "private_key_jwt":
            problem = _jwks_problem(self.jwks)
            if problem:
                problems.append(
                    ClientFault(
                        "jwks", problem, "Give the app's public keys as a JSON Web Key Set."
                    )
                )
        return problems

    def _address_faults(self) -> list[ClientFault]:
        problems = []
        confidential = self.auth_method != "none"
        for name, uris in (
            ("redirect_uris", self.redirect_uris),
            ("post_logout_redirect_uris", self.post_logout_redirect_uris),
        ):
            for uri in uris:
                problem = uri_problem(uri, confidential=confidential)
                if problem:
                    problems.append(ClientFault(name, f"{uri!r} {problem}", "Correct the address."))
        if self.backchannel_logout_uri:
            uri = self.backchannel_logout_uri
            problem = uri_problem(uri, confidential=True, web_only=True)
            problem = problem or url_problem(uri, BACK_CHANNEL)
            if problem:
                problems.append(
                    ClientFault(
                        "backchannel_logout_uri",
                        f"{self.backchannel_logout_uri!r} {problem}",
                        "Correct the address, or leave it empty.",
                    )
                )
        if CODE in self.grant_types and not self.redirect_uris:
            problems.append(
                ClientFault(
                    "redirect_uris",
                    "The app has no redirect address.",
                    "Give at least one, or take the authorization code away from it.",
                )
            )
        return problems

    def _grant_faults(self) -> list[ClientFault]:
        problems = [
            ClientFault(
                "grant_types", f"{grant} is not offered.", f"Choose of {', '.join(GRANTS)}."
            )
            for grant in self.grant_types
            if grant not in GRANTS
        ]
        if not self.grant_types:
            problems.append(
                ClientFault("grant_types", "The app may do nothing.", "Give it at least one grant.")
            )
        if CREDENTIALS in self.grant_types and self.auth_method == "none":
            problems.append(
                ClientFault(
                    "grant_types",
                    "A public app has no credentials of its own.",
                    "Take client_credentials away, or make the app confidential.",
                )
            )
        problems += [
            ClientFault("scopes", f"{scope!r} is not a scope.", "Use letters without blanks.")
            for scope in self.scopes
            if not _SCOPE.fullmatch(scope)
        ]
        return problems

    def unencrypted(self) -> list[str]:
        """The app's addresses that are reached through a network without encryption."""
        addresses = (*self.redirect_uris, *self.post_logout_redirect_uris)
        return [
            uri
            for uri in dict.fromkeys((*addresses, self.backchannel_logout_uri))
            if (parts := urlsplit(uri)).scheme == "http" and not is_loopback(parts.hostname or "")
        ]

    def normal(self) -> Registration:
        """The same with blanks around words and doubles dropped, order kept."""
        return replace(
            self,
            name=" ".join(self.name.split()),
            redirect_uris=_distinct(self.redirect_uris),
            post_logout_redirect_uris=_distinct(self.post_logout_redirect_uris),
            backchannel_logout_uri=self.backchannel_logout_uri.strip(),
            grant_types=_distinct(self.grant_types),
            scopes=_distinct(self.scopes),
        )


def uri_problem(uri: str, *, confidential: bool, web_only: bool = False) -> str:
    """Why an address cannot be registered, as the end of a sentence; empty when it can.

    http is for this machine (RFC 8252 7.3), and for apps that keep a secret (OpenID Connect Core
    3.1.2.1): who reads such an app's code on its way lacks both secret and verifier to use it.
    `Registration.unencrypted` names them, for a warning. A private-use scheme is for installed,
    public apps and carries a dot (RFC 8252 7.1).
    """
    if not uri or len(uri) > 2000 or not uri.isascii() or not uri.isprintable() or " " in uri:
        return "is not an address in plain characters."
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address."
    if "#" in uri:
        return "has a fragment."
    if "\\" in uri or "*" in uri:
        return "has a character that is not allowed."
    if parts.username is not None or parts.password is not None:
        return "carries a name or a password."
    if parts.scheme in ("http", "https"):
        if not host or not _HOST.fullmatch(host):
            return "has no host."
        if parts.scheme == "http" and not confidential and not is_loopback(host):
            return "is not https."
        return ""
    if web_only or confidential or not _SCHEME.fullmatch(parts.scheme):
        return "does not begin with https://."
    return ""


def holds_secrets(keys: object) -> bool:
    """Return whether private or shared key material is anywhere within a JWK or a set of them."""
    if isinstance(keys, Mapping):
        return not _SECRET_MEMBERS.isdisjoint(keys) or any(map(holds_secrets, keys.values()))
    return isinstance(keys, list) and any(map(holds_secrets, keys))


def _jwks_problem(jwks: dict[str, Any] | None) -> str:
    if holds_secrets(jwks):
        return "The keys are private: an app keeps those to itself."
    if not jwks or not isinstance(jwks.get("keys"), list) or not jwks["keys"]:
        return "There are no keys."
    try:
        keys = KeySet.import_key_set({"keys": jwks["keys"]})
    except (JoseError, ValueError, TypeError, KeyError):
        return "The keys cannot be read."
    if any(key.key_type not in ("RSA", "EC") for key in keys.keys):
        return "Only RSA and EC keys are accepted."
    return ""


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))
