"""An app asks to sign the person out."""

from __future__ import annotations

import re

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


def test_faulty_requests_are_refused_and_sign_nobody_out(sso: Sso) -> None:
    person, app = sso.person(), _app(sso)
    other = sso.register("Other")
    token = sso.tokens(person, app)["id_token"]
    head, body, signature = token.split(".")
    for query in (
        {"id_token_hint": f"{head}.{body}.{signature[:-4]}AAAA"},
        {"id_token_hint": "nonsense"},
        {"id_token_hint": "ä.ö.ü"},
        {"id_token_hint": token, "client_id": other.id},
        {"id_token_hint": token, "post_logout_redirect_uri": AFTER + "/x"},
        {"client_id": other.id, "post_logout_redirect_uri": AFTER},
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
