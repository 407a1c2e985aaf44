"""The way into a protected host: to the sign-in service, and back with a cookie of the host's own.

    host   /.kerauno/start      a nonce into a cookie, and on to the sign-in service
    home   /auth/start          signs in where needed, and gives a ticket for that nonce
    host   /.kerauno/callback   trades the ticket for the host's cookie, and on to the page

The proxy of a protected host passes `/.kerauno/` on to this service, naming the host in
X-Forwarded-Host. The nonce keeps anyone from signing somebody else's browser in as themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from authsvc.forward_auth.access import (
    SITE_LOGIN_PATH,
    forwarded_host,
    host_cookie_for,
    page_asked_for,
)
from authsvc.i18n.translate import N_, gettext
from authsvc.services import current_services
from authsvc.web.errors import error_page
from authsvc.web.redirects import safe_redirect_path
from authsvc.web.security_headers import add_form_targets
from authsvc.web.session import cookie_name, require_current_user, require_user
from kerauno import audit
from kerauno.base.errors import InvalidValue
from kerauno.oauth.clients import digest
from kerauno.signin import protected_sites
from kerauno.signin.protected_sites import Rule

HOME_PATH = "/auth/start"
BACK_PATH = "/.kerauno/callback"
OUT_PATH = "/.kerauno/logout"
DENIED_PATH = "/.kerauno/denied"
NONCE_COOKIE = "kerauno-door"
_NONCE_SECONDS = 900

_NO_HOST = N_("This address is not a site that people sign in to here.")
_NO_ENTRY = N_("Your account may not open this site. Ask your administrator if you need it.")
_TOO_LATE = N_("The way in was open for a minute only, or was begun in another browser.")


def setup_doorway(app: Flask) -> None:
    """Register the way in, and tell where sign-in may lead on to."""
    app.add_url_rule(SITE_LOGIN_PATH, "site_login.start", start)
    app.add_url_rule(HOME_PATH, "site_login.home", at_home)
    app.add_url_rule(BACK_PATH, "site_login.back", back)
    app.add_url_rule(OUT_PATH, "site_login.out", out)
    app.add_url_rule(DENIED_PATH, "site_login.denied", denied)
    add_form_targets(app, _targets)


def start() -> ResponseReturnValue:
    """On the protected host: begin. What follows `rd=` is the page, escaped or not."""
    rule = _rule(forwarded_host(request.environ) or "")
    if rule is None:
        raise NotFound
    page = page_asked_for(request.query_string)
    nonce = secrets.token_urlsafe(24)
    query = {"host": rule.host, "rd": safe_redirect_path(page), "nonce": digest(nonce)}
    response = redirect(
        f"{current_services().settings.public_url}{HOME_PATH}?{urlencode(query)}", 302
    )
    response.set_cookie(
        NONCE_COOKIE,
        nonce,
        max_age=_NONCE_SECONDS,
        path="/.kerauno/",
        secure=current_services().settings.secure,
        httponly=True,
        samesite="Lax",
    )
    return response


@require_user
def at_home() -> ResponseReturnValue:
    """On the sign-in service: a ticket for whoever is signed in and may enter."""
    services, person = current_services(), require_current_user()
    rule = _rule(request.args.get("host", ""))
    nonce = request.args.get("nonce", "")
    if rule is None or len(nonce) != 64:
        return error_page(400, detail=gettext(_NO_HOST))
    now = services.now()
    with services.database.fast_write() as h:
        allowed = protected_sites.may_enter(h, person.user_id, rule)
        audit.append(
            h,
            "app-sign-in",
            now=now,
            outcome="signed-in" if allowed else "refused",
            actor=person.username,
            user_id=person.user_id,
            address=request.remote_addr or "",
            detail={"app": rule.host},
        )
        if not allowed:
            return error_page(403, detail=gettext(_NO_ENTRY))
        ticket = protected_sites.issue_ticket(
            h, now, handle=person.handle, host=rule.host, nonce=nonce
        )
    query = urlencode({"ticket": ticket, "rd": safe_redirect_path(request.args.get("rd"))})
    return redirect(f"{_origin(rule)}{BACK_PATH}?{query}", 302)


def back() -> ResponseReturnValue:
    """On the protected host: the ticket becomes the host's cookie."""
    services = current_services()
    host = forwarded_host(request.environ) or ""
    ticket = request.args.get("ticket", "")
    nonce = request.cookies.get(NONCE_COOKIE, "")
    cookie = None
    with services.database.fast_write() as h:
        if nonce:
            cookie = protected_sites.redeem_ticket(
                h, services.now(), ticket, host=host, nonce=digest(nonce)
            )
        else:  # begun nowhere: a ticket for nobody's nonce would do for every browser
            protected_sites.burn_ticket(h, ticket)
    if cookie is None:
        return error_page(400, detail=gettext(_TOO_LATE))
    response = redirect(safe_redirect_path(request.args.get("rd")), 303)
    response.set_cookie(
        host_cookie_for(cookie_name()),
        cookie,
        path="/",
        secure=services.settings.secure,
        httponly=True,
        samesite="Lax",
    )
    response.delete_cookie(NONCE_COOKIE, path="/.kerauno/")
    return response


def out() -> ResponseReturnValue:
    """On the protected host: to where one signs out of everything."""
    return redirect(f"{current_services().settings.public_url}/oauth/logout", 302)


def denied() -> Response:
    """The page that a proxy shows when a rule keeps somebody out."""
    return error_page(403, detail=gettext(_NO_ENTRY))


def _rule(host: str) -> Rule | None:
    """The rule of a protected host; None for any other text."""
    try:
        name = protected_sites.normal_host(host)
    except InvalidValue:
        return None
    with current_services().database.fast() as h:
        return protected_sites.rules(h).get(name)


def _origin(rule: Rule) -> str:
    """A protected host is reached as this service is: by https where this is."""
    return f"{urlsplit(current_services().settings.public_url).scheme}://{rule.host}"


def _targets(next_url: str) -> Iterable[str]:
    parts = urlsplit(next_url)
    if parts.path != HOME_PATH:
        return []
    rule = _rule(parse_qs(parts.query).get("host", [""])[0])
    return [] if rule is None else [_origin(rule)]
