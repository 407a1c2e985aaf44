"""Every page in a language that shows what no translation would reach.

Here each template is shown once; the console's, the accounts' and single sign-on's own tests are
read in the same way, in all their states (the fixture `reading`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from authsvc.i18n import translate
from kerauno.oauth import clients
from kerauno.sync import runs
from kerauno.tables.core import Directory, RunRequest
from tests.browser.test_console_pages import PAGES, fill
from tests.console.helpers import CREDENTIALS, form
from tests.servers.console import NOW, ConsoleSite
from tests.servers.sso import CHALLENGE
from tests.texts.catalogue import ROOT
from tests.texts.pseudo import CODE, Reading, bracketed, texts_outside

TEMPLATES = ROOT / "authsvc" / "templates"
REDIRECT = "https://wiki.goodcompany.local/callback"
APP = {
    "name": "Wiki",
    "auth_method": "none",
    "redirect_uris": REDIRECT,
    "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    "scopes": "openid profile email phone groups offline_access",
    "id_token_alg": "RS256",
}


@pytest.fixture(scope="module", autouse=True)
def _in_brackets(bracketed_language: None) -> None:
    """Before a site is made."""


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    made = ConsoleSite(tmp_path, sqlite_url)
    yield made
    made.close()


def test_every_template_is_shown_and_nothing_in_it_is_left_in_english(
    site: ConsoleSite, reading: Reading
) -> None:
    reading.allow("Mend it in AD. 30 would go. Asked for by hand.")  # as the records have it here
    client = site.client()
    for path in ("/", "/console", "/console/directory/users", "/nowhere"):
        client.get(path)  # nothing is set up yet
    found = fill(site)
    for path in PAGES.values():
        assert client.get(path.format(**found)).status_code == 200
        client.get(path.format(**found), headers={"HX-Request": "true"})
    _credentials(site, client)
    _single_sign_on(site, client)
    _accounts(site.anonymous())
    assert reading.pages > 80
    everything = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    assert everything - _used(site.app) == set()


def _credentials(site: ConsoleSite, client: FlaskClient) -> None:
    """The form refused, overtaken and tested; what a DN is; the effect of new settings."""
    with site.database.read() as s:
        directory = s.query(Directory).one()
        version, directory_id = directory.version, directory.id
    client.post(CREDENTIALS, data=form(version=str(version), servers="", port="x"))
    client.post(CREDENTIALS, data=form(version="0", port="636"))
    faulty = {"servers": "", "part": "1"}
    for way in ("test", "advanced", "find?field=user_search_dn", "suggest"):
        client.post(f"{CREDENTIALS}/{way}", data=form(**faulty))
        client.post(f"{CREDENTIALS}/{way}", data=form(servers=""))
    with site.database.write() as s:
        asked = runs.request(
            s, directory_id, "plan", now=NOW, by="ada", payload={"settings": {}, "version": 1}
        )
    client.get(f"{CREDENTIALS}/review/{asked}")
    with site.database.write() as s:
        row = s.get(RunRequest, asked)
        assert row is not None
        row.taken_at = NOW
        runs.finish_request(s, asked, NOW, error="")
    client.get(f"{CREDENTIALS}/review/{asked}")


def _single_sign_on(site: ConsoleSite, client: FlaskClient) -> None:
    """Apps and protected sites, consent, a device, signing out."""
    client.get("/console/clients")
    client.get("/console/clients/new")
    client.post("/console/clients/new", data=APP | {"name": "", "redirect_uris": ""})
    client.post("/console/clients/new", data=APP)
    with site.database.read() as s:
        (row,) = clients.all_clients(s)
        app_id = row.id
    client.get(f"/console/clients/{app_id}")
    client.get(f"/console/clients/{app_id}/edit")
    client.post("/console/hosts", data={"host": "wiki.goodcompany.local"})
    client.get("/console/hosts?saved=1")
    client.post("/console/hosts", data={"host": "no host"})
    asked = {"response_type": "code", "client_id": app_id, "redirect_uri": REDIRECT,
             "scope": APP["scopes"], "state": "s", "code_challenge": CHALLENGE,
             "code_challenge_method": "S256"}  # fmt: skip
    assert client.get("/oauth/authorize", query_string=asked).status_code == 200
    client.get("/oauth/authorize", query_string={"client_id": "nobody"})
    by_form = asked | {"response_mode": "form_post", "prompt": "none"}
    assert client.get("/oauth/authorize", query_string=by_form).status_code == 200
    shown = site.anonymous().post(
        "/oauth/device", data={"client_id": app_id, "scope": "openid profile"}
    )
    code = shown.get_json()["user_code"]
    client.get("/device")
    client.post("/device", data={"user_code": "wrong"})
    assert client.get("/device", query_string={"user_code": code}).status_code == 200
    client.post("/device/confirm", data={"user_code": code, "decision": "connect"})
    client.get("/apps?disconnected")
    client.get("/oauth/logout")
    client.get("/oauth/logout", query_string={"client_id": app_id})


def _accounts(browser: FlaskClient) -> None:
    """Signing in and changing a password, refused; nobody signed in."""
    for path in ("/login", "/login?signed-out", "/password", "/oauth/logout", "/nowhere"):
        browser.get(path)
    name = {"username": "nobody", "password": "wrong"}
    browser.post("/login", data=name)
    browser.post("/password", data=name)
    browser.post("/password", data=name | {"new_password": "a", "new_password_again": "b"})
    browser.post("/login", data=name, headers={"Sec-Fetch-Site": "cross-site"})


def _used(app: Flask) -> set[str]:
    assert app.jinja_env.cache is not None
    return {name for _, name in app.jinja_env.cache.keys()}  # noqa: SIM118 - no mapping


def test_each_browser_gets_the_form_in_its_language(site: ConsoleSite) -> None:
    browser = site.anonymous()
    for _ in range(2):  # rendered, and as it was kept
        other = browser.get("/login", headers={"Accept-Language": f"{CODE},en;q=0.5"})
        english = browser.get("/login", headers={"Accept-Language": "de, en;q=0.5"})
        assert f'<html lang="{CODE}" dir="ltr">' in other.text
        assert "<h1>⟦Sign in to Kerauno⟧</h1>" in other.text
        assert '<html lang="en" dir="ltr">' in english.text
        assert "<h1>Sign in to Kerauno</h1>" in english.text
        assert other.headers["Vary"] == english.headers["Vary"] == "Accept-Language"
    form = {"username": "nobody", "password": "wrong"}
    refused = browser.post("/login", data=form, headers={"Accept-Language": CODE})
    assert "⟦You could not be signed in⟧" in refused.text
    other_site = {"Accept-Language": CODE, "Sec-Fetch-Site": "cross-site"}
    assert "⟦This request came from another site⟧" in browser.post(
        "/login", data=form, headers=other_site
    ).text  # fmt: skip


def test_a_text_without_a_mark_would_be_found(reading: Reading) -> None:
    app = Flask("authsvc")
    translate.setup_texts(app)
    page = """<title>{{ _("Home") }}</title><p title="{{ tip }}">{{ _("Run %(run)s is held",
    run=word) }}<b>{{ left }}</b>"""
    app.add_url_rule(
        "/", "page", lambda: render_template_string(page, tip="A tip", word="soon", left="Done")
    )
    app.extensions["kerauno"] = None
    reading.look_in_records = False
    answer = app.test_client().get("/")
    assert "Run soon is held" in answer.text  # the tests around it see no brackets
    assert {text.strip() for text in reading.faults} == {"A tip", "soon", "Done"}
    reading.faults.clear()


def test_values_stand_outside_of_the_brackets() -> None:
    assert bracketed("Run %(run)s is held") == "⟦Run ⟧%(run)s⟦ is held⟧"
    assert bracketed('<a href="/%(id)s">%(id)s</a>') == '⟦<a href="/%(id)s">⟧%(id)s⟦</a>⟧'
    page = "<p>⟦Run ⟧12⟦ is held by ⟧⟦an administrator⟧⟦.⟧</p><i alt='⟦x⟧ y'></i><code>run</code>"
    assert [text.strip() for text in texts_outside(page)] == ["y"]
