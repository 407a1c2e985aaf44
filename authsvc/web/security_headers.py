"""The security headers of every answer, and the sites to which a form may lead on.

The headers keep a page what we made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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


def setup_security_headers(app: Flask, *, public_url: str) -> None:
    """Have every answer carry the security headers."""
    app.extensions["kerauno.form_targets"] = []
    app.wsgi_app = SecurityHeaders(  # type: ignore[method-assign]
        app.wsgi_app, secure=public_url.startswith("https://")
    )


class SecurityHeaders:
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
