"""Administrators register apps and protect sites; people see what is connected and end it."""

from __future__ import annotations

import html
import re

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from kerauno.oauth import clients
from kerauno.oauth.registration import GRANTS
from kerauno.signin import protected_sites
from kerauno.tables.core import Department
from tests.records import audit_events
from tests.servers.sso import REDIRECT, Person, Sso, answered, error_of
from tests.texts.pseudo import Reading

FORM = {
    "name": "Grafana",
    "auth_method": "client_secret_basic",
    "redirect_uris": f"{REDIRECT}\nhttps://grafana.goodcompany.local/login/generic_oauth",
    "post_logout_redirect_uris": "",
    "backchannel_logout_uri": "",
    "grant_types": list(GRANTS),
    "scopes": "openid profile email groups offline_access",
    "id_token_alg": "RS256",
    "first_party": "yes",
    "jwks": "",
}


@pytest.fixture
def admin(provider: Sso) -> Person:
    return provider.person("ada.admin", role="admin")


def _text(response: TestResponse) -> str:
    return html.unescape(response.text)


def _secret(page: TestResponse) -> str:
    found = re.search(r'id="secret">([^<]+)<', page.text)
    assert found, page.text
    return found[1]


def _is_secret(s: Session, client_id: str, secret: str) -> bool:
    client = clients.find(s, client_id)
    assert client is not None
    return client.secret_is(secret)


def _id(provider: Sso) -> str:
    with provider.database.read() as s:
        (row,) = clients.all_clients(s)
    return row.id


def test_an_app_is_added_and_its_secret_shown_once(provider: Sso, admin: Person) -> None:
    page = admin.browser.post("/console/clients/new", data=FORM)
    assert page.status_code == 200
    secret, client_id = _secret(page), _id(provider)
    assert len(secret) == 43
    text = _text(page)
    assert f"client_secret = {secret}" in text
    assert f"auth_url = {provider.settings.public_url}/oauth/authorize" in text
    later = admin.browser.get(f"/console/clients/{client_id}")
    assert secret not in later.text
    with provider.database.read() as s:
        assert _is_secret(s, client_id, secret)
    assert "Grafana" in admin.browser.get("/console/clients").text


def test_faults_are_shown_beside_their_fields_and_nothing_is_lost(
    provider: Sso, admin: Person, reading: Reading
) -> None:
    reading.allow("does not begin with https://.")  # the end of a sentence of the records
    faulty = FORM | {"redirect_uris": "ftp://x", "scopes": 'a"b', "name": "My app"}
    page = admin.browser.post("/console/clients/new", data=faulty)
    assert page.status_code == 422
    text = _text(page)
    assert "'ftp://x' does not begin with https://." in text
    assert 'value="My app"' in text
    with provider.database.read() as s:
        assert clients.all_clients(s) == []


def test_an_address_without_encryption_is_warned_of(provider: Sso, admin: Person) -> None:
    page = admin.browser.post("/console/clients/new", data=FORM)
    assert "Not encrypted" not in page.text
    path = f"/console/clients/{_id(provider)}"
    admin.browser.post(
        f"{path}/edit", data=FORM | {"redirect_uris": "http://intranet/cb", "version": "1"}
    )
    assert "Not encrypted" in admin.browser.get(path).text


def test_an_app_is_changed_and_a_change_unseen_is_refused(provider: Sso, admin: Person) -> None:
    admin.browser.post("/console/clients/new", data=FORM)
    path = f"/console/clients/{_id(provider)}/edit"
    changed = admin.browser.post(path, data=FORM | {"name": "Charts", "version": "1"})
    assert changed.status_code == 303
    again = admin.browser.post(path, data=FORM | {"name": "Other", "version": "1"})
    assert again.status_code == 409
    assert 'value="Charts"' in admin.browser.get(path).text


def test_a_new_secret_ends_the_old_one(provider: Sso, admin: Person) -> None:
    old = _secret(admin.browser.post("/console/clients/new", data=FORM))
    client_id = _id(provider)
    new = _secret(admin.browser.post(f"/console/clients/{client_id}/secret"))
    with provider.database.read() as s:
        assert not _is_secret(s, client_id, old)
        assert _is_secret(s, client_id, new)


def test_a_removed_app_signs_nobody_in(provider: Sso, admin: Person) -> None:
    app = provider.register()
    given = provider.tokens(provider.person(), app)
    assert admin.browser.post(f"/console/clients/{app.id}/remove").status_code == 303
    assert error_of(provider.userinfo(given["access_token"])) == (401, "invalid_token")
    assert admin.browser.get(f"/console/clients/{app.id}").status_code == 404
    with provider.database.read() as s:
        (note,) = audit_events(s, "client")
    assert (note.outcome, note.actor) == ("removed", "ada.admin@goodcompany.local")


def test_only_administrators_enter(provider: Sso) -> None:
    person, app = provider.person(), provider.register()
    assert person.browser.get("/console/clients").status_code == 403
    assert person.browser.get("/console/hosts").status_code == 403
    assert person.browser.get(f"/console/clients/{app.id}").status_code == 404
    assert person.browser.post(f"/console/clients/{app.id}/secret").status_code == 404


def test_a_person_sees_their_apps_and_disconnects_one(provider: Sso) -> None:
    person, other = provider.person(), provider.person("jane.roe")
    wiki, travel = provider.register("Wiki"), provider.register("Travel", first_party=False)
    given = provider.tokens(person, wiki, scope="openid email offline_access")
    page = provider.authorize(person.browser, travel, scope="openid profile")
    handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
    assert handle
    decided = person.browser.post(
        "/oauth/consent", data={"request_uri": handle[1], "decision": "allow"}
    )
    assert "code" in answered(decided)
    text = _text(person.browser.get("/apps"))
    assert text.index("Travel") < text.index("Wiki")
    assert "Knows name ·" in text
    assert "No app is connected" in _text(other.browser.get("/apps"))
    assert other.browser.post(f"/apps/{wiki.id}/disconnect").status_code == 404
    assert person.browser.post(f"/apps/{wiki.id}/disconnect").status_code == 303
    assert "Wiki" not in person.browser.get("/apps").text
    assert error_of(provider.refresh(wiki, given["refresh_token"])) == (400, "invalid_grant")
    assert person.browser.post(f"/apps/{travel.id}/disconnect").status_code == 303
    assert provider.authorize(person.browser, travel, scope="openid").status_code == 200


def test_an_administrator_withdraws_a_consent(provider: Sso, admin: Person) -> None:
    person, app = provider.person(), provider.register("Travel", first_party=False)
    page = provider.authorize(person.browser, app)
    handle = re.search(r'name="request_uri" value="([^"]+)"', page.text)
    assert handle
    person.browser.post("/oauth/consent", data={"request_uri": handle[1], "decision": "allow"})
    shown = admin.browser.get(f"/console/clients/{app.id}")
    assert "Withdraw the consent of John Doe" in shown.text
    path = f"/console/clients/{app.id}/consents/{person.id}/withdraw"
    assert admin.browser.post(path).status_code == 303
    assert provider.authorize(person.browser, app).status_code == 200


def test_sites_are_protected_and_opened(provider: Sso, admin: Person) -> None:
    with provider.database.write() as s:
        s.add(Department(name="Sales", imported_at=provider.clock()))
    browser = admin.browser
    saved = browser.post(
        "/console/hosts", data={"host": "Wiki.Company.com.", "departments": "Sales"}
    )
    assert saved.status_code == 303
    assert "Members of Sales" in browser.get("/console/hosts").text
    faulty = browser.post("/console/hosts", data={"host": "no host"})
    assert (faulty.status_code, "is no host" in faulty.text) == (422, True)
    gone = browser.post("/console/hosts", data={"host": "x.com", "departments": "Nobody"})
    assert gone.status_code == 422
    with provider.database.fast() as h:
        assert set(protected_sites.rules(h)) == {"wiki.company.com"}
    assert (
        browser.post("/console/hosts/remove", data={"host": "wiki.company.com"}).status_code == 303
    )
    with provider.database.fast() as h:
        assert protected_sites.rules(h) == {}


def test_a_site_is_protected_for_a_department_and_not_for_its_look_alike(
    provider: Sso, admin: Person
) -> None:
    guids = {"Engineering": "1" * 36, "\u202eEngineering": "2" * 36}
    with provider.database.write() as s:
        for name, guid in guids.items():
            s.add(Department(name=name, guid=guid, imported_at=provider.clock()))
    page = admin.browser.get("/console/hosts").text
    assert f'value="{"1" * 36}"' in page
    assert "[U+202E]Engineering" in page
    host = {"host": "wiki.company.com"}
    for name in guids:
        refused = admin.browser.post("/console/hosts", data=host | {"departments": name})
        assert refused.status_code == 422
        assert all(guid in refused.text for guid in guids.values())
    saved = admin.browser.post("/console/hosts", data=host | {"departments": "2" * 36})
    assert saved.status_code == 303
    assert "Members of [U+202E]Engineering" in admin.browser.get("/console/hosts").text
    with provider.database.read() as s:
        (note,) = audit_events(s, "protected-host")
    assert note.detail["departments"] == ["[U+202E]Engineering"]


def test_the_audit_says_who_signed_in_where(provider: Sso, admin: Person) -> None:
    person, app = provider.person(), provider.register("Wiki")
    provider.tokens(person, app)
    provider.tokens(person, app)
    with provider.database.read() as s:
        notes = audit_events(s, "app-sign-in", user_id=person.id)
    assert [(note.outcome, note.detail["app"]) for note in notes] == [("signed-in", "Wiki")]
    assert "Sign-in to an app" in admin.browser.get("/console/audit").text
