"""Refusing requests of other sites, and the headers that keep a page what we made of it.

Every request that could change something is refused when a browser says that another site caused
it: by `Sec-Fetch-Site` (W3C Fetch Metadata), or, from browsers without that, by `Origin`.
A request with neither comes from no browser, so that no cookie rides on it unknown to its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, request
from werkzeug.wsgi import get_host

from authsvc.web.errors import CrossSite

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_View = TypeVar("_View", bound=Callable[..., Any])

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_HSTS = "max-age=31536000; includeSubDomains"

FormTargets = Callable[[str], Iterable[str]]
"""Given a `next` address of this site, the origins to which it may lead a form's answer on."""

_ENVIRON = "kerauno.form_targets"


def setup_security(app: Flask, *, public_url: str) -> None:
    """Refuse cross-site requests, and have every answer carry the security headers."""
    app.extensions["kerauno.form_targets"] = []

    def check_cross_origin() -> None:
        if request.method not in _SAFE and is_cross_site(request.environ, public_url):
            view = app.view_functions.get(request.endpoint or "")
            if not getattr(view, "_serves_other_sites", False):
                raise CrossSite

    app.before_request(check_cross_origin)
    app.wsgi_app = SecureHeaders(  # type: ignore[method-assign]
        app.wsgi_app, secure=public_url.startswith("https://")
    )


class SecureHeaders:
    """Adds the security headers to every answer of what is behind, errors included.

    As WSGI, not as a Flask hook: one list is added to another, which costs nothing.
    """

    def __init__(self, behind: WSGIApplication, *, secure: bool) -> None:
        self._behind = behind
        self._headers = [*_HEADERS, ("Strict-Transport-Security", _HSTS)] if secure else _HEADERS

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, self.added(headers, environ.get(_ENVIRON)), *rest)

        return self._behind(environ, start)

    def added(
        self, headers: list[tuple[str, str]], form_targets: Iterable[str] | None = None
    ) -> list[tuple[str, str]]:
        """These headers and ours, with a policy and a cache rule where they have none."""
        names = {name for name, _ in headers}
        more = [pair for pair in self._headers if pair[0] not in names]
        if "Content-Security-Policy" not in names:
            policy = " ".join((_POLICY, *form_targets)) if form_targets else _POLICY
            more.append(("Content-Security-Policy", policy))
        if "Cache-Control" not in names:
            more.append(("Cache-Control", "no-store"))
        return headers + more


def is_cross_site(environ: WSGIEnvironment, public_url: str) -> bool:
    """Return whether a browser says that another site caused this request."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    if origin == public_url:
        return False
    try:
        return urlsplit(origin).netloc != get_host(environ)
    except ValueError:
        return True  # no browser names an origin that cannot be read


def csrf_exempt(view: _View) -> _View:
    """Mark a view that no cookie authenticates, so that any site may call it (a token endpoint)."""
    view._serves_other_sites = True  # type: ignore[attr-defined]
    return view


def add_form_targets(app: Flask, targets: FormTargets) -> None:
    """Tell where a sign-in form may lead on: browsers hold redirects to `form-action`, too."""
    app.extensions["kerauno.form_targets"].append(targets)


def csp_form_action_for(next_url: str) -> None:
    """Let this page's form lead on to where `next_url` will redirect."""
    origins = [
        origin
        for targets in current_app.extensions["kerauno.form_targets"]
        for origin in targets(next_url)
    ]
    if origins:
        csp_form_action(*origins)


def csp_form_action(*origins: str) -> None:
    """Let this page's forms lead on to these origins, besides this site."""
    request.environ[_ENVIRON] = origins


def safe_redirect_path(target: str | None) -> str:
    """`target` when it is a place on this site, else the home page.

    Only a path may pass: `//host`, `/\\host`, schemes and control characters are ways to another
    site (browsers drop tabs and line breaks and read a backslash as a slash, WHATWG URL 4.4).
    """
    if not target or len(target) > 4096 or not target.startswith("/"):
        return "/"
    if target[1:2] in ("/", "\\") or "\\" in target.split("?", 1)[0]:
        return "/"
    if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in target):
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else target
