"""No request, whatever is in it, is an error of ours: every route, by nobody and by people."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import update
from werkzeug.routing import Rule

from kerauno.oauth import clients
from kerauno.oauth.registration import Registration
from kerauno.tables.core import User
from tests import properties
from tests.fuzz.requests import DEEP, FuzzedRequest, call, jwt, parameter_names, requests_to
from tests.servers.console import ConsoleSite, guid, owned_user
from tests.servers.sso import CHALLENGE, REDIRECT

EXAMPLES = {"sqlite": 6, "postgresql": 3}
"""Requests to each route in `make test`, by the kind of database."""

IN_FRONT = (Rule("/auth/verify", methods=["GET"]), Rule("/auth/forward", methods=["GET"]))
"""What is answered before Flask sees it."""


ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PROTOCOL = {
    "client_assertion_type": (ASSERTION,),
    "client_assertion": (
        jwt(b"[" * DEEP).decode(),
        jwt(b'{"iss":1,"sub":[],"aud":{},"exp":1e400}').decode(),
    ),
    "grant_type": (
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
    ),
    "response_type": ("code",),
    "response_mode": ("query", "form_post"),
    "scope": ("openid", "openid profile email offline_access"),
    "code_challenge": (CHALLENGE,),
    "code_challenge_method": ("S256",),
    "prompt": ("none", "login", "consent"),
    "decision": ("allow", "deny"),
    "username": ("ada.admin", "anna.berg@goodcompany.local", "GOODCOMPANY\\\\anna.berg"),
    "password": ("Service!Pass1",),
    "email": ("new.person@goodcompany.local",),
    "extension": ("2222",),
    "first_name": ("New",),
    "last_name": ("Person",),
    "role": ("user", "manager", "admin"),
    "version": ("0", "1"),
    "confirm": ("yes", "1"),
    "kind": ("plan", "build"),
    "format": ("csv", "cisco", "yealink", "snom"),
}
"""Values without which a request is refused before its other parts are read."""

_AUTHORIZE = ("client_id", "redirect_uri", "response_type", "scope", "code_challenge")
TOGETHER = (
    ("client_assertion_type", "client_assertion"),
    ("client_assertion_type", "client_assertion", "client_id", "grant_type"),
    ("grant_type", "client_id", "client_secret"),
    ("username", "password"),
    (*_AUTHORIZE, "code_challenge_method"),
    (*_AUTHORIZE, "code_challenge_method", "prompt", "response_mode"),
    ("email", "first_name", "last_name", "extension", "role", "version"),
)
"""Names that only mean something together."""


class Target:
    """A site with something in every list, and the people who send its requests."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.site = ConsoleSite(folder, database_url)
        self.site.connected()
        self.user_id, person = owned_user(self.site, 1, "Anna", "Berg")
        source = self.site.seen_department(501, "Sales", [person])
        department_id = self.site.department(source, "Sales", "600", [self.user_id])
        self.site.seen_department(502, "Support", [person])
        run_id = self.site.run(status="held")
        with self.site.database.write() as s:
            registration = Registration(name="Wiki", redirect_uris=(REDIRECT,))
            row, secret = clients.create(s, registration, self.site.now)
        basic = base64.b64encode(f"{row.id}:{secret}".encode()).decode()
        self.known: dict[str, tuple[bytes, ...]] = {
            name: tuple(str(value).encode() for value in values)
            for name, values in {
                "user_id": (self.user_id, self.site.admin_id),
                "department_id": (department_id,),
                "guid": (guid(1), guid(501), guid(502)),
                "run_id": (run_id,),
                "request_id": (1,),
                "client_id": (row.id,),
                "client_secret": (secret,),
                "HTTP_AUTHORIZATION": (f"Basic {basic}",),
                "filename": ("kerauno.css",),
                "redirect_uri": (REDIRECT,),
                **PROTOCOL,
            }.items()
        }
        self.examples = properties.examples(EXAMPLES[self.site.database.url.get_backend_name()])
        self.statuses: Counter[int] = Counter()

    def send(self, request: FuzzedRequest) -> int:
        """Return the status of the answer."""
        users = {"admin": self.site.admin_id, "user": self.user_id}
        cookie = f"kerauno={self.site.token(users[request.role])}" if request.role else ""
        status = call(self.site.app, request.environ(cookie))
        self.statuses[status] += 1
        return status

    def repair(self) -> None:
        """Give both people back what earlier requests took from them."""
        with self.site.database.write() as s:
            s.execute(update(User).values(active=True, blocked=False))
            s.execute(update(User).where(User.id == self.site.admin_id).values(role="admin"))

    def fuzz(self, rule: Rule) -> None:
        """Send requests to one route. Raise AssertionError with the first that breaks it."""

        @settings(
            max_examples=self.examples,
            phases=(Phase.explicit, Phase.generate),  # a request is readable as it is
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @given(requests_to(rule, self.known, TOGETHER))
        def answered(request: FuzzedRequest) -> None:
            assert self.send(request) < 500, request

        self.repair()
        answered()


@pytest.fixture
def target(tmp_path: Path, sqlite_url: str) -> Iterator[Target]:
    """The target on SQLite."""
    made = Target(tmp_path, sqlite_url)
    yield made
    made.site.close()


@pytest.mark.hypothesis
@pytest.mark.timeout(600)
def test_no_request_is_an_error_of_ours(tmp_path: Path, database_url: str) -> None:
    target = Target(tmp_path, database_url)
    rules = [*target.site.app.url_map.iter_rules(), *IN_FRONT]
    for rule in rules:
        target.fuzz(rule)
    target.site.close()
    assert sum(target.statuses.values()) >= len(rules) * target.examples // 2
    # Both gates were passed: that of who may ask, and that of what was asked.
    assert {200, 303, 400, 401, 403, 404} - target.statuses.keys() == set(), target.statuses


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/par", "/oauth/introspect", "/oauth/device"]
)
@pytest.mark.parametrize("part", ["header", "claims"])
def test_a_deep_assertion_is_refused(target: Target, path: str, part: str) -> None:
    deep = jwt(b"{}", head=b"[" * DEEP) if part == "header" else jwt(b"[" * DEEP)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": deep.decode(),
    }
    answer = target.site.anonymous().post(path, data=form)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


def test_deep_json_is_refused(target: Target) -> None:
    credentials = target.known["HTTP_AUTHORIZATION"][0].decode()
    answer = target.site.anonymous().post(
        "/api/v1/authenticate",
        data=b'{"username":' + b"[" * DEEP,
        headers={"Authorization": credentials, "Content-Type": "application/json"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"QUERY_STRING": "next=/\xed\xa0"}, "/login"),
        ({"QUERY_STRING": "next=/\xed\xa0", "HTTP_COOKIE": "\xf1=\xf1"}, "/phonebook"),
        ({"HTTP_ORIGIN": "http://[::1", "REQUEST_METHOD": "POST"}, "/logout"),
    ],
)
def test_what_once_was_an_error_of_ours(target: Target, environ: dict[str, str], path: str) -> None:
    request = FuzzedRequest("GET", path.encode(), b"", b"", b"")
    assert call(target.site.app, request.environ("") | environ) < 500


def test_an_error_of_ours_would_be_found(target: Target) -> None:
    plant(target.site.app)
    [rule] = [each for each in target.site.app.url_map.iter_rules() if each.rule == "/planted"]
    with pytest.raises(AssertionError, match="FuzzedRequest"):
        target.fuzz(rule)


def plant(app: Flask) -> None:
    """Add a route that breaks at any query."""
    from flask import request

    app.add_url_rule("/planted", view_func=lambda: str(1 // (not request.args)))


def test_the_names_of_parameters_are_found_in_the_code() -> None:
    assert {"username", "client_assertion", "ring_group_range", "code"} <= set(parameter_names())
