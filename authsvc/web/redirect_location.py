"""Redirect addresses, to the byte: apps and sites compare the addresses that come back.

Werkzeug takes every address apart and puts it together again, which drops slashes
(`app.immich:///callback`) and empty queries and escapes what was not escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask
from werkzeug.datastructures import Headers
from werkzeug.urls import iri_to_uri

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def location(target: str) -> str:
    """Return the address as the Location header carries it: only what is not ASCII is escaped."""
    return target if target.isascii() and target.isprintable() else iri_to_uri(target)


class FlaskResponse(flask.Response):
    """Flask's response with an exact Location."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """As werkzeug's, but for the Location."""
        headers = super().get_wsgi_headers(environ)
        if "Location" in self.headers:
            headers["Location"] = location(self.headers["Location"])
        return headers
