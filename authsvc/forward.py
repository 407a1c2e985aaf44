"""Forward-auth: a reverse proxy asks for each request whether its browser is signed in.

It is asked far more often than anything else, so it stands in front of Flask as a bare WSGI
application: one prepared statement, and an answer.

Header values are UTF-8, as nginx, Apache, Traefik and Caddy hand them on; in WSGI they are those
octets read as Latin-1 (PEP 3333). `Remote-Groups` is parted by commas; a comma or a percent sign
within a name is written %2C or %25.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

import structlog

from authsvc import metrics
from kerauno import sessions
from kerauno.db import Database
from kerauno.errors import DatabaseUnavailable
from kerauno.sessions import Lifetime, Signed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.get_logger(__name__)

VERIFY = "/auth/verify"
ALIVE = "/healthz"
FORM = "/login"

_FIXED = [("Cache-Control", "no-store"), ("Content-Length", "0")]
_HTML = ("Content-Type", "text/html; charset=utf-8")
_ALIVE = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", "3"),
    ("Cache-Control", "no-store"),
]


class Front:
    """Answers what is asked most and needs least; everything else it passes on.

    `/auth/verify`, `/healthz`, and the sign-in form for a browser that brings nothing along:
    no cookie, no query, so that the page is the same for all (`form` gives it).
    """

    def __init__(
        self,
        behind: WSGIApplication,
        database: Database,
        *,
        cookie: str,
        lifetime: Lifetime,
        now: Callable[[], datetime],
        form: Callable[[], bytes],
        headers: Callable[[list[tuple[str, str]]], list[tuple[str, str]]],
    ) -> None:
        self._behind = behind
        self._database = database
        self._cookie = cookie + "="
        self._lifetime = lifetime
        self._now = now
        self._form = form
        self._form_headers = headers([_HTML])
        self._yes = metrics.checks.labels("yes")
        self._no = metrics.checks.labels("no")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        path = environ["PATH_INFO"]
        if path == VERIFY:
            return self._verify(environ, start_response)
        if path == ALIVE:
            start_response("200 OK", _ALIVE)
            return (b"ok\n",)
        if (
            path == FORM
            and environ["REQUEST_METHOD"] == "GET"
            and not environ.get("QUERY_STRING")
            and "HTTP_COOKIE" not in environ
        ):
            page = self._form()
            start_response("200 OK", [*self._form_headers, ("Content-Length", str(len(page)))])
            return (page,)
        return self._behind(environ, start_response)

    def _verify(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        cookie = cookie_value(environ.get("HTTP_COOKIE", ""), self._cookie)
        try:
            found = cookie and sessions.check_with_departments(
                self._database, cookie, self._now(), self._lifetime
            )
        except DatabaseUnavailable as error:
            _log.error("unavailable", path=VERIFY, error=str(error))
            start_response("503 Service Unavailable", [*_FIXED, ("Retry-After", "10")])
            return ()
        if not found:
            self._no.inc()
            start_response("401 Unauthorized", _FIXED)
            return ()
        self._yes.inc()
        start_response("200 OK", [*identity_headers(*found), *_FIXED])
        return ()


def cookie_value(header: str, name: str) -> str:
    """The value of the cookie whose name, with its `=`, is given; empty without it.

    `__Host-` cookies cannot be set by another host; of several with a plain name the first counts,
    which is the one with the longest path (RFC 6265 5.4).
    """
    for part in header.split(";"):
        part = part.strip()
        if part.startswith(name):
            return part[len(name) :].strip('"')
    return ""


def identity_headers(signed: Signed, departments: Iterable[str]) -> list[tuple[str, str]]:
    """Who is signed in, as header fields for the app behind the proxy."""
    return [
        ("Remote-User", field(signed.username)),
        ("Remote-Email", field(signed.email)),
        ("Remote-Name", field(signed.name)),
        ("Remote-Groups", ",".join(field(_listed(name)) for name in departments)),
    ]


def field(text: str) -> str:
    """A header value that carries this text and cannot end the header (RFC 9110 5.5)."""
    if text.isascii() and text.isprintable():
        return text
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean.encode("utf-8", "replace").decode("latin-1")


def from_field(value: str) -> str:
    """What an app behind the proxy reads out of one group of `Remote-Groups`."""
    return unquote(value.encode("latin-1").decode("utf-8"))


def _listed(name: str) -> str:
    return name.replace("%", "%25").replace(",", "%2C")
