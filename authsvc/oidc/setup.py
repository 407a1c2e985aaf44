"""Puts the provider into the app."""

from __future__ import annotations

from flask import Flask

from authsvc.oidc.authorize import setup_authorize
from authsvc.oidc.backchannel_logout import BackchannelLogout
from authsvc.oidc.connected_apps import setup_apps
from authsvc.oidc.device import setup_device
from authsvc.oidc.endpoints import setup_endpoints
from authsvc.oidc.provider import Provider, install
from authsvc.oidc.rp_initiated_logout import setup_logout
from authsvc.oidc.token_endpoint import TokenServer
from authsvc.ops.background import Background, Task
from authsvc.services import Services

LOOK_SECONDS = 0.5
"""How often a process looks whether an app is to be told; it costs one indexed read."""

SWEEP_SECONDS = 300.0


def setup_oidc(app: Flask, collaborators: Services) -> Provider:
    """Register every endpoint and page of the provider, and its work beside requests.

    Opens no connection.
    """
    provider = Provider(collaborators)
    install(app, provider)
    setup_endpoints(app, TokenServer(provider))
    setup_authorize(app)
    setup_logout(app)
    setup_device(app)
    setup_apps(app)
    logouts = BackchannelLogout(provider)
    background: Background = app.extensions["kerauno.background"]
    background.add(Task("logouts", LOOK_SECONDS, logouts.deliver))
    background.add(Task("tokens", SWEEP_SECONDS, logouts.sweep))
    return provider
