"""Apps are answered at the address that they registered, to the byte."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerauno.oauth.redirect_uris import origin, with_parameters, without_loopback_port
from tests.servers.sso import CHALLENGE, ISSUER, RegisteredApp, Sso, error_of

WEB = "https://wiki.goodcompany.local"

ADDRESSES = [
    "app.immich:///oauth-callback",
    "com.goodcompany.desk:/cb",
    "com.goodcompany.desk://host",
    "com.goodcompany.desk:cb",
    f"{WEB}/cb?flag",
    f"{WEB}/cb?next=/a/b&m=a%20b",
    f"{WEB}/cb?a=1;b=2",
    f"{WEB}/cb?e=%ff",
    f"{WEB}/cb?",
    f"{WEB}/cb?a=1&",
    f"{WEB}/cb?a=",
    f"{WEB}/cb?=&&x==y+z",
    f"{WEB}/cb?state=own&code=own",
    f"{WEB}/a%2Fb/../c;p=1//d",
    f"{WEB}:443/cb",
    WEB,
    "HTTPS://Wiki.GoodCompany.local/CB",
    f"{WEB}/cb?q=%7B'\"<>|`{{}}^$!()~[]@:,",
]


def _at(location: str, uri: str) -> dict[str, str]:
    """The parameters that were added to the address."""
    assert location.startswith(uri), location
    added = location[len(uri) :]
    if uri[-1] not in "?&":
        assert added[0] == ("&" if "?" in uri else "?")
        added = added[1:]
    return dict(parse_qsl(added, strict_parsing=True))


def _register(sso: Sso, uri: str, **more: Any) -> RegisteredApp:
    return sso.register(auth_method="none", redirect_uris=(uri,), **more)


def test_answers_and_errors_come_to_the_registered_address(provider: Sso) -> None:
    person, state = provider.person(), "a b&c=d;e/%ff+ü"
    for uri in ADDRESSES:
        app = _register(provider, uri)
        response = provider.authorize(person.browser, app, redirect_uri=uri, state=state)
        answer = _at(response.headers["Location"], uri)
        assert answer == {"code": answer["code"], "state": state, "iss": ISSUER}
        assert provider.redeem(app, answer["code"], redirect_uri=uri).status_code == 200
        response = provider.authorize(
            person.browser, app, redirect_uri=uri, state=state, response_type="token"
        )
        answer = _at(response.headers["Location"], uri)
        assert (answer["error"], answer["state"]) == ("unsupported_response_type", state)


def test_so_is_the_way_after_signing_out(provider: Sso) -> None:
    for uri in ADDRESSES:
        person = provider.person(f"p{ADDRESSES.index(uri)}")
        app = _register(provider, uri, post_logout_redirect_uris=(uri,))
        query = {"client_id": app.id, "post_logout_redirect_uri": uri}
        done = person.browser.post("/oauth/logout/confirm", data=query | {"state": "x&y"})
        assert _at(done.headers["Location"], uri) == {"state": "x&y"}
        done = provider.browser().get("/oauth/logout", query_string=query)
        assert done.headers["Location"] == uri


def test_a_request_keeps_the_address_while_it_waits(provider: Sso) -> None:
    person = provider.person()
    for uri in ADDRESSES:
        app = _register(provider, uri)
        form = {
            "response_type": "code",
            "client_id": app.id,
            "redirect_uri": uri,
            "scope": "openid",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        pushed = provider.browser().post("/oauth/par", data=form).get_json()["request_uri"]
        query = {"client_id": app.id, "request_uri": pushed}
        response = person.browser.get("/oauth/authorize", query_string=query)
        assert "code" in _at(response.headers["Location"], uri)
        response = person.browser.post("/oauth/authorize", data=form)
        response = person.browser.get(response.headers["Location"])
        assert "code" in _at(response.headers["Location"], uri)


def test_another_spelling_is_another_address(provider: Sso) -> None:
    person = provider.person()
    for uri in ADDRESSES:
        app = _register(provider, uri)
        others = {
            uri + "/",
            uri + "&",
            uri + "#",
            uri + "?",
            uri + "%20",
            uri + "\n",
            "\t" + uri,
            uri.replace("%", "%25"),
            uri.replace("///", "/"),
            uri.replace("https://", "https:///"),
            uri.replace("/", "\\"),
            uri.swapcase(),
        } - {uri}
        for other in others:
            response = provider.authorize(person.browser, app, redirect_uri=other)
            assert (response.status_code, "Location" in response.headers) == (400, False), other
            location = provider.authorize(person.browser, app, redirect_uri=uri).headers["Location"]
            refused = provider.redeem(app, _at(location, uri)["code"], redirect_uri=other)
            assert error_of(refused) == (400, "invalid_grant")


@given(
    st.sampled_from(ADDRESSES),
    st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1),
)
def test_what_is_added_is_read_as_it_was(uri: str, added: list[tuple[str, str]]) -> None:
    pairs = [
        (name, value)
        for name, value in added
        if (name + value).encode("utf-8", "ignore").decode() == name + value
    ] or [("a", "b")]
    answered = with_parameters(uri, pairs)
    assert answered.startswith(uri)
    assert parse_qsl(answered[len(uri) :].lstrip("?&"), strict_parsing=True) == pairs


@pytest.mark.parametrize(
    ("uri", "portless"),
    [
        ("http://127.0.0.1:51004/cb?x", "http://127.0.0.1/cb?x"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:1/cb", "http://[::1]/cb"),
        ("http://localhost:80?", "http://localhost?"),
        ("http://127.0.0.1:65536/", None),
        ("http://127.0.0.1:/", None),
        ("http://127.0.0.1:5x/", None),
        ("http://127.0.0.1:5\n/", None),
        ("http://127.0.0.1\t:5/", None),
        ("http://a@127.0.0.1:5/", None),
        ("http://127.0.0.1:5#", None),
        ("http://127.0.0.1:5\\", None),
        ("http://wiki:5/", None),
        ("https://127.0.0.1:5/", None),
    ],
)
def test_the_port_alone_is_left_out(uri: str, portless: str | None) -> None:
    assert without_loopback_port(uri) == portless


def test_origins() -> None:
    assert [origin(uri) for uri in ADDRESSES[:6]] == [
        "app.immich:",
        "com.goodcompany.desk:",
        "com.goodcompany.desk:",
        "com.goodcompany.desk:",
        WEB,
        WEB,
    ]
    assert origin("https://wiki:8443?x") == "https://wiki:8443"
