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

import structlog

from authsvc import metrics
from authsvc.forward_auth.access import Guard, is_page, login_url
from kerauno.base.errors import DatabaseUnavailable
from kerauno.base.visible_text import visible
from kerauno.database.engine import Database
from kerauno.signin.sessions import Lifetime, Signed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.get_logger(__name__)

VERIFY = "/auth/verify"
FORWARD = "/auth/forward"
"""As VERIFY, for proxies that hand the answer to the browser (Traefik, Caddy): a person who is not
signed in is led to sign in."""

_FIXED = [("Cache-Control", "no-store"), ("Content-Length", "0")]


class Front:
    """Answers `/auth/verify` and `/auth/forward` itself and passes all else on."""

    def __init__(
        self,
        behind: WSGIApplication,
        database: Database,
        *,
        cookie: str,
        public_url: str,
        lifetime: Lifetime,
        now: Callable[[], datetime],
    ) -> None:
        self._behind = behind
        self._guard = Guard(
            database, cookie=cookie, public_url=public_url, lifetime=lifetime, now=now
        )
        self._yes = metrics.checks.labels("yes")
        self._no = metrics.checks.labels("no")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if environ["PATH_INFO"] in (VERIFY, FORWARD):
            return self._verify(environ, start_response)
        return self._behind(environ, start_response)

    def _verify(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            identity, allowed = self._guard.check(environ)
        except DatabaseUnavailable as error:
            _log.error("unavailable", path=environ["PATH_INFO"], error=str(error))
            start_response("503 Service Unavailable", [*_FIXED, ("Retry-After", "10")])
            return ()
        if identity and allowed:
            self._yes.inc()
            start_response("200 OK", [*identity_headers(*identity), *_FIXED])
            return ()
        self._no.inc()
        if identity:
            start_response("403 Forbidden", _FIXED)
        elif environ["PATH_INFO"] == FORWARD and is_page(environ):
            start_response("302 Found", [*_FIXED, ("Location", login_url(environ))])
        else:
            start_response("401 Unauthorized", _FIXED)
        return ()


def identity_headers(signed: Signed, departments: Iterable[str]) -> list[tuple[str, str]]:
    """Return who is signed in, as header fields for the app behind the proxy."""
    return [
        ("Remote-User", field(signed.username)),
        ("Remote-Email", field(signed.email)),
        ("Remote-Name", field(signed.name)),
        ("Remote-Groups", ",".join(field(_listed(name)) for name in departments)),
    ]


def field(text: str) -> str:
    """A header value that carries this text and cannot end the header (RFC 9110 5.5).

    What cannot be seen is marked, so that nothing in it reorders what is read.
    """
    return visible(text).encode().decode("latin-1")


def _listed(name: str) -> str:
    return name.replace("%", "%25").replace(",", "%2C")
