"""The web service, put together. Nothing is built at import; collaborators come in as arguments."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from authsvc.errors import setup_errors
from authsvc.oidc.setup import setup_oidc
from authsvc.pages import setup_pages
from authsvc.security import setup_security
from authsvc.services import Services, setup_services
from authsvc.sessions import setup_sessions
from authsvc.views import setup_views

MAX_REQUEST = 2 * 1024 * 1024
"""Octets that a request's body may have: a form with a file of CA certificates fits well."""


def create_app(collaborators: Services) -> Flask:
    """The app, ready to serve. Opens no connection: the first request does."""
    settings = collaborators.settings
    app = Flask("authsvc")
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST
    setup_services(app, collaborators)
    setup_proxies(app, settings.trusted_proxies)
    setup_security(app, public_url=settings.public_url)
    setup_sessions(app, settings)
    setup_errors(app)
    setup_pages(app)
    setup_views(app)
    setup_oidc(app, collaborators)
    return app


def setup_proxies(app: Flask, count: int) -> None:
    """Believe the address and scheme that the operator's own reverse proxies report, no others."""
    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=0, x_port=0, x_prefix=0
        )
