"""Scripts of other sites may call what no cookie opens, and read the answer (Fetch 3.3)."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from authsvc.oidc.endpoints import OPEN_PATHS
from kerauno.base.errors import DatabaseUnavailable
from tests.servers.sso import Sso

ORIGIN = {"Origin": "https://spa.goodcompany.local", "Sec-Fetch-Site": "cross-site"}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
    "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
}
GET, POST = {"GET"}, {"POST"}
METHODS = {
    "/.well-known/openid-configuration": GET,
    "/.well-known/oauth-authorization-server": GET,
    "/oauth/jwks": GET,
    "/oauth/token": POST,
    "/oauth/userinfo": GET | POST,
    "/oauth/revoke": POST,
    "/oauth/par": POST,
    "/oauth/device": POST,
}


def _cors(response: TestResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers if name.startswith("Access-Control-")}


def test_every_preflight_is_answered(provider: Sso) -> None:
    assert METHODS.keys() == OPEN_PATHS
    for path, methods in METHODS.items():
        asked = ORIGIN | {
            "Access-Control-Request-Method": max(methods),
            "Access-Control-Request-Headers": "authorization,content-type,x-requested-with",
        }
        response = provider.browser().options(path, headers=asked)
        assert (response.status_code, response.data, _cors(response)) == (200, b"", CORS), path
        assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == methods | {"OPTIONS"}
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_answers_and_errors_can_be_read(provider: Sso, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = provider.browser()
    for path, methods in METHODS.items():
        for method in ("GET", "POST", "PUT"):
            response = browser.open(path, method=method, headers=ORIGIN)
            assert (response.status_code in (403, 405)) == (method not in methods), (path, method)
            assert _cors(response) == CORS, (path, method)

    def away(*_: object) -> None:
        raise DatabaseUnavailable("It is away.")

    monkeypatch.setattr(provider.database, "fast", away)
    monkeypatch.setattr(provider.database, "read", away)
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/par", "/oauth/device"):
        form = {"client_id": "x", "token": "x", "grant_type": "refresh_token"}
        response = browser.post(path, data=form, headers=ORIGIN)
        assert (response.status_code, _cors(response)) == (503, CORS), path
    bearer = ORIGIN | {"Authorization": "Bearer x"}
    response = browser.get("/oauth/userinfo", headers=bearer)
    assert (response.status_code, _cors(response)) == (503, CORS)


def test_what_a_cookie_or_a_secret_opens_is_closed_to_scripts(provider: Sso) -> None:
    person = provider.person()
    for path in (
        "/",
        "/login",
        "/oauth/authorize",
        "/oauth/consent",
        "/oauth/logout",
        "/oauth/introspect",
        "/device",
        "/api/v1/me",
        "/oauth/token/",
    ):
        for method in ("OPTIONS", "GET", "POST"):
            response = person.browser.open(path, method=method, headers=ORIGIN)
            assert _cors(response) == {}, (path, method)
