"""Nothing that a stranger sends is stored without bound, and a flood keeps nobody else out."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from kerauno.database.table_bounds import Bound
from kerauno.oauth import authorization_requests, devices
from kerauno.tables.oauth import AuthorizationRequest, DeviceGrant
from tests.servers.sso import CHALLENGE, REDIRECT, RegisteredApp, Sso, answered, error_of

WORDS = {
    "response_type": "code",
    "redirect_uri": REDIRECT,
    "scope": "openid",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
LONG = {name: name[0] * 1900 for name in ("state", "nonce", "login_hint")}


def _rows(sso: Sso, table: Any) -> int:
    with sso.database.read() as s:
        return s.scalar(select(func.count()).select_from(table)) or 0


def _at(sso: Sso, address: str) -> FlaskClient:
    browser = sso.browser()
    browser.environ_base["REMOTE_ADDR"] = address
    return browser


def _post(browser: FlaskClient, app: RegisteredApp, **more: str) -> TestResponse:
    form = WORDS | {"client_id": app.id} | more
    return browser.post("/oauth/authorize", data=form, headers={"Sec-Fetch-Site": "cross-site"})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Bound:
    """Small bounds, so that a flood is quickly one."""
    bound = Bound(of_owner=5, in_all=12)
    for room in (
        *(
            authorization_requests._ROOM,
            authorization_requests._OF_SESSION,
            authorization_requests._OF_APP,
        ),
        devices._ROOM,
    ):
        monkeypatch.setattr(room, "bound", bound)
    return bound


def test_requests_leave_no_rows(provider: Sso) -> None:
    app, stranger = provider.register(), _at(provider, "192.0.2.1")
    for number in range(100):
        long_state = _post(stranger, app, state=f"{number}" + "s" * 10_000)
        assert answered(long_state)["error"] == "invalid_request"
        assert _post(stranger, app, state="s" * 1000).status_code == 303
        assert _post(stranger, app, state="s", prompt="login").status_code == 303
        response = provider.authorize(stranger, app, state="s" * 1000, prompt="login")
        assert response.headers["Location"].startswith("/login?next=%2Foauth%2Fauthorize%3F")
    assert _rows(provider, AuthorizationRequest) == 0


def test_a_request_as_a_whole_has_an_end(provider: Sso) -> None:
    app, browser = provider.register(), provider.browser()
    names = ("state", "nonce", "login_hint", "id_token_hint", "acr_values")
    response = provider.authorize(browser, app, **dict.fromkeys(names, "x" * 2000))
    assert answered(response)["error"] == "invalid_request"


def test_long_requests_of_one_address(sso: Sso, small: Bound) -> None:
    app, person = sso.register(), sso.person()
    flood = [_post(_at(sso, "192.0.2.1"), app, **LONG) for _ in range(50)]
    errors = [dict(answered(response)).get("error") for response in flood[small.of_owner :]]
    assert errors == ["temporarily_unavailable"] * 45
    assert all("request_uri" in response.headers["Location"] for response in flood[:5])
    assert _rows(sso, AuthorizationRequest) == small.of_owner
    target = _post(_at(sso, "198.51.100.1"), app, **LONG).headers["Location"]
    assert answered(person.browser.get(target))["state"] == LONG["state"]
    assert "code" in answered(sso.authorize(person.browser, app))
    sso.clock.pass_(minutes=15)
    assert _post(_at(sso, "192.0.2.1"), app, **LONG).headers["Location"].startswith("/oauth/")


def test_a_64_of_ipv6_is_one_address(provider: Sso, small: Bound) -> None:
    app = provider.register()
    for number in range(20):
        _post(_at(provider, f"2001:db8::{number:x}"), app, **LONG)
    assert _rows(provider, AuthorizationRequest) == small.of_owner


def test_long_requests_of_many_addresses(sso: Sso, small: Bound) -> None:
    """The address with the most rows loses its oldest; others keep theirs."""
    app, person = sso.register(), sso.person()
    target = _post(_at(sso, "198.51.100.1"), app, **LONG).headers["Location"]
    for number in range(60):
        _post(_at(sso, f"192.0.2.{number // 5}"), app, **LONG)
        sso.clock.pass_(milliseconds=1)
    assert _rows(sso, AuthorizationRequest) == small.in_all
    assert answered(person.browser.get(target))["state"] == LONG["state"]


def test_pushed_requests_of_public_apps(sso: Sso, small: Bound) -> None:
    public, app = sso.register("Public", auth_method="none"), sso.register()
    form = WORDS | {"client_id": public.id}
    said = [_at(sso, "192.0.2.1").post("/oauth/par", data=form) for _ in range(20)]
    assert [answer.status_code for answer in said] == [201] * 5 + [429] * 15
    assert error_of(said[-1]) == (429, "slow_down")
    assert said[-1].headers["Retry-After"] == str(authorization_requests.PUSHED_SECONDS)
    assert _at(sso, "192.0.2.2").post("/oauth/par", data=form).status_code == 201
    own = [sso.browser().post("/oauth/par", data=WORDS, headers=app.basic) for _ in range(5)]
    assert [answer.status_code for answer in own] == [201] * 5  # it has proven who it is


def test_pushed_requests_of_an_app_that_has_proven_who_it_is(sso: Sso, small: Bound) -> None:
    app, other, public = (
        sso.register(),
        sso.register("Other"),
        sso.register("P", auth_method="none"),
    )

    def push(known: RegisteredApp, number: int = 0) -> TestResponse:
        browser = _at(sso, f"192.0.2.{number}")
        if known is public:
            return browser.post("/oauth/par", data=WORDS | {"client_id": public.id})
        return browser.post("/oauth/par", data=WORDS, headers=known.basic)

    said = [push(app, number) for number in range(50)]
    assert [answer.status_code for answer in said] == [201] * 5 + [429] * 45
    assert error_of(said[-1]) == (429, "slow_down")
    assert said[-1].headers["Retry-After"] == str(authorization_requests.PUSHED_SECONDS)
    assert push(other).status_code == 201
    for number in range(100):  # strangers have a room of their own
        push(public, number)
        sso.clock.pass_(milliseconds=1)
    assert _rows(sso, AuthorizationRequest) == 6 + small.in_all
    person = sso.person()
    asked = {"client_id": app.id, "request_uri": said[0].get_json()["request_uri"]}
    answer = person.browser.get("/oauth/authorize", query_string=asked)
    assert "code" in answered(answer)
    assert push(app).status_code == 201  # one of them is answered
    sso.clock.pass_(minutes=15)
    assert push(app).status_code == 201


def test_pushed_requests_of_many_apps(sso: Sso, small: Bound) -> None:
    """The app with the most rows loses its oldest; others keep theirs."""
    honest = sso.register()
    first = sso.browser().post("/oauth/par", data=WORDS, headers=honest.basic).get_json()
    for app in [sso.register(f"App {number}") for number in range(6)]:
        for _ in range(small.of_owner):
            assert (
                sso.browser().post("/oauth/par", data=WORDS, headers=app.basic).status_code == 201
            )
            sso.clock.pass_(milliseconds=1)
    assert _rows(sso, AuthorizationRequest) == small.in_all
    asked = {"client_id": honest.id, "request_uri": first["request_uri"]}
    assert "code" in answered(sso.person().browser.get("/oauth/authorize", query_string=asked))


def test_pages_that_a_person_is_shown(sso: Sso, small: Bound) -> None:
    person, app = sso.person(), sso.register(first_party=False)
    pages = []
    for _ in range(20):
        pages.append(sso.authorize(person.browser, app))
        sso.clock.pass_(milliseconds=1)
    assert [page.status_code for page in pages] == [200] * 20
    assert _rows(sso, AuthorizationRequest) == small.of_owner


def test_devices_of_one_app_at_one_address(sso: Sso, small: Bound) -> None:
    app, other = (sso.register(name, auth_method="none") for name in ("Phone", "Display"))

    def start(address: str, known: RegisteredApp) -> TestResponse:
        return _at(sso, address).post("/oauth/device", data={"client_id": known.id})

    said = [start("192.0.2.1", app) for _ in range(200)]
    assert [answer.status_code for answer in said] == [200] * 5 + [429] * 195
    assert error_of(said[-1]) == (429, "slow_down")
    assert said[-1].headers["Retry-After"] == "600"
    assert start("192.0.2.1", other).status_code == 200
    assert start("198.51.100.1", app).status_code == 200
    person = sso.person()
    code = said[0].get_json()["user_code"]
    form = {"user_code": code, "decision": "connect"}
    assert person.browser.post("/device/confirm", data=form).status_code == 200
    assert start("192.0.2.1", app).status_code == 200  # one of them waits no longer
    for number in range(60):
        start(f"203.0.113.{number}", app)
        sso.clock.pass_(milliseconds=1)
    assert _rows(sso, DeviceGrant) == small.in_all + 1  # and the connected one
    sso.clock.pass_(minutes=10)
    assert start("192.0.2.1", app).status_code == 200


def test_the_bounds_are_what_is_documented() -> None:
    assert {
        "requests": authorization_requests._ROOM.bound,
        "shown": authorization_requests._OF_SESSION.bound,
        "of apps": authorization_requests._OF_APP.bound,
        "devices": devices._ROOM.bound,
    } == {
        "requests": Bound(of_owner=100, in_all=2000),
        "shown": Bound(of_owner=20, in_all=2000),
        "of apps": Bound(of_owner=1000, in_all=4000),
        "devices": Bound(of_owner=50, in_all=1000),
    }
