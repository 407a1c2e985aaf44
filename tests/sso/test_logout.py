"""An app asks to sign the person out."""

from __future__ import annotations

import re

from authsvc.oidc.provider import current_provider
from kerauno.secrets import signing_keys
from tests.servers.sso import ISSUER, Person, RegisteredApp, Sso, error_of

AFTER = "https://wiki.goodcompany.local/bye"


def _app(sso: Sso) -> RegisteredApp:
    return sso.register(post_logout_redirect_uris=(AFTER,))


def _is_signed_in(person: Person) -> bool:
    return person.browser.get("/api/v1/me").status_code == 200


def test_with_an_id_token_of_the_person_it_happens_at_once(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    given = sso.tokens(person, app, scope="openid offline_access")
    sso.clock.pass_(minutes=30)  # the ID token has expired long ago
    query = {
        "id_token_hint": given["id_token"],
        "post_logout_redirect_uri": AFTER,
        "state": "x y",
    }
    response = person.browser.get("/oauth/logout", query_string=query)
    assert (response.status_code, response.headers["Location"]) == (303, f"{AFTER}?state=x+y")
    assert not _is_signed_in(person)
    assert error_of(sso.refresh(app, given["refresh_token"])) == (400, "invalid_grant")


def test_without_proof_the_person_is_asked(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    query = {"client_id": app.id, "post_logout_redirect_uri": AFTER}
    page = person.browser.get("/oauth/logout", query_string=query)
    assert page.status_code == 200
    assert _is_signed_in(person)
    assert "Wiki asks to sign you out" in page.text
    assert (
        "form-action 'self' https://wiki.goodcompany.local"
        in (page.headers["Content-Security-Policy"])
    )
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert fields == query
    done = person.browser.post("/oauth/logout/confirm", data=fields)
    assert (done.status_code, done.headers["Location"]) == (303, AFTER)
    assert not _is_signed_in(person)


def test_another_site_cannot_confirm_for_them(sso: Sso) -> None:
    person = sso.person()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    refused = person.browser.post("/oauth/logout/confirm", headers=headers)
    assert refused.status_code == 403
    assert _is_signed_in(person)


def test_the_id_token_of_somebody_else_is_no_proof(sso: Sso) -> None:
    person, other, app = sso.person(), sso.person("jane.roe"), _app(sso)
    theirs = sso.tokens(other, app)["id_token"]
    page = person.browser.get("/oauth/logout", query_string={"id_token_hint": theirs})
    assert page.status_code == 200
    assert _is_signed_in(person)


def test_who_is_asked_about_the_token_of_somebody_else_goes_back_to_the_app(sso: Sso) -> None:
    person, other, app = sso.person(), sso.person("jane.roe"), _app(sso)
    query = {"id_token_hint": sso.tokens(other, app)["id_token"], "post_logout_redirect_uri": AFTER}
    page = person.browser.get("/oauth/logout", query_string=query)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert fields == {"client_id": app.id, "post_logout_redirect_uri": AFTER}
    done = person.browser.post("/oauth/logout/confirm", data=fields)
    assert (done.status_code, done.headers["Location"]) == (303, AFTER)


def test_a_token_that_cannot_be_verified_is_no_proof_and_no_obstacle(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    head, body, signature = sso.tokens(person, app)["id_token"].split(".")
    for hint in (f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}.", "nonsense", "ä.ö.ü"):
        page = person.browser.get("/oauth/logout", query_string={"id_token_hint": hint})
        assert (page.status_code, "Sign out?" in page.text) == (200, True), hint
        assert "Wiki" not in page.text  # nothing in it is believed
    assert _is_signed_in(person)


def test_the_token_of_a_key_that_has_left_the_key_set_still_signs_out(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    query = {
        "id_token_hint": sso.tokens(person, app)["id_token"],
        "post_logout_redirect_uri": AFTER,
    }
    with sso.database.write() as s:
        signing_keys.rotate(s, sso.services.sealer, sso.clock(), at_once=True)
    with sso.app.app_context():
        current_provider().keyring.forget()
    unnamed = person.browser.get("/oauth/logout", query_string=query)
    assert (unnamed.status_code, re.findall(r'type="hidden"', unnamed.text)) == (200, [])
    named = person.browser.get("/oauth/logout", query_string=query | {"client_id": app.id})
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', named.text))
    assert fields == {"client_id": app.id, "post_logout_redirect_uri": AFTER}
    done = person.browser.post("/oauth/logout/confirm", data=fields)
    assert (done.status_code, done.headers["Location"]) == (303, AFTER)
    assert not _is_signed_in(person)


def test_faulty_requests_are_refused_and_sign_nobody_out(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    other = sso.register("Other")
    token = sso.tokens(person, app)["id_token"]
    for query in (
        {"id_token_hint": token, "client_id": other.id},
        {"id_token_hint": token, "post_logout_redirect_uri": AFTER + "/x"},
        {"client_id": other.id, "post_logout_redirect_uri": AFTER},
        {"id_token_hint": "nonsense", "client_id": other.id, "post_logout_redirect_uri": AFTER},
        {"post_logout_redirect_uri": AFTER},
    ):
        response = person.browser.get("/oauth/logout", query_string=query)
        assert response.status_code == 400, query
        assert "Location" not in response.headers
    assert _is_signed_in(person)


def test_a_form_of_the_app_becomes_a_request_that_carries_the_cookie(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    form = {"id_token_hint": sso.tokens(person, app)["id_token"]}
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://wiki.goodcompany.local"}
    response = sso.browser().post("/oauth/logout", data=form, headers=headers)
    assert response.status_code == 303
    assert response.headers["Location"].startswith("/oauth/logout?id_token_hint=")
    done = person.browser.get(response.headers["Location"])
    assert "You are signed out" in done.text
    assert not _is_signed_in(person)


def test_who_is_signed_out_already_goes_straight_on(sso: Sso) -> None:
    app = _app(sso)
    query = {"client_id": app.id, "post_logout_redirect_uri": AFTER}
    response = sso.browser().get("/oauth/logout", query_string=query)
    assert (response.status_code, response.headers["Location"]) == (303, AFTER)
    assert ISSUER not in response.headers["Location"]
