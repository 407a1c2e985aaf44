"""`/healthz`: the process answers. Nothing is asked for it.

A supervisor that restarts a dead process must not restart one because a directory is slow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEALTHZ_PATH = "/healthz"

_HEADERS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", "3"),
    ("Cache-Control", "no-store"),
]


class Liveness:
    """Answers `/healthz` itself and passes all else on."""

    def __init__(self, behind: WSGIApplication) -> None:
        self._behind = behind

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if self.is_at_hand(environ):
            start_response("200 OK", _HEADERS)
            return (b"ok\n",)
        return self._behind(environ, start_response)

    def is_at_hand(self, environ: WSGIEnvironment) -> bool:
        """Return whether the answer needs no I/O, so that the server's loop may give it."""
        return bool(environ["PATH_INFO"] == HEALTHZ_PATH)
