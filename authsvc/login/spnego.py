"""Silent sign-in: a domain-joined browser proves itself with its Kerberos ticket (RFC 4559).

Off until an operator names a keytab. Only browsers of the company's networks are asked, once, by a
401 whose body is the sign-in form: who cannot answer sees the form and no prompt. Whom the ticket
names must be a linked user; everyone else uses the form, where the first sign-in links.

Needs the `kerberos` extra (requirements/kerberos.txt). No contact with a KDC is needed.
"""

from __future__ import annotations

import base64
import importlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlencode

import structlog
from flask import Flask, Response, current_app, redirect, request
from flask.typing import ResponseReturnValue

from authsvc.services import Services, current_services, lifetime_for
from authsvc.signin.store import Admitted
from authsvc.web.redirects import safe_redirect_path
from authsvc.web.session import cookie_name, known_cookie, set_session_cookies
from kerauno import audit
from kerauno.base.config import Settings
from kerauno.base.errors import AccessEnded, ConfigurationError, SettingFault
from kerauno.signin import sessions, user_lookup
from kerauno.signin.user_lookup import SignInUser

SILENT_PATH = "/login/silent"
TRIED_COOKIE = "kerauno-silent"
_TRIED_SECONDS = 600
_KEY = "KERAUNO_KERBEROS_KEYTAB"

_log = structlog.get_logger(__name__)


class NotAccepted(Exception):
    """The ticket proves nobody. Says why, for the log."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The name that a ticket proves, and the service's own proof for the browser (may be empty)."""

    account: str  # sAMAccountName
    realm: str
    answer: bytes


class Acceptor(Protocol):
    """Reads tickets."""

    def accept(self, token: bytes) -> Accepted:
        """Return whom the token proves. Raises NotAccepted."""


class KerberosAcceptor:
    """Reads tickets with the service's keytab, by MIT Kerberos.

    Raises ConfigurationError when the keytab or the library cannot be used.
    """

    def __init__(self, keytab: str) -> None:
        self._keytab = keytab
        try:
            self._gssapi: Any = importlib.import_module("gssapi")
        except ImportError:
            raise _fault(
                "silent sign-in needs the kerberos extra, which is not installed.",
                "Install it: pip install --require-hashes -r requirements/kerberos.txt.",
            ) from None
        try:
            with open(keytab, "rb"):
                pass
            self._credentials()
        except (OSError, self._gssapi.exceptions.GSSError) as error:
            raise _fault(
                f"the keytab {keytab} cannot be used: {error}.",
                "Export it again, and let the service's account read it.",
            ) from None

    def accept(self, token: bytes) -> Accepted:
        """See `Acceptor`. A ticket is good once: Kerberos remembers those it has seen."""
        if token.startswith(b"NTLMSSP\0"):
            raise NotAccepted("NTLM was offered, which proves too little")
        try:
            context = self._gssapi.SecurityContext(creds=self._credentials(), usage="accept")
            answer = context.step(token)
            if not context.complete:
                raise NotAccepted("more than one round was asked for")
            client, service = str(context.initiator_name), str(context.target_name)
        except self._gssapi.exceptions.GSSError as error:
            raise NotAccepted(str(error).splitlines()[0]) from None
        account, _, realm = client.rpartition("@")
        if not account or "/" in account or realm != service.rpartition("@")[2]:
            # Another realm may have somebody of the same name.
            raise NotAccepted(f"{client} is not a person of this service's realm")
        return Accepted(account, realm, answer or b"")

    def _credentials(self) -> Any:
        # Read for each ticket: the keytab is exchanged while the service runs.
        return self._gssapi.Credentials(usage="accept", store={"keytab": f"FILE:{self._keytab}"})


class Silent:
    """Silent sign-in for one app."""

    def __init__(self, settings: Settings, acceptor: Acceptor) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks(settings)]
        self._acceptor = acceptor

    def is_worth_asking(self) -> bool:
        """Return whether this request for the form comes from a browser that may have a ticket.

        Not again within ten minutes, and never from one who signed out or wants to sign in again.
        """
        if {"again", "signed-out"} & set(request.args) or TRIED_COOKIE in request.cookies:
            return False
        try:
            address = ipaddress.ip_address(request.remote_addr or "")
        except ValueError:
            return False
        return not self._networks or any(address in network for network in self._networks)

    def try_ticket(self, form: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
        """Sign in by the ticket of the request; without one ask for it, showing the form."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "negotiate":
            return self._ask(form)
        try:
            accepted = self._acceptor.accept(base64.b64decode(text, validate=True))
            user = self._user(accepted)
        except (NotAccepted, ValueError) as error:
            _log.info("silent sign-in", refused=str(error))
            return _to_form()
        try:
            return _come_in(user, accepted)
        except AccessEnded as error:
            _log.info("silent sign-in", refused=str(error))
            return _to_form()

    def _ask(self, form: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
        response = current_app.make_response(form())
        if response.status_code != 200:
            return response  # signed in already
        response.status_code = 401
        response.headers["WWW-Authenticate"] = "Negotiate"
        return _mark_tried(response)

    def _user(self, accepted: Accepted) -> SignInUser:
        with current_services().database.fast() as h:
            user = user_lookup.find(h, "down-level", accepted.account, accepted.realm)
        if user is None or user.guid is None:
            raise NotAccepted(f"{accepted.account} is linked to no user")
        if not user.active or user.blocked:
            raise NotAccepted(f"{user.username} may not sign in")
        return user


def setup_negotiate(app: Flask, collaborators: Services, acceptor: Acceptor | None = None) -> bool:
    """Offer silent sign-in if the settings name a keytab; returns whether they do.

    Raises ConfigurationError when it cannot be offered.
    """
    settings = collaborators.settings
    if not settings.kerberos_keytab:
        return False
    silent = Silent(settings, acceptor or KerberosAcceptor(settings.kerberos_keytab))
    form = cast("Callable[[], ResponseReturnValue]", app.view_functions["sign_in_form"])

    def sign_in_form() -> ResponseReturnValue:
        if silent.is_worth_asking():
            query = request.query_string.decode("latin-1")
            return redirect(f"{SILENT_PATH}?{query}" if query else SILENT_PATH, 302)
        return form()

    app.view_functions["sign_in_form"] = sign_in_form
    app.add_url_rule(SILENT_PATH, "silent_sign_in", lambda: silent.try_ticket(form))
    return True


def networks(settings: Settings) -> list[str]:
    """The networks whose browsers are asked, as they are written."""
    return [network.strip() for network in settings.kerberos_networks.split(",") if network.strip()]


def _come_in(user: SignInUser, accepted: Accepted) -> ResponseReturnValue:
    services = current_services()
    now = services.now()
    address = request.remote_addr or ""
    with services.database.fast_write() as h:
        made = sessions.create(
            h,
            user.user_id,
            method="kerberos",
            now=now,
            lifetime=lifetime_for(services.settings),
            address=address,
            user_agent=request.headers.get("User-Agent", ""),
            instead_of=request.cookies.get(cookie_name(), ""),
        )
        audit.append(
            h,
            "sign-in",
            now=now,
            outcome="ok",
            actor=user.email,
            user_id=user.user_id,
            guid=user.guid,
            address=address,
            detail={"method": "kerberos"},
        )
        known = services.records.remember(h, known_cookie(), user)
    response = redirect(safe_redirect_path(request.args.get("next")), 303)
    if accepted.answer:
        proof = base64.b64encode(accepted.answer).decode("ascii")
        response.headers["WWW-Authenticate"] = f"Negotiate {proof}"
    return set_session_cookies(response, Admitted(made, known))  # type: ignore[arg-type]


def _to_form() -> Response:
    """Show the form to a browser whose ticket was refused, and do not ask it again for a while."""
    query = {"next": safe_redirect_path(request.args.get("next"))}
    if request.args.get("username"):
        query["username"] = request.args["username"]
    return _mark_tried(redirect(f"/login?{urlencode(query)}", 303))  # type: ignore[arg-type]


def _mark_tried(response: Response) -> Response:
    response.set_cookie(
        TRIED_COOKIE,
        "1",
        max_age=_TRIED_SECONDS,
        path="/login",
        secure=current_services().settings.secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def _fault(message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([SettingFault(_KEY, message, remedy)])
