"""The web service, put together. Nothing is built at import; collaborators come in as arguments."""

from __future__ import annotations

from flask import Flask

from authsvc.api.v1 import setup_api
from authsvc.console.setup import setup_console
from authsvc.forward_auth.site_login import setup_doorway
from authsvc.forward_auth.verify import Front
from authsvc.http_server.request_parser import BODY_LIMIT
from authsvc.i18n.translate import setup_texts
from authsvc.login.login_page import CachedLoginPage
from authsvc.login.login_post import LoginEndpoint
from authsvc.login.spnego import setup_negotiate
from authsvc.login.views import setup_accounts
from authsvc.oidc.setup import setup_oidc
from authsvc.ops.background import setup_background
from authsvc.ops.health import setup_health
from authsvc.ops.liveness import Liveness
from authsvc.portal.home import setup_views
from authsvc.services import Services, lifetime_for, setup_services
from authsvc.web.csrf import setup_csrf
from authsvc.web.errors import setup_errors
from authsvc.web.invalid_utf8 import Readable
from authsvc.web.layout import setup_pages
from authsvc.web.proxy_headers import Proxies
from authsvc.web.redirect_location import FlaskResponse
from authsvc.web.security_headers import SecurityHeaders, setup_security_headers
from authsvc.web.session import cookie_for, setup_sessions


def create_app(collaborators: Services) -> Flask:
    """The app, ready to serve. Opens no connection: the first request does."""
    settings = collaborators.settings
    app = Flask("authsvc")
    app.response_class = FlaskResponse
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    setup_services(app, collaborators)
    setup_texts(app)  # before what may refuse a request, and says so in words
    app.wsgi_app = LoginEndpoint(  # type: ignore[method-assign]
        app.wsgi_app, collaborators, cookie=cookie_for(settings), max_length=BODY_LIMIT
    )
    app.wsgi_app = Proxies(  # type: ignore[method-assign]
        app.wsgi_app, settings.trusted_proxies, header=settings.proxy_header
    )
    setup_csrf(app, public_url=settings.public_url)
    setup_security_headers(app, public_url=settings.public_url)
    setup_sessions(app, settings)
    setup_errors(app)
    setup_pages(app)
    setup_accounts(app)
    setup_views(app)
    setup_api(app)
    setup_health(app, settings)
    setup_background(app, collaborators)
    setup_console(app)
    setup_oidc(app, collaborators)
    setup_doorway(app)
    silent = setup_negotiate(app, collaborators)
    setup_front(app, collaborators, plain_form=not silent)
    app.wsgi_app = Readable(app.wsgi_app)  # type: ignore[method-assign]
    return app


def setup_front(app: Flask, collaborators: Services, *, plain_form: bool) -> None:
    """Put in front of everything what is asked most, see `authsvc.forward_auth.verify`."""
    settings = collaborators.settings
    front = Front(
        app.wsgi_app,
        collaborators.database,
        cookie=cookie_for(settings),
        public_url=settings.public_url,
        lifetime=lifetime_for(settings),
        now=collaborators.now,
    )
    liveness = Liveness(front)
    app.wsgi_app = liveness  # type: ignore[method-assign]
    app.answers_at_once = liveness.is_at_hand  # type: ignore[attr-defined]
    if not plain_form:
        return
    headers = SecurityHeaders(app.wsgi_app, secure=settings.secure).added
    form = CachedLoginPage(
        app.wsgi_app, app, collaborators.directories, headers, cookie=cookie_for(settings)
    )
    app.wsgi_app = form  # type: ignore[method-assign]
    app.answers_at_once = lambda environ: (  # type: ignore[attr-defined]
        form.is_at_hand(environ) or liveness.is_at_hand(environ)
    )
