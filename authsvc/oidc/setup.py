"""Puts the provider into the app."""

from __future__ import annotations

from flask import Flask

from authsvc.oidc.authorize import setup_authorize
from authsvc.oidc.endpoints import setup_endpoints
from authsvc.oidc.grants import TokenServer
from authsvc.oidc.logout import setup_logout
from authsvc.oidc.provider import Provider, install
from authsvc.services import Services


def setup_oidc(app: Flask, collaborators: Services) -> Provider:
    """Register every endpoint and page of the provider; opens no connection."""
    provider = Provider(collaborators)
    install(app, provider)
    setup_endpoints(app, TokenServer(provider))
    setup_authorize(app)
    setup_logout(app)
    return provider
