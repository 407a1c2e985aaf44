"""Every condition of a request is asked where the code is made, whichever way leads there."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jws
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authsvc.web.json_reader import parse_json
from kerauno.tables.oauth import AuthorizationCode, AuthorizationRequest
from tests.servers.sso import CHALLENGE, REDIRECT, Person, RegisteredApp, Sso, answered


@pytest.fixture
def sso(provider: Sso) -> Sso:
    """On SQLite: the statements are tried on both kinds of database elsewhere."""
    return provider


def _stranger(sso: Sso, **more: Any) -> RegisteredApp:
    return sso.register("Travel", first_party=False, **more)


def _form_of(page: TestResponse) -> dict[str, str]:
    handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
    assert handle, page.text
    return {"request_uri": handle[1], "decision": "allow"}


def _agree(person: Person, page: TestResponse) -> TestResponse:
    return person.browser.post("/oauth/consent", data=_form_of(page))


def _next(response: TestResponse) -> str:
    """Return where sign-in, which is to be by the form, leads on to."""
    assert response.status_code in (302, 303)
    parts = urlsplit(response.headers["Location"])
    query = parse_qs(parts.query)
    assert (parts.path, query["again"]) == ("/login", ["1"])
    return query["next"][0]


def _pushed(sso: Sso, app: RegisteredApp, **params: str) -> dict[str, str]:
    form = {
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | params
    response = sso.browser().post("/oauth/par", data=form, headers=app.basic)
    return {"client_id": app.id, "request_uri": response.get_json()["request_uri"]}


def _count(sso: Sso, table: Any) -> int:
    with sso.database.read() as s:
        return s.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize(
    "params", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}]
)
@pytest.mark.parametrize("first_party", [True, False])
def test_an_old_session_gets_no_code_by_the_consent_form(
    sso: Sso, params: dict[str, str], first_party: bool
) -> None:
    person, app = sso.person(), sso.register(first_party=first_party)
    sso.clock.pass_(minutes=5)
    target = _next(sso.authorize(person.browser, app, **params))
    pushed = _pushed(sso, app, **params)
    _next(person.browser.get("/oauth/authorize", query_string=pushed))
    for handle in (dict(parse_qsl(urlsplit(target).query)).get("asked"), pushed["request_uri"]):
        form = {"request_uri": handle, "decision": "allow"}
        assert person.browser.post("/oauth/consent", data=form).status_code == 400
    assert _count(sso, AuthorizationCode) == 0


def test_a_stamp_is_of_one_request_and_lasts_a_quarter_of_an_hour(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    sso.clock.pass_(minutes=5)
    target = _next(sso.authorize(person.browser, app, prompt="login"))
    sso.clock.pass_(minutes=1)
    fresh = sso.sign_in(person.id, person.subject)
    query = dict(parse_qsl(urlsplit(target).query))
    for changed in (
        {"state": "other"},
        {"scope": "openid email"},
        {"max_age": "5"},
        {"prompt": "select_account"},
        {"asked": query["asked"][:-2]},
        {"asked": "x"},
        {"asked": sso.services.sealer.seal("asked")},
        {"asked": ""},
    ):
        _next(fresh.browser.get("/oauth/authorize", query_string=query | changed))
    assert "code" in answered(fresh.browser.get(target))
    assert _next(person.browser.get(target)) != target
    sso.clock.pass_(minutes=14, seconds=1)
    _next(fresh.browser.get(target))


def test_a_ticket_of_the_browser_is_no_fresh_sign_in(sso: Sso) -> None:
    """Another tab may have signed in silently in the meantime."""
    person, app = sso.person(), sso.register()
    for params in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}):
        sso.clock.pass_(minutes=1)
        target = _next(sso.authorize(person.browser, app, **params))
        silent = sso.sign_in(person.id, person.subject, method="kerberos")
        sso.clock.pass_(seconds=1)
        again = _next(silent.browser.get(target))
        typed = sso.sign_in(person.id, person.subject)
        assert "code" in answered(typed.browser.get(again))
    silent = sso.sign_in(person.id, person.subject, method="kerberos")
    sso.clock.pass_(seconds=60)
    assert "code" in answered(sso.authorize(silent.browser, app, max_age="60"))


def test_max_age_that_runs_out_on_the_consent_page(sso: Sso) -> None:
    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app, max_age="60")
    sso.clock.pass_(seconds=61)
    target = _next(_agree(person, page))
    assert _agree(person, page).status_code == 400
    sso.clock.pass_(seconds=1)
    fresh = sso.sign_in(person.id, person.subject)
    page = fresh.browser.get(target)
    sso.clock.pass_(minutes=5)  # they signed in after the app asked: nothing can be fresher
    code = answered(_agree(fresh, page))["code"]
    id_token = sso.redeem(app, code).get_json()["id_token"]
    claims = parse_json(jws.extract_compact(id_token.encode()).payload)
    assert sso.clock().timestamp() - claims["auth_time"] == pytest.approx(300, abs=1)


def test_a_hint_is_asked_again_on_the_consent_page(sso: Sso) -> None:
    john, jane, app = sso.person(), sso.person("jane.roe"), _stranger(sso)
    hint = sso.tokens(john, sso.register("Own"))["id_token"]
    page = sso.authorize(john.browser, app, id_token_hint=hint)
    assert page.status_code == 200
    form = _form_of(page)
    assert jane.browser.post("/oauth/consent", data=form).status_code == 400
    assert "code" in answered(john.browser.post("/oauth/consent", data=form))


def test_a_consent_page_belongs_to_the_session_that_it_was_shown_to(sso: Sso) -> None:
    person, other, app = sso.person(), sso.person("jane.roe"), _stranger(sso)
    form = _form_of(sso.authorize(person.browser, app))
    elsewhere = sso.sign_in(person.id, person.subject)
    for browser in (other.browser, elsewhere.browser):
        for decision in ("allow", "deny"):
            refused = browser.post("/oauth/consent", data=form | {"decision": decision})
            assert refused.status_code == 400
    as_address = person.browser.get("/oauth/authorize", query_string=form | {"client_id": app.id})
    assert as_address.status_code == 400
    assert "code" in answered(person.browser.post("/oauth/consent", data=form))


def test_the_same_person_may_sign_in_again_before_agreeing(sso: Sso) -> None:
    from authsvc.services import lifetime_for
    from kerauno.signin import sessions

    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app)
    with sso.database.write() as s:
        made = sessions.create(
            s,
            person.id,
            method="directory",
            now=sso.clock(),
            lifetime=lifetime_for(sso.settings),
            instead_of=person.cookie[1],
        )
    person.browser.set_cookie(person.cookie[0], made.cookie, domain="localhost")
    assert "code" in answered(_agree(person, page))


@pytest.mark.parametrize("first_party", [True, False])
def test_a_pushed_request_is_answered_once(sso: Sso, first_party: bool) -> None:
    person, app = sso.person(), sso.register(first_party=first_party)
    query = _pushed(sso, app)
    page = person.browser.get("/oauth/authorize", query_string=query)
    if not first_party:
        again = person.browser.get("/oauth/authorize", query_string=query)  # loaded again
        page, second = _agree(person, again), _agree(person, page)
        assert second.status_code == 400
    assert "code" in answered(page)
    assert person.browser.get("/oauth/authorize", query_string=query).status_code == 400
    assert _count(sso, AuthorizationCode) == 1


def test_an_error_uses_a_pushed_request_up(sso: Sso) -> None:
    query = _pushed(sso, app := sso.register(), prompt="none")
    refused = sso.browser().get("/oauth/authorize", query_string=query)
    assert answered(refused)["error"] == "login_required"
    person = sso.person()
    assert person.browser.get("/oauth/authorize", query_string=query).status_code == 400
    assert app.id == query["client_id"]


def test_a_pushed_request_waits_for_sign_in_and_no_longer(sso: Sso) -> None:
    app = sso.register()
    query = _pushed(sso, app, prompt="login")
    target = _next(sso.browser().get("/oauth/authorize", query_string=query))
    assert target == "/oauth/authorize?" + urlencode(query)
    sso.clock.pass_(minutes=14)
    person = sso.person()
    assert "code" in answered(person.browser.get(target))
    query = _pushed(sso, app, prompt="login")
    _next(person.browser.get("/oauth/authorize", query_string=query))
    sso.clock.pass_(minutes=10)
    _next(person.browser.get("/oauth/authorize", query_string=query))
    sso.clock.pass_(minutes=5)
    assert person.browser.get("/oauth/authorize", query_string=query).status_code == 400
    assert _count(sso, AuthorizationRequest) == 1  # it goes with the next sweep


def test_what_the_address_adds_to_a_pushed_request_does_not_count(sso: Sso) -> None:
    person, app = sso.person(), sso.register()
    sso.clock.pass_(minutes=5)
    query = _pushed(sso, app, prompt="login", state="pushed")
    more = query | {"prompt": "none", "state": "x", "redirect_uri": "https://evil.example/"}
    target = _next(person.browser.get("/oauth/authorize", query_string=more))
    sso.clock.pass_(seconds=1)
    fresh = sso.sign_in(person.id, person.subject)
    assert answered(fresh.browser.get(target))["state"] == "pushed"


def test_an_address_that_is_taken_away_while_the_page_is_open(sso: Sso) -> None:
    from kerauno.oauth import clients

    person, app = sso.person(), _stranger(sso)
    page = sso.authorize(person.browser, app)
    with sso.database.write() as s:
        clients.get(s, app.id).redirect_uris = ["https://wiki.goodcompany.local/elsewhere"]
    sso.app.extensions["kerauno.oidc"]._clients.clear()
    assert _agree(person, page).status_code == 400
    assert _count(sso, AuthorizationCode) == 0
