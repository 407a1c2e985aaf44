"""Refuse requests of other sites (CSRF).

Every request that could change something is refused when a browser says that another site caused
it: by `Sec-Fetch-Site` (W3C Fetch Metadata), or, from browsers without that, by `Origin`.
A request with neither comes from no browser, so that no cookie rides on it unknown to its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.wsgi import get_host

from authsvc.web.errors import CrossSite

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_View = TypeVar("_View", bound=Callable[..., Any])


def setup_csrf(app: Flask, *, public_url: str) -> None:
    """Refuse cross-site requests to every view that is not exempt."""

    def check_cross_origin() -> None:
        if request.method not in _SAFE and is_cross_site(request.environ, public_url):
            view = app.view_functions.get(request.endpoint or "")
            if not getattr(view, "_serves_other_sites", False):
                raise CrossSite

    app.before_request(check_cross_origin)


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
