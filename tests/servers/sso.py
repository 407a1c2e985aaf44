"""The provider in this process, with people, apps and a clock of the test's own."""

from __future__ import annotations

import base64
import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authsvc.app import create_app
from authsvc.services import assemble, lifetime_for
from authsvc.web.session import cookie_for
from kerauno.accounts import users
from kerauno.base.config import Settings
from kerauno.database.engine import Database
from kerauno.oauth import clients
from kerauno.oauth.registration import Registration
from kerauno.signin import sessions

ISSUER = "https://auth.goodcompany.local"
REDIRECT = "https://wiki.goodcompany.local/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_extensions = itertools.count(2000)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        """Let time pass: seconds=, minutes=, hours=, days=."""
        self.now += timedelta(**span)


@dataclass(frozen=True)
class RegisteredApp:
    """An app and its secret."""

    id: str
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        """The headers by which it authenticates."""
        pair = base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


@dataclass(frozen=True)
class Person:
    """A user, and a browser in which they are signed in."""

    id: int
    subject: str
    browser: FlaskClient
    handle: str
    cookie: tuple[str, str]  # name and value


def challenge(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Sso:
    """One provider."""

    def __init__(self, database: Database, folder: Path, **settings: Any) -> None:
        self.clock = Clock()
        self.settings = Settings(
            database_url=database.url.render_as_string(hide_password=False),
            public_url=settings.pop("public_url", ISSUER),
            secret_key_file=folder / "secret.key",
            **settings,
        )
        self.services = assemble(self.settings, connect=_no_directory, now=self.clock)
        self.database = self.services.database
        self.app: Flask = create_app(self.services)

    def browser(self) -> FlaskClient:
        """A browser in which nobody is signed in."""
        return self.app.test_client()

    def person(self, username: str = "john.doe", **more: Any) -> Person:
        """A new user, signed in."""
        with self.database.write() as s:
            new = users.NewUser(
                email=f"{username}@goodcompany.local",
                first_name=more.pop("first_name", "John"),
                last_name=more.pop("last_name", "Doe"),
                extension=more.pop("extension", str(next(_extensions))),
                **more,
            )
            user = users.create(s, new, self.clock())
            user_id, subject = user.id, user.subject
        return self.sign_in(user_id, subject)

    def sign_in(self, user_id: int, subject: str, method: str = "directory") -> Person:
        """The user in another browser, a moment later."""
        self.clock.pass_(milliseconds=1)
        with self.database.write() as s:
            new = sessions.create(
                s, user_id, method=method, now=self.clock(), lifetime=lifetime_for(self.settings)
            )
        browser = self.browser()
        cookie = (cookie_for(self.settings), new.cookie)
        browser.set_cookie(*cookie, domain="localhost")
        return Person(user_id, subject, browser, new.handle, cookie)

    def register(self, name: str = "Wiki", **more: Any) -> RegisteredApp:
        """A new app; `more` are fields of Registration."""
        registration = replace(Registration(name=name, redirect_uris=(REDIRECT,)), **more)
        if registration.auth_method == "none":
            grants = tuple(g for g in registration.grant_types if g != "client_credentials")
            registration = replace(registration, grant_types=grants)
        with self.database.write() as s:
            row, secret = clients.create(s, registration, self.clock())
            return RegisteredApp(row.id, secret or "")

    def authorize(self, browser: FlaskClient, app: RegisteredApp, **params: Any) -> TestResponse:
        """Send the browser to the provider as the app would; None takes a parameter away."""
        query = {
            "response_type": "code",
            "client_id": app.id,
            "redirect_uri": REDIRECT,
            "scope": "openid",
            "state": "af0ifjsldkj",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | params
        given = {name: value for name, value in query.items() if value is not None}
        return browser.get("/oauth/authorize", query_string=given)

    def code(self, person: Person, app: RegisteredApp, **params: Any) -> str:
        """A code for the app, from a person who is signed in."""
        answer = answered(self.authorize(person.browser, app, **params))
        assert "code" in answer, answer
        return answer["code"]

    def token(self, app: RegisteredApp, **form: Any) -> TestResponse:
        """A token request; the app authenticates with its secret, if it has one."""
        data = {name: value for name, value in form.items() if value is not None}
        if not app.secret:
            data.setdefault("client_id", app.id)
        headers = app.basic if app.secret else {}
        return self.browser().post("/oauth/token", data=data, headers=headers)

    def redeem(self, app: RegisteredApp, code: str, **form: Any) -> TestResponse:
        """Trade a code for tokens."""
        data = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        } | form
        return self.token(app, **data)

    def tokens(self, person: Person, app: RegisteredApp, **params: Any) -> dict[str, Any]:
        """The tokens of a whole code flow."""
        response = self.redeem(app, self.code(person, app, **params))
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.get_json()
        return body

    def refresh(self, app: RegisteredApp, token: str, **form: Any) -> TestResponse:
        """Trade a refresh token."""
        return self.token(app, grant_type="refresh_token", refresh_token=token, **form)

    def userinfo(self, access_token: str) -> TestResponse:
        """Return what the access token tells."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.browser().get("/oauth/userinfo", headers=headers)


def answered(response: TestResponse, at: str = REDIRECT) -> dict[str, str]:
    """The parameters with which the provider sends the browser back to the app."""
    assert response.status_code in (302, 303), response.text
    location = response.headers["Location"]
    assert location.startswith(at + "?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def error_of(response: TestResponse) -> tuple[int, str]:
    """Status and `error` of a program's answer."""
    body: dict[str, Any] = response.get_json()
    return response.status_code, body["error"]


def _no_directory(profile: object) -> Any:
    raise AssertionError("single sign-on asks no directory")
