"""The steps before the code: signing in, signing in again, and agreeing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from tests.records import audit_events
from tests.servers.sso import REDIRECT, Person, RegisteredApp, Sso, answered, error_of

NATIVE = "com.goodcompany.desk:/callback"


def _next(response: TestResponse) -> tuple[str, dict[str, str]]:
    """Return where sign-in leads on to, and the other words of the sign-in page's address."""
    assert response.status_code == 302
    parts = urlsplit(response.headers["Location"])
    assert parts.path == "/login"
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return query.pop("next"), query


def _on(person: Person, target: str) -> TestResponse:
    assert target.startswith("/oauth/authorize?")
    return person.browser.get(target)


def test_nobody_is_led_to_sign_in_and_back_to_the_app(sso: Sso) -> None:
    app = sso.register()
    target, rest = _next(sso.authorize(sso.browser(), app, login_hint="john.doe"))
    assert rest == {"username": "john.doe"}
    answer = answered(_on(sso.person(), target))
    assert sso.redeem(app, answer["code"]).status_code == 200


def test_the_sign_in_page_may_lead_on_to_the_app_and_nowhere_else(provider: Sso) -> None:
    app = provider.register()
    response = provider.authorize(provider.browser(), app)
    page = provider.browser().get(response.headers["Location"])
    policy = page.headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' https://wiki.goodcompany.local")
    for target in (
        f"/oauth/authorize?client_id={app.id}&redirect_uri=https://evil.example/",
        "/oauth/authorize?client_id=nobody&redirect_uri=https://wiki.goodcompany.local/callback",
        f"/oauth/elsewhere?client_id={app.id}&redirect_uri=https://wiki.goodcompany.local/callback",
    ):
        page = provider.browser().get("/login", query_string={"next": target})
        assert page.headers["Content-Security-Policy"].endswith("form-action 'self'")


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_prompt_asks_for_a_fresh_sign_in_exactly_once(sso: Sso, prompt: str) -> None:
    person, app = sso.person(), sso.register()
    target, rest = _next(sso.authorize(person.browser, app, prompt=prompt))
    assert rest == {"again": "1"}
    again, _ = _next(_on(person, target))  # the old session does not do
    sso.clock.pass_(seconds=1)
    fresh = sso.sign_in(person.id, person.subject)
    response = _on(fresh, again)
    if "consent" in prompt:
        response = _decide(fresh, response)
    assert "code" in answered(response)


def test_max_age_asks_when_the_sign_in_is_older(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    sso.clock.pass_(seconds=60)
    assert "code" in answered(sso.authorize(person.browser, app, max_age="60"))
    target, rest = _next(sso.authorize(person.browser, app, max_age="59"))
    assert rest == {"again": "1"}
    assert answered(sso.authorize(person.browser, app, max_age="59", prompt="none"))["error"] == (
        "login_required"
    )
    sso.clock.pass_(minutes=5)
    fresh = sso.sign_in(person.id, person.subject)
    sso.clock.pass_(minutes=2)  # the sign-in came after the request: that is what counts
    assert "code" in answered(_on(fresh, target))


def test_max_age_zero_is_a_fresh_sign_in(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    sso.clock.pass_(seconds=1)
    target, _ = _next(sso.authorize(person.browser, app, max_age="0"))
    assert "code" in answered(_on(sso.sign_in(person.id, person.subject), target))


def test_prompt_none_never_shows_a_page(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    stranger = sso.register("Stranger", first_party=False)
    assert "code" in answered(sso.authorize(person.browser, app, prompt="none"))
    nobody = answered(sso.authorize(sso.browser(), app, prompt="none"))
    assert (nobody["error"], nobody["state"]) == ("login_required", "af0ifjsldkj")
    unasked = answered(sso.authorize(person.browser, stranger, prompt="none"))
    assert unasked["error"] == "consent_required"


def test_an_id_token_hint_holds_for_its_person_alone(sso: Sso) -> None:
    john, jane, app = sso.person(), sso.person("jane.roe"), sso.register()
    hint = sso.tokens(john, app)["id_token"]
    assert "code" in answered(sso.authorize(john.browser, app, prompt="none", id_token_hint=hint))
    other = answered(sso.authorize(jane.browser, app, prompt="none", id_token_hint=hint))
    assert other["error"] == "login_required"
    target, _ = _next(sso.authorize(jane.browser, app, id_token_hint=hint))
    assert answered(_on(sso.sign_in(jane.id, jane.subject), target))["error"] == "login_required"
    assert "code" in answered(_on(sso.sign_in(john.id, john.subject), target))


def test_kerberos_is_told_from_a_password(sso: Sso) -> None:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    person, app = sso.person(), sso.register()
    silent = sso.sign_in(person.id, person.subject, method="kerberos")
    keys = KeySet.import_key_set(sso.browser().get("/oauth/jwks").get_json())
    claims = jwt.decode(sso.tokens(silent, app)["id_token"], keys).claims
    assert (claims["acr"], claims["amr"]) == ("urn:kerauno:acr:kerberos", ["wia"])


def test_a_request_by_form_becomes_one_that_carries_the_cookie(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    query = parse_qs(urlsplit(sso.authorize(sso.browser(), app).headers["Location"]).query)
    form = parse_qs(urlsplit(query["next"][0]).query)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://wiki.goodcompany.local"}
    response = sso.browser().post("/oauth/authorize", data=form, headers=headers)
    assert response.status_code == 303
    assert "code" in answered(_on(person, response.headers["Location"]))


def test_a_request_too_long_for_an_address_waits_here(sso: Sso) -> None:
    app, person = sso.register(), sso.person()
    state, nonce = "s" * 2000, "n" * 2000
    target, _ = _next(sso.authorize(sso.browser(), app, state=state, nonce=nonce))
    assert len(target) < 200
    assert answered(_on(person, target))["state"] == state


# -- consent ----------------------------------------------------------------------------------


def _decide(person: Person, page: TestResponse, decision: str = "allow") -> TestResponse:
    handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
    assert handle, page.text
    form = {"request_uri": handle[1], "decision": decision}
    return person.browser.post("/oauth/consent", data=form)


def _stranger(sso: Sso, **more: Any) -> RegisteredApp:
    return sso.register("Travel & Co", first_party=False, **more)


def test_an_app_of_others_asks_once_for_each_new_scope(sso: Sso) -> None:
    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app, scope="openid email")
    assert page.status_code == 200
    assert "Travel &amp; Co would like" in page.text
    assert ("Your email address" in page.text, "Your extension" in page.text) == (True, False)
    assert (
        "form-action 'self' https://wiki.goodcompany.local"
        in (page.headers["Content-Security-Policy"])
    )
    response = _decide(person, page)
    assert response.status_code == 303
    assert sso.redeem(app, answered(response)["code"]).status_code == 200
    assert "code" in answered(sso.authorize(person.browser, app, scope="openid email"))
    more = sso.authorize(person.browser, app, scope="openid email phone")
    assert more.status_code == 200
    assert "code" in answered(_decide(person, more))
    assert "code" in answered(sso.authorize(person.browser, app, scope="phone openid email"))
    assert sso.authorize(person.browser, app, prompt="consent").status_code == 200


def test_saying_no_is_told_to_the_app_and_kept_in_the_audit(sso: Sso) -> None:
    person, app = sso.person(), _stranger(sso)
    answer = answered(_decide(person, sso.authorize(person.browser, app), "deny"))
    assert (answer["error"], answer["state"]) == ("access_denied", "af0ifjsldkj")
    assert sso.authorize(person.browser, app).status_code == 200
    with sso.database.read() as s:
        notes = audit_events(s, "app-consent")
    assert [(note.outcome, note.detail["app"]) for note in notes] == [("denied", "Travel & Co")]


def test_consent_is_each_persons_own(sso: Sso) -> None:
    john, jane, app = sso.person(), sso.person("jane.roe"), _stranger(sso)
    _decide(john, sso.authorize(john.browser, app))
    assert sso.authorize(jane.browser, app).status_code == 200


def test_a_decision_counts_once_and_not_for_ever(sso: Sso) -> None:
    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app)
    assert _decide(person, page).status_code == 303
    assert _decide(person, page).status_code == 400
    late = sso.authorize(person.browser, app, prompt="consent")
    sso.clock.pass_(minutes=15)
    assert _decide(person, late).status_code == 400


def test_another_site_cannot_agree_for_them(sso: Sso) -> None:
    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app)
    handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
    assert handle
    refused = person.browser.post(
        "/oauth/consent",
        data={"request_uri": handle[1], "decision": "allow"},
        headers={"Origin": "https://evil.example"},
    )
    assert refused.status_code == 403
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def test_an_installed_app_is_answered_at_its_own_scheme(sso: Sso) -> None:
    person = sso.person()
    app = _stranger(sso, auth_method="none", redirect_uris=(NATIVE,))
    page = sso.authorize(person.browser, app, redirect_uri=NATIVE)
    assert "form-action 'self' com.goodcompany.desk:" in page.headers["Content-Security-Policy"]
    answer = answered(_decide(person, page), NATIVE)
    assert sso.redeem(app, answer["code"], redirect_uri=NATIVE).status_code == 200


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:51004/callback"),
        ("http://[::1]:1/callback", "http://[::1]:51004/callback"),
    ],
)
def test_an_installed_app_takes_the_port_it_is_given(sso: Sso, registered: str, asked: str) -> None:
    """RFC 8252 7.3: the port of a loopback address is free."""
    person = sso.person()
    app = sso.register(auth_method="none", redirect_uris=(registered,))
    page = sso.authorize(person.browser, app, redirect_uri=asked)
    answer = answered(page, asked)
    refused = sso.redeem(app, answer["code"], redirect_uri=registered)
    assert error_of(refused) == (400, "invalid_grant")  # one code, one address
    answer = answered(sso.authorize(person.browser, app, redirect_uri=asked), asked)
    assert sso.redeem(app, answer["code"], redirect_uri=asked).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        "http://127.0.0.1:51004/elsewhere",
        "http://127.0.0.1:51004/callback?x=1",
        "https://127.0.0.1:51004/callback",
        "http://127.0.0.2:51004/callback",
        "http://localhost:51004/callback",
        "http://evil@127.0.0.1:51004/callback",
        "http://127.0.0.1:51004@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:x/callback",
    ],
)
def test_nothing_but_the_port_is_free(sso: Sso, asked: str) -> None:
    person = sso.person()
    app = sso.register(auth_method="none", redirect_uris=("http://127.0.0.1/callback",))
    assert sso.authorize(person.browser, app, redirect_uri=asked).status_code == 400


def test_the_port_of_an_app_with_a_secret_is_not_free(sso: Sso) -> None:
    person = sso.person()
    app = sso.register(redirect_uris=("http://127.0.0.1/callback",))
    page = sso.authorize(person.browser, app, redirect_uri="http://127.0.0.1:51004/callback")
    assert page.status_code == 400


def test_query_parameters_of_a_redirect_address_are_kept(sso: Sso) -> None:
    at = REDIRECT + "?tenant=7"
    person, app = sso.person(), sso.register(redirect_uris=(at,))
    location = sso.authorize(person.browser, app, redirect_uri=at).headers["Location"]
    assert location.startswith(REDIRECT + "?tenant=7&code=")
