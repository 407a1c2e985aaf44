"""Refusing requests of other sites, and the headers that keep a page what we made of it.

Every request that could change something is refused when a browser says that another site caused
it: by `Sec-Fetch-Site` (W3C Fetch Metadata), or, from browsers without that, by `Origin`.
A request with neither comes from no browser, so that no cookie rides on it unknown to its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from authsvc.errors import CrossSite

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_View = TypeVar("_View", bound=Callable[..., Any])

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_HSTS = "max-age=31536000; includeSubDomains"

FormTargets = Callable[[str], Iterable[str]]
"""Given a `next` address of this site, the origins to which it may lead a form's answer on."""


def setup_security(app: Flask, *, public_url: str) -> None:
    """Refuse cross-site requests and set the security headers of every answer."""
    app.extensions["kerauno.form_targets"] = []
    secure = public_url.startswith("https://")

    def refuse_other_sites() -> None:
        if request.method not in _SAFE and is_cross_site(public_url):
            view = app.view_functions.get(request.endpoint or "")
            if not getattr(view, "_serves_other_sites", False):
                raise CrossSite

    def add_headers(response: Response) -> Response:
        headers = response.headers
        for name, value in _HEADERS:
            headers.setdefault(name, value)
        headers.setdefault("Content-Security-Policy", _policy())
        if secure:
            headers.setdefault("Strict-Transport-Security", _HSTS)
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        return response

    app.before_request(refuse_other_sites)
    app.after_request(add_headers)


def is_cross_site(public_url: str) -> bool:
    """Whether a browser says that another site caused this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return origin != public_url and urlsplit(origin).netloc != request.host


def serves_other_sites(view: _View) -> _View:
    """Mark a view that no cookie authenticates, so that any site may call it (a token endpoint)."""
    view._serves_other_sites = True  # type: ignore[attr-defined]
    return view


def add_form_targets(app: Flask, targets: FormTargets) -> None:
    """Tell where a sign-in form may lead on: browsers hold redirects to `form-action`, too."""
    app.extensions["kerauno.form_targets"].append(targets)


def allow_form_targets(next_url: str) -> None:
    """Let this page's form lead on to where `next_url` will redirect."""
    origins = [
        origin
        for targets in current_app.extensions["kerauno.form_targets"]
        for origin in targets(next_url)
    ]
    if origins:
        g.form_targets = origins


def _policy() -> str:
    origins: list[str] | None = g.get("form_targets")
    return _POLICY if not origins else " ".join((_POLICY, *origins))


def safe_next(target: str | None) -> str:
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
