"""Requests that must be refused, each with the error that its specification names."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import select

from kerauno.database.engine import Database
from kerauno.oauth.registration import Registration, RegistrationRefused
from kerauno.tables.oauth import AccessToken, Client
from tests.servers.sso import (
    CHALLENGE,
    ISSUER,
    REDIRECT,
    VERIFIER,
    Sso,
    answered,
    error_of,
)

# -- the authorization endpoint: never an open redirect ---------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "x" * 5000},
        {"client_id": "a\x00b"},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": REDIRECT + "/"},
        {"redirect_uri": REDIRECT + "?x=1"},
        {"redirect_uri": REDIRECT + "#x"},
        {"redirect_uri": REDIRECT.upper()},
        {"redirect_uri": REDIRECT.replace("https", "http")},
        {"redirect_uri": REDIRECT.replace("wiki.", "evil@wiki.")},
        {"redirect_uri": REDIRECT.replace(".local/", ".local:443/")},
        {"redirect_uri": REDIRECT.replace("/callback", "/x/../callback")},
        {"redirect_uri": "//wiki.goodcompany.local/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": [REDIRECT, "https://evil.example/"]},
        {"client_id": ["wiki", "evil"]},
        {"request_uri": "urn:ietf:params:oauth:request_uri:guessed"},
    ],
)
def test_an_unproven_app_or_address_is_answered_nowhere(
    provider: Sso, params: dict[str, Any]
) -> None:
    person, app = provider.person(), provider.register()
    response = provider.authorize(person.browser, app, **params)
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "evil.example" not in response.text


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": 'co"de\\'}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "٣"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://wiki.goodcompany.local/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"scope": ["openid", "email"]}, "invalid_request"),
        ({"state": ["a", "b"]}, "invalid_request"),
        ({"nonce": "n" * 2001}, "invalid_request"),
    ],
)
def test_faulty_requests_are_told_to_the_app(
    provider: Sso, params: dict[str, Any], error: str
) -> None:
    person, app = provider.person(), provider.register()
    answer = answered(provider.authorize(person.browser, app, **params))
    assert (answer["error"], answer["iss"]) == (error, ISSUER)
    assert "code" not in answer
    if "state" not in params:
        assert answer["state"] == "af0ifjsldkj"


def test_an_app_without_the_grant_gets_no_code(provider: Sso) -> None:
    app = provider.register(grant_types=("refresh_token",))
    answer = answered(provider.authorize(provider.person().browser, app))
    assert answer["error"] == "unauthorized_client"


def test_a_scope_that_the_app_may_not_have_is_left_out(provider: Sso) -> None:
    app = provider.register(scopes=("openid", "email"))
    given = provider.tokens(provider.person(), app, scope="openid email groups offline_access")
    assert (given["scope"], "refresh_token" in given) == ("openid email", False)


# -- the token endpoint -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password", "username": "x", "password": "y"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": "ä" * 50}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),  # as if the method were plain
        ({"redirect_uri": [REDIRECT, REDIRECT]}, "invalid_request"),
        ({"client_id": "another"}, "invalid_request"),
        ({"client_secret": "twice"}, "invalid_request"),
    ],
)
def test_faulty_token_requests(provider: Sso, form: dict[str, Any], error: str) -> None:
    person, app = provider.person(), provider.register()
    code = provider.code(person, app)
    assert error_of(provider.redeem(app, **({"code": code} | form))) == (400, error)


def test_a_changed_redirect_or_verifier_uses_the_code_up(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    for changed in ({"redirect_uri": "https://evil.example/"}, {"code_verifier": "x" * 43}):
        code = sso.code(person, app)
        assert error_of(sso.redeem(app, code, **changed)) == (400, "invalid_grant")
        assert error_of(sso.redeem(app, code)) == (400, "invalid_grant")


def test_a_code_for_another_app(sso: Sso) -> None:
    person, app, thief = sso.person(), sso.register(), sso.register("Thief")
    public = sso.register("Public thief", auth_method="none")
    for wrong in (thief, public):
        code = sso.code(person, app)
        assert error_of(sso.redeem(wrong, code)) == (400, "invalid_grant")
        assert error_of(sso.redeem(app, code)) == (400, "invalid_grant")


def test_a_refresh_token_of_another_app(sso: Sso) -> None:
    person, app, thief = sso.person(), sso.register(), sso.register("Thief")
    given = sso.tokens(person, app, scope="openid offline_access")
    assert error_of(sso.refresh(thief, given["refresh_token"])) == (400, "invalid_grant")
    assert sso.refresh(app, given["refresh_token"]).status_code == 200


def test_nonsense_as_tokens(provider: Sso) -> None:
    app = provider.register()
    for token in ("", ".", "a.b", "\x00", "x" * 10_000, "ü.ü", "'; DROP TABLE user"):
        expected = (400, "invalid_request" if not token else "invalid_grant")
        assert error_of(provider.refresh(app, token)) == expected
        assert provider.userinfo(token.encode("ascii", "ignore").decode()).status_code == 401
        asked = provider.browser().post(
            "/oauth/introspect", data={"token": token}, headers=app.basic
        )
        assert asked.status_code == 400 if not token else asked.get_json() == {"active": False}


def test_get_is_no_token_request(provider: Sso) -> None:
    app = provider.register()
    for path in ("token", "introspect", "revoke", "par", "device"):
        response = provider.browser().get(f"/oauth/{path}", headers=app.basic)
        assert response.status_code == 405, path


def test_grants_an_app_does_not_have(provider: Sso) -> None:
    app = provider.register(grant_types=("authorization_code",))
    for grant in (
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
    ):
        assert error_of(provider.token(app, grant_type=grant)) == (400, "unauthorized_client")


# -- who asks ---------------------------------------------------------------------------------


def _basic(text: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text).decode()}


def test_wrong_credentials(provider: Sso) -> None:
    app, public = provider.register(), provider.register("Public", auth_method="none")
    for headers in (
        _basic(f"{app.id}:wrong".encode()),
        _basic(f"{app.id}:".encode()),
        _basic(app.id.encode()),
        _basic(f"nobody:{app.secret}".encode()),
        _basic(f"{public.id}:{app.secret}".encode()),
        _basic(public.id.encode()),
        _basic(b"\xff\xfe:\xff"),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic \xf1"},
        {"Authorization": "Basic"},
        {"Authorization": "\xf1"},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Digest {app.id}"},
    ):
        for path in ("token", "introspect", "revoke", "par", "device"):
            form = {"grant_type": "client_credentials", "token": "x"}
            response = provider.browser().post(f"/oauth/{path}", data=form, headers=headers)
            assert error_of(response) == (401, "invalid_client"), (headers, path)
            assert response.headers["WWW-Authenticate"].startswith("Basic ")
            assert response.headers["Cache-Control"] == "no-store"


PROGRAM_PATHS = ("token", "introspect", "revoke", "par", "device")


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"client_id": True, "client_secret": ""}, False),
        ({}, True),
        ({"client_id": True, "client_secret": ""}, True),
        ({"client_id": True, "client_secret": "", "client_assertion": ""}, False),
    ],
)
def test_an_empty_secret_is_that_of_a_public_app(
    provider: Sso, form: dict[str, Any], headers: bool
) -> None:
    """RFC 6749 3.2: a parameter without a value counts as left out."""
    public, app = provider.register("Public", auth_method="none"), provider.register()
    for known, expected in ((public, 200), (app, 401)):
        given = {name: known.id if value is True else value for name, value in form.items()}
        basic = _basic(f"{known.id}:".encode()) if headers else {}
        said = {}
        for path in PROGRAM_PATHS:
            more = {
                "token": {
                    "grant_type": "authorization_code",
                    "code": provider.code(provider.person(f"p{known.id}{path}"), known),
                    "redirect_uri": REDIRECT,
                    "code_verifier": VERIFIER,
                },
                "par": {
                    "response_type": "code",
                    "redirect_uri": REDIRECT,
                    "scope": "openid",
                    "code_challenge": CHALLENGE,
                    "code_challenge_method": "S256",
                },
                "introspect": {"token": "x"},
                "revoke": {"token": "x"},
                "device": {},
            }[path]
            response = provider.browser().post(f"/oauth/{path}", data=given | more, headers=basic)
            said[path] = response.status_code
        # A public app may never ask about tokens; a request that is pushed is created (201).
        exceptions = {"introspect": 401, "par": 201} if expected == 200 else {}
        assert said == dict.fromkeys(PROGRAM_PATHS, expected) | exceptions


def test_a_secret_of_a_public_app_is_refused(provider: Sso) -> None:
    public = provider.register("Public", auth_method="none")
    for path in PROGRAM_PATHS:
        form = {"client_id": public.id, "client_secret": "x", "token": "x"}
        form["grant_type"] = "refresh_token"
        response = provider.browser().post(f"/oauth/{path}", data=form)
        assert error_of(response) == (401, "invalid_client"), path


@pytest.mark.parametrize("header", ["Basic \xf1", "Basic", "\xf1", "Basic /////w==", "Bearer \xf1"])
def test_credentials_that_cannot_be_read_prove_nothing_anywhere(
    sqlite_database: Database, tmp_path: Path, header: str
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    site = Sso(sqlite_database, tmp_path, metrics_token_file=str(token))
    browser, sent = site.browser(), {"Authorization": header}
    form = {"username": "john.doe", "password": "x"}
    answers = [
        browser.get("/metrics", headers=sent),
        browser.get("/phonebook/phones/directory.xml", headers=sent),
        browser.get("/oauth/userinfo", headers=sent),
        browser.post("/api/v1/authenticate", json=form, headers=sent),
    ]
    site.services.close()
    assert [answer.status_code for answer in answers] == [401] * 4
    assert all("WWW-Authenticate" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "body", [b"[" * 1400, b'{"a":' * 1400, b"", b"null", b"\xff", b'{"username":NaN}']
)
def test_a_body_that_cannot_be_read_is_a_bad_request(provider: Sso, body: bytes) -> None:
    app = provider.register()
    response = provider.browser().post(
        "/api/v1/authenticate", data=body, content_type="application/json", headers=app.basic
    )
    assert (response.status_code, response.content_type) == (400, "application/problem+json")


def test_a_public_app_may_not_ask_about_tokens(provider: Sso) -> None:
    public = provider.register("Public", auth_method="none")
    response = provider.browser().post(
        "/oauth/introspect", data={"client_id": public.id, "token": "x"}
    )
    assert error_of(response) == (401, "invalid_client")


def test_an_app_of_others_is_told_of_its_own_tokens_alone(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    stranger = provider.register("Stranger", first_party=False)
    token = provider.tokens(person, app)["access_token"]
    asked = provider.browser().post(
        "/oauth/introspect", data={"token": token}, headers=stranger.basic
    )
    assert asked.get_json() == {"active": False}


def test_an_app_of_others_may_not_try_passwords(provider: Sso) -> None:
    form = {"username": "john.doe@goodcompany.local", "password": "Passw0rd!"}
    own, stranger = provider.register(), provider.register("Stranger", first_party=False)
    public = provider.register("Public", auth_method="none")
    said = []
    for app in (own, stranger, public):
        response = provider.browser().post("/api/v1/authenticate", json=form, headers=app.basic)
        said.append((response.status_code, "WWW-Authenticate" in response.headers))
    assert said == [(401, False), (401, True), (401, True)]


def test_secrets_and_tokens_are_kept_as_digests(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    given = sso.tokens(person, app, scope="openid offline_access")
    with sso.database.read() as s:
        rows = [*s.execute(select(Client.__table__)), *s.execute(select(AccessToken.__table__))]
    kept = repr(rows)
    for secret in (app.secret, given["access_token"], given["refresh_token"].split(".")[1]):
        assert secret not in kept


# -- access tokens ----------------------------------------------------------------------------


def test_how_a_token_may_be_sent(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    token = provider.tokens(person, app)["access_token"]
    browser = provider.browser()
    assert browser.post("/oauth/userinfo", data={"access_token": token}).status_code == 200
    in_address = browser.get("/oauth/userinfo", query_string={"access_token": token})
    assert error_of(in_address) == (400, "invalid_request")
    twice = browser.post(
        "/oauth/userinfo",
        data={"access_token": token},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert error_of(twice) == (400, "invalid_request")
    without = browser.get("/oauth/userinfo")
    assert (without.status_code, without.get_json()) == (401, {})
    assert without.headers["WWW-Authenticate"] == 'Bearer realm="Kerauno"'
    cookie = person.browser.get("/oauth/userinfo")
    assert cookie.status_code == 401


def test_a_token_without_openid_tells_nothing(provider: Sso) -> None:
    token = provider.tokens(provider.person(), provider.register(), scope="email")
    assert "id_token" not in token
    response = provider.userinfo(token["access_token"])
    assert error_of(response) == (403, "insufficient_scope")
    assert 'scope="openid"' in response.headers["WWW-Authenticate"]


def test_an_id_token_is_no_access_token(provider: Sso) -> None:
    given = provider.tokens(provider.person(), provider.register(), scope="openid offline_access")
    for wrong in (given["id_token"], given["refresh_token"]):
        assert error_of(provider.userinfo(wrong)) == (401, "invalid_token")


# -- registrations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "public_too", "confidential_too"),
    [
        ("https://wiki.goodcompany.local/cb", True, True),
        ("https://wiki.goodcompany.local/cb?tenant=1", True, True),
        ("http://127.0.0.1:8080/cb", True, True),
        ("http://[::1]/cb", True, True),
        ("http://localhost/cb", True, True),
        ("http://intranet/cb", False, True),
        ("com.goodcompany.desk:/cb", True, False),
        ("desk:/cb", False, False),
        ("javascript:alert(1)", False, False),
        ("data:text/html,x", False, False),
        ("https://wiki/cb#fragment", False, False),
        ("https://wiki/*", False, False),
        ("https://user:pw@wiki/cb", False, False),
        ("https://wiki\\@evil/cb", False, False),
        ("https:///cb", False, False),
        ("//wiki/cb", False, False),
        ("/cb", False, False),
        ("https://wiki/ cb", False, False),
        ("https://wiki:99999/cb", False, False),
        ("https://wíki/cb", False, False),
        ("https://wiki;script-src/cb", False, False),
        ("https://wiki,evil/cb", False, False),
    ],
)
def test_which_redirect_addresses_can_be_registered(
    provider: Sso, uri: str, public_too: bool, confidential_too: bool
) -> None:
    for method, accepted in (("none", public_too), ("client_secret_basic", confidential_too)):
        grants = ("authorization_code",)
        wish = Registration("App", auth_method=method, redirect_uris=(uri,), grant_types=grants)
        assert (wish.faults() == []) == accepted, method


def test_every_fault_of_a_registration_is_told_at_once(provider: Sso) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        provider.register(
            " ",
            auth_method="private_key_jwt",
            jwks={"keys": [RSAKey.generate_key(2048).as_dict(private=True)]},
            redirect_uris=("ftp://x",),
            backchannel_logout_uri="com.app:/out",
            scopes=("with blank",),
            id_token_alg="none",
        )
    assert [fault.field for fault in refused.value.faults] == [
        "name",
        "id_token_alg",
        "jwks",
        "redirect_uris",
        "backchannel_logout_uri",
        "scopes",
    ]
