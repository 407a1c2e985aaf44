"""The authorization code flow, from the app's first redirect to its last refresh."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.servers.sso import ISSUER, REDIRECT, Sso, answered, error_of


def _claims(sso: Sso, token: str) -> dict[str, object]:
    keys = KeySet.import_key_set(sso.browser().get("/oauth/jwks").get_json())
    return jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims


def test_a_signed_in_person_is_led_straight_back(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    response = sso.authorize(person.browser, app)
    assert response.status_code == 302
    answer = answered(response)
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "af0ifjsldkj"
    assert answer["iss"] == ISSUER
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_id_token_says_who_when_and_how(sso: Sso, algorithm: str) -> None:
    person = sso.person()
    app = sso.register(id_token_alg=algorithm)
    sso.clock.pass_(minutes=5)
    body = sso.tokens(person, app, nonce="n-0S6_WzA2Mj", scope="openid")
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
    assert (body["token_type"], body["scope"]) == ("Bearer", "openid")
    claims = _claims(sso, body["id_token"])
    now = int(sso.clock().timestamp())
    assert {name: claims[name] for name in claims if name != "at_hash"} == {
        "iss": ISSUER,
        "sub": person.subject,
        "aud": app.id,
        "azp": app.id,
        "iat": now,
        "exp": now + 600,
        "auth_time": now - 300,
        "nonce": "n-0S6_WzA2Mj",
        "acr": "urn:kerauno:acr:password",
        "amr": ["pwd"],
        "sid": person.handle,
    }


def test_userinfo_tells_what_the_scopes_allow(sso: Sso) -> None:
    person = sso.person("jane.roe", first_name="Jane", last_name="Roe", extension="2345")
    app = sso.register()
    everything = sso.userinfo(
        sso.tokens(person, app, scope="openid profile email phone groups")["access_token"]
    )
    assert everything.get_json() == {
        "sub": person.subject,
        "name": "Jane Roe",
        "given_name": "Jane",
        "family_name": "Roe",
        "preferred_username": "jane.roe",
        "updated_at": int(sso.clock().timestamp()),
        "email": "jane.roe@goodcompany.local",
        "email_verified": True,
        "phone_number": "2345",
        "phone_number_verified": True,
        "groups": [],
    }
    little = sso.userinfo(sso.tokens(person, app, scope="openid")["access_token"])
    assert little.get_json() == {"sub": person.subject}


def test_a_refresh_token_comes_with_offline_access_alone(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    assert "refresh_token" not in sso.tokens(person, app, scope="openid profile")
    first = sso.tokens(person, app, scope="openid offline_access")
    second = sso.refresh(app, first["refresh_token"]).get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert _claims(sso, second["id_token"])["sub"] == person.subject
    assert sso.userinfo(second["access_token"]).status_code == 200


def test_refreshing_may_narrow_the_scope_and_never_widen_it(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    first = sso.tokens(person, app, scope="openid email offline_access")
    wide = sso.refresh(app, first["refresh_token"], scope="openid profile")
    assert error_of(wide) == (400, "invalid_scope")
    narrow = sso.refresh(app, first["refresh_token"], scope="openid").get_json()
    assert narrow["scope"] == "openid"
    assert sso.userinfo(narrow["access_token"]).get_json() == {"sub": person.subject}
    assert (
        sso.refresh(app, narrow["refresh_token"]).get_json()["scope"]
        == "openid email offline_access"
    )


def test_a_refresh_token_used_twice_ends_everything(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    first = sso.tokens(person, app, scope="openid offline_access")
    second = sso.refresh(app, first["refresh_token"]).get_json()
    assert error_of(sso.refresh(app, first["refresh_token"])) == (400, "invalid_grant")
    assert error_of(sso.refresh(app, second["refresh_token"])) == (400, "invalid_grant")
    assert error_of(sso.userinfo(second["access_token"])) == (401, "invalid_token")
    assert error_of(sso.userinfo(first["access_token"])) == (401, "invalid_token")


def test_a_code_used_twice_ends_what_it_gave(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    code = sso.code(person, app, scope="openid offline_access")
    given = sso.redeem(app, code).get_json()
    assert sso.userinfo(given["access_token"]).status_code == 200
    assert error_of(sso.redeem(app, code)) == (400, "invalid_grant")
    assert error_of(sso.userinfo(given["access_token"])) == (401, "invalid_token")
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_tokens_run_out(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    code = sso.code(person, app)
    sso.clock.pass_(seconds=60)
    assert error_of(sso.redeem(app, code)) == (400, "invalid_grant")
    given = sso.tokens(person, app, scope="openid offline_access")
    sso.clock.pass_(seconds=600)
    assert error_of(sso.userinfo(given["access_token"])) == (401, "invalid_token")
    given = sso.refresh(app, given["refresh_token"]).get_json()
    sso.clock.pass_(days=30)
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_a_public_app_needs_no_secret_and_one_with_a_secret_does(sso: Sso) -> None:
    person = sso.person()
    public = sso.register("Desk", auth_method="none")
    assert "access_token" in sso.tokens(person, public)
    app = sso.register()
    code = sso.code(person, app)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": app.id,
    }
    response = sso.browser().post("/oauth/token", data=form)
    assert error_of(response) == (401, "invalid_client")


def test_introspection_and_revocation(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    given = sso.tokens(person, app, scope="openid offline_access")
    resource = sso.register("Resource server")
    asked = {"token": given["access_token"]}

    def ask(data: dict[str, str]) -> object:
        return sso.browser().post("/oauth/introspect", data=data, headers=resource.basic).get_json()

    now = int(sso.clock().timestamp())
    assert ask(asked) == {
        "active": True,
        "client_id": app.id,
        "scope": "openid offline_access",
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 600,
        "sub": person.subject,
        "iss": ISSUER,
        "aud": app.id,
        "username": "john.doe",
    }
    foreign = sso.browser().post("/oauth/revoke", data=asked, headers=resource.basic)
    assert foreign.status_code == 200
    assert ask(asked)["active"] is True  # type: ignore[index]
    own = sso.browser().post(
        "/oauth/revoke", data={"token": given["refresh_token"]}, headers=app.basic
    )
    assert (own.status_code, own.data) == (200, b"")
    assert ask(asked) == {"active": False}
    assert ask({"token": given["refresh_token"]}) == {"active": False}
    assert ask({"token": "nonsense"}) == {"active": False}


def test_client_credentials_are_for_the_app_itself(sso: Sso) -> None:
    app = sso.register(scopes=("openid", "phonebook:read"))
    body = sso.token(app, grant_type="client_credentials", scope="phonebook:read").get_json()
    assert {name: body[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "phonebook:read",
    }
    assert "refresh_token" not in body
    told = sso.browser().post(
        "/oauth/introspect", data={"token": body["access_token"]}, headers=app.basic
    )
    assert (told.get_json()["sub"], told.get_json()["active"]) == (app.id, True)
    assert error_of(sso.userinfo(body["access_token"])) == (401, "invalid_token")
    about_people = sso.token(app, grant_type="client_credentials", scope="openid")
    assert error_of(about_people) == (400, "invalid_scope")


def test_a_pushed_request_is_used_in_place_of_parameters(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    form = {
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid",
        "state": "pushed",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    pushed = sso.browser().post("/oauth/par", data=form, headers=app.basic)
    assert (pushed.status_code, pushed.get_json()["expires_in"]) == (201, 90)
    handle = pushed.get_json()["request_uri"]
    assert handle.startswith("urn:ietf:params:oauth:request_uri:")
    query = {"client_id": app.id, "request_uri": handle}
    answer = answered(person.browser.get("/oauth/authorize", query_string=query))
    assert answer["state"] == "pushed"
    assert sso.redeem(app, answer["code"]).status_code == 200
    other = sso.register("Other")
    query["client_id"] = other.id
    assert person.browser.get("/oauth/authorize", query_string=query).status_code == 400
    faulty = sso.browser().post(
        "/oauth/par", data=form | {"code_challenge_method": "plain"}, headers=app.basic
    )
    assert error_of(faulty) == (400, "invalid_request")
