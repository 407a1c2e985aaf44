"""Answers by a form that the browser sends to the app (OAuth 2.0 Form Post Response Mode)."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import TestResponse

from tests.servers.sso import CHALLENGE, ISSUER, REDIRECT, Sso, answered

FORM = {"response_mode": "form_post"}
POLICY = "form-action 'self' https://wiki.goodcompany.local"


def _fields(page: TestResponse, at: str = REDIRECT) -> dict[str, str]:
    """Return what the page's one form sends to the app."""
    assert (page.status_code, page.mimetype) == (200, "text/html"), page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "strict-origin"
    policy = page.headers["Content-Security-Policy"]
    assert (policy.endswith(POLICY), "script-src 'self';" in policy) == (True, True)
    actions = re.findall(r'<form [^>]*method="post" action="([^"]*)"', page.text)
    assert [html.unescape(action) for action in actions] == [at]
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {html.unescape(name): html.unescape(value) for name, value in fields}


def test_a_code_comes_by_form(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    page = provider.authorize(person.browser, app, **FORM)
    fields = _fields(page)
    assert fields == {"code": fields["code"], "state": "af0ifjsldkj", "iss": ISSUER}
    assert fields["code"] not in str(page.headers)
    assert provider.redeem(app, fields["code"]).status_code == 200
    assert list(_fields(provider.authorize(person.browser, app, state=None, **FORM))) == [
        "code",
        "iss",
    ]


@pytest.mark.parametrize(
    "state",
    [
        '"><script>alert(1)</script>',
        "'\"&lt;&amp;\\%22%0a",
        "<!--<script>-->",
        "üñ\u202e\u2028🙂",
        "a+b c%20d=e&f;g",
        "  ",
        "{{ 7 * 7 }}{% raw %}",
    ],
)
def test_a_state_comes_back_as_it_was_and_is_no_markup(provider: Sso, state: str) -> None:
    app = provider.register()
    page = provider.authorize(provider.person().browser, app, state=state, **FORM)
    assert _fields(page)["state"] == state
    assert page.text.count("<script") == 1


@pytest.mark.parametrize("state", ["a\nb", "a\r\nb", "a\0b", "\x7f"])
def test_a_state_that_a_form_would_change_is_refused(provider: Sso, state: str) -> None:
    app = provider.register()
    page = provider.authorize(provider.person().browser, app, state=state, **FORM)
    fields = _fields(page)
    assert (fields["error"], "state" in fields) == ("invalid_request", False)


def test_errors_come_by_form_too(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    stranger = provider.register("Stranger", first_party=False)
    for browser, known, params, error in (
        (person.browser, app, {"scope": "nonsense"}, "invalid_scope"),
        (person.browser, app, {"response_type": "token"}, "unsupported_response_type"),
        (person.browser, app, {"code_challenge": None}, "invalid_request"),
        (provider.browser(), app, {"prompt": "none"}, "login_required"),
        (person.browser, stranger, {"prompt": "none"}, "consent_required"),
    ):
        fields = _fields(provider.authorize(browser, known, **(FORM | params)))
        assert (fields["error"], fields["state"], fields["iss"]) == (error, "af0ifjsldkj", ISSUER)
        assert "code" not in fields


def test_which_way_an_answer_goes_when_the_mode_is_in_doubt(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    for mode in (["form_post", "form_post"], ["form_post", "query"], "fragment", "web_message"):
        response = provider.authorize(person.browser, app, response_mode=mode)
        assert answered(response)["error"] == "invalid_request"
    nowhere = provider.authorize(person.browser, app, redirect_uri="https://evil.example/", **FORM)
    assert (nowhere.status_code, "evil.example" in nowhere.text) == (400, False)
    native = "com.goodcompany.desk:/cb"
    app = provider.register(auth_method="none", redirect_uris=(native,))
    response = provider.authorize(person.browser, app, redirect_uri=native, **FORM)
    assert answered(response, native)["error"] == "invalid_request"


def test_consent_and_pushed_requests_answer_by_form(provider: Sso) -> None:
    person, app = provider.person(), provider.register(first_party=False)
    for decision, name in (("deny", "error"), ("allow", "code")):
        page = provider.authorize(person.browser, app, **FORM)
        handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
        assert handle
        form = {"request_uri": handle[1], "decision": decision}
        assert name in _fields(person.browser.post("/oauth/consent", data=form))
    form = FORM | {
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    pushed = provider.browser().post("/oauth/par", data=form, headers=app.basic).get_json()
    query = {"client_id": app.id, "request_uri": pushed["request_uri"]}
    assert "code" in _fields(person.browser.get("/oauth/authorize", query_string=query))


def test_it_stays_so_while_the_person_signs_in(provider: Sso) -> None:
    app = provider.register()
    location = provider.authorize(provider.browser(), app, **FORM).headers["Location"]
    target = dict(parse_qsl(urlsplit(location).query))["next"]
    assert "code" in _fields(provider.person().browser.get(target))


def test_discovery_names_it(provider: Sso) -> None:
    document = provider.browser().get("/.well-known/openid-configuration").get_json()
    assert document["response_modes_supported"] == ["query", "form_post"]
