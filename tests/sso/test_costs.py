"""The cost of each step for the database: statements, and how many of them write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.sso import Person, RegisteredApp, Sso

SCOPE = "openid profile email phone offline_access"


@pytest.fixture
def warm(sso: Sso) -> tuple[Sso, Person, RegisteredApp]:
    """An app the person has opened before, with keys and registration remembered."""
    person, app = sso.person(), sso.register()
    sso.tokens(person, app, scope=SCOPE)
    return sso, person, app


def _cost(sso: Sso, step: Callable[[], object]) -> tuple[int, int]:
    with sso.database.counting() as counts:
        step()
    return counts.statements, counts.writes


def test_a_code_flow(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, person, app = warm
    got: dict[str, str] = {}
    assert _cost(sso, lambda: got.update(code=sso.code(person, app, scope=SCOPE))) == (2, 1)
    assert _cost(sso, lambda: got.update(sso.redeem(app, got["code"]).get_json())) == (5, 4)
    assert _cost(sso, lambda: sso.userinfo(got["access_token"])) == (1, 0)


def test_a_refresh(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, person, app = warm
    token = sso.tokens(person, app, scope=SCOPE)["refresh_token"]
    assert _cost(sso, lambda: sso.refresh(app, token)) == (3, 2)


def test_asking_and_ending(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, person, app = warm
    token = sso.tokens(person, app, scope=SCOPE)["access_token"]
    form = {"token": token}

    def post(path: str) -> None:
        sso.browser().post(path, data=form, headers=app.basic)

    assert _cost(sso, lambda: post("/oauth/introspect")) == (1, 0)
    assert _cost(sso, lambda: post("/oauth/revoke")) == (1, 1)


def test_departments_cost_one_more(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, person, app = warm
    token = sso.tokens(person, app, scope="openid groups")["access_token"]
    assert _cost(sso, lambda: sso.userinfo(token)) == (2, 0)


def test_a_polling_device(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, _, app = warm
    started = sso.browser().post("/oauth/device", headers=app.basic).get_json()
    grant = "urn:ietf:params:oauth:grant-type:device_code"

    def poll() -> None:
        sso.token(app, grant_type=grant, device_code=started["device_code"])

    assert _cost(sso, poll) == (2, 1)


def test_public_documents_cost_nothing(warm: tuple[Sso, Person, RegisteredApp]) -> None:
    sso, _, _ = warm
    for path in ("/oauth/jwks", "/.well-known/openid-configuration"):
        assert _cost(sso, lambda path=path: sso.browser().get(path)) == (0, 0)  # type: ignore[misc]
