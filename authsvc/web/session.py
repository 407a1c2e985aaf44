"""The signed-in person: the only place that knows flask-login and the session cookie.

The cookie holds a random id and nothing else; what it means is read from the `session` table on
every request, so that an ended session or a changed role counts from the next request on.
flask-login's own session identifier, its signed cookie and LOGIN_DISABLED are all switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from urllib.parse import quote

from flask import Flask, Request, Response, current_app, g, redirect, request
from flask.sessions import SecureCookieSession, SessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager
from flask_login import current_user as flask_login_user
from werkzeug.exceptions import Forbidden, Unauthorized

from authsvc.services import current_services, lifetime_for
from authsvc.signin.store import Admitted
from authsvc.web.errors import is_api
from authsvc.web.session_cookie import (
    known_browser_cookie_header,
    known_browser_cookie_name,
    session_cookie_headers,
)
from kerauno.base.config import Settings
from kerauno.base.errors import DatabaseUnavailable
from kerauno.signin import sessions
from kerauno.signin.sessions import Lifetime, Signed

_P = ParamSpec("_P")
_View = TypeVar("_View", bound=ResponseReturnValue)

ADMIN = "admin"
MANAGER = "manager"


CurrentUser = Signed
"""The signed-in person of a request, as the records say at this moment."""


@dataclass(frozen=True, slots=True)
class _Authenticated:
    """The person in the form that flask-login asks for."""

    me: CurrentUser
    is_authenticated: bool = True


class _NoCookieSessions(SessionInterface):
    """Flask's own session, switched off: nothing is ever kept in a signed cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:  # noqa: ARG002
        """An empty one for the length of a request."""
        return SecureCookieSession()

    def save_session(
        self,
        app: Flask,
        session: object,
        response: Response,
    ) -> None:
        """Kept nowhere."""


def setup_sessions(app: Flask, settings: Settings) -> None:
    """Make `current_user()` work."""
    app.session_interface = _NoCookieSessions()
    app.config["LOGIN_DISABLED"] = False
    app.extensions["kerauno.cookie"] = cookie_for(settings)
    app.extensions["kerauno.lifetime"] = lifetime_for(settings)
    manager = LoginManager()
    manager.session_protection = None
    manager.request_loader(_load)
    manager.init_app(app, add_context_processor=False)


def cookie_for(settings: Settings) -> str:
    """The session cookie's name: `__Host-` binds it to this very host (RFC 6265bis 4.1.3.2)."""
    return "__Host-kerauno" if settings.secure else "kerauno"


def cookie_name() -> str:
    """The session cookie's name in this app."""
    return cast("str", current_app.extensions["kerauno.cookie"])


def current_user() -> CurrentUser | None:
    """Return who is signed in; None for nobody. One statement for each request that asks."""
    return flask_login_user.me if flask_login_user.is_authenticated else None


def set_session_cookies(response: Response, made: Admitted) -> Response:
    """Put the session's token, and what the browser is known by, into its keeping."""
    secure = current_services().settings.secure
    for name, field in session_cookie_headers(cookie_name(), made, secure=secure):
        response.headers.add(name, field)
    return response


def set_known_browser_cookie(response: Response, value: str) -> Response:
    """Have the browser keep what it is known by."""
    field = known_browser_cookie_header(
        cookie_name(), value, secure=current_services().settings.secure
    )
    response.headers.add("Set-Cookie", field)
    return response


def known_cookie() -> str:
    """Return what the browser of this request is known by."""
    return request.cookies.get(known_browser_cookie_name(cookie_name()), "")


def clear_session_cookie(response: Response) -> Response:
    """Have the browser forget the session's token."""
    response.delete_cookie(
        cookie_name(),
        path="/",
        secure=current_services().settings.secure,
        httponly=True,
        samesite="Lax",
    )
    return response


def current_user_or_none() -> CurrentUser | None:
    """Return what `current_user` returns, or None while the database is unavailable.

    For pages that are shown in any case, such as error pages.
    """
    if g.get("person_unknown"):
        return None  # asked in vain already: another wait would tell no more
    try:
        return current_user()
    except DatabaseUnavailable:
        return None


def require_user(view: Callable[_P, _View]) -> Callable[_P, _View | ResponseReturnValue]:
    """Only for people who are signed in. Others are led to the sign-in page and back."""

    @wraps(view)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _View | ResponseReturnValue:
        if current_user() is None:
            return redirect_to_login()
        return view(*args, **kwargs)

    return guarded


def require_role(
    *roles: str,
) -> Callable[[Callable[_P, _View]], Callable[_P, _View | ResponseReturnValue]]:
    """Only for these roles: others who are signed in get 403, the rest is led to sign in."""

    def decorate(view: Callable[_P, _View]) -> Callable[_P, _View | ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _View | ResponseReturnValue:
            me = current_user()
            if me is None:
                return redirect_to_login()
            if me.role not in roles:
                raise Forbidden
            return view(*args, **kwargs)

        return guarded

    return decorate


def redirect_to_login() -> ResponseReturnValue:
    """To the sign-in page, and back to this one afterwards. Programs and forms get 401."""
    if request.method not in ("GET", "HEAD") or is_api() or "HX-Request" in request.headers:
        raise Unauthorized
    path = request.full_path.rstrip("?")
    return redirect("/login" if path == "/" else f"/login?next={quote(path, safe='/')}", 302)


def require_current_user() -> CurrentUser:
    """The signed-in person, inside a view that `require_user` or `require_role` guards."""
    person = current_user()
    if person is None:
        raise Unauthorized
    return person


def lifetime() -> Lifetime:
    """How long sessions last, by the settings of the process."""
    return cast("Lifetime", current_app.extensions["kerauno.lifetime"])


def _load(incoming: Request) -> _Authenticated | None:
    token = incoming.cookies.get(cookie_name())
    if not token:
        return None
    services = current_services()
    try:
        signed = sessions.check(services.database, token, services.now(), lifetime())
    except DatabaseUnavailable:
        g.person_unknown = True
        raise
    return None if signed is None else _Authenticated(signed)
