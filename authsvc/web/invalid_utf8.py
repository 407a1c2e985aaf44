"""Octets that are no UTF-8, where the framework reads UTF-8 and would fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_QUERY = bytes(range(0x21, 0x7F)).decode()  # what a query may hold as it is, "%" included


class Readable:
    """Makes a request's query and cookies readable for everything behind.

    Octets above 0x7F of the query are percent-encoded, which leaves its meaning as it is
    (RFC 3986 2.5). A cookie's octets that are no UTF-8 become U+FFFD: no cookie of ours has any.
    """

    def __init__(self, behind: WSGIApplication) -> None:
        self._behind = behind

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if not environ["QUERY_STRING"].isascii():
            octets = environ["QUERY_STRING"].encode("latin-1")
            environ["QUERY_STRING"] = quote_from_bytes(octets, safe=_QUERY)
        cookie = environ.get("HTTP_COOKIE")
        if cookie is not None and not cookie.isascii():
            text = cookie.encode("latin-1").decode("utf-8", "replace")
            environ["HTTP_COOKIE"] = text.encode().decode("latin-1")
        return self._behind(environ, start_response)
