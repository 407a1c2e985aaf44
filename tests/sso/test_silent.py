"""Silent sign-in, decided: whom a ticket lets in, and who is asked for one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authsvc.login.spnego import Accepted, NotAccepted, setup_negotiate
from kerauno.accounts import known_browsers, links, users
from kerauno.base.config import Settings
from kerauno.base.errors import ConfigurationError
from kerauno.database.engine import Database
from kerauno.tables.core import Directory
from tests.records import audit_events
from tests.servers.sso import Sso

FORM = "/login?next=%2Fphonebook"


class Tickets:
    """Accepts tickets whose text is "ticket of NAME"."""

    def accept(self, token: bytes) -> Accepted:
        name = token.decode("utf-8", "replace").removeprefix("ticket of ")
        if len(name) == len(token):
            raise NotAccepted("nonsense")
        return Accepted(name, "GOODCOMPANY.LOCAL", b"proof")


def _silent(sso: Sso, folder: Path, networks: str = "") -> int:
    """Make the provider read such tickets, with john.doe linked; his user's id."""
    keytab = folder / "some.keytab"
    keytab.write_bytes(b"")
    settings = sso.settings.model_dump()
    settings |= {"kerberos_keytab": str(keytab), "kerberos_networks": networks}
    sso.services.settings = Settings(**settings)
    assert setup_negotiate(sso.app, sso.services, Tickets())
    person = sso.person("j.doe")
    with sso.database.write() as s:
        s.add(Directory(id=1, name="AD", profile={}, updated_at=sso.clock()))
        s.flush()
        john = links.LinkedAccount(1, "a" * 36, "CN=John", account_name="John.Doe")
        links.link(s, person.id, john, scope="full", origin="sync", now=sso.clock())
    return person.id


@pytest.fixture
def silent(sqlite_database: Database, tmp_path: Path) -> Iterator[Sso]:
    """A provider with silent sign-in for everyone."""
    sso = Sso(sqlite_database, tmp_path)
    _silent(sso, tmp_path)
    yield sso
    sso.services.close()


def _ticket(text: str) -> dict[str, str]:
    return {"Authorization": "Negotiate " + base64.b64encode(text.encode()).decode()}


def _try(
    browser: FlaskClient, text: str, path: str = "/login/silent?next=/phonebook"
) -> TestResponse:
    return browser.get(path, headers=_ticket(text))


def _name(browser: FlaskClient) -> str | None:
    me = browser.get("/api/v1/me")
    return me.get_json()["username"] if me.status_code == 200 else None


def test_an_app_that_wants_a_fresh_sign_in_gets_the_form(silent: Sso) -> None:
    browser, app = silent.browser(), silent.register()
    for prompt, begins in ((None, 302), ("login", 200), ("select_account", 200)):
        to_sign_in = silent.authorize(browser, app, prompt=prompt)
        assert browser.get(to_sign_in.headers["Location"]).status_code == begins


def test_a_browser_is_asked_once_and_sees_the_form(silent: Sso) -> None:
    browser = silent.browser()
    first = browser.get("/login?next=/phonebook")
    assert (first.status_code, first.headers["Location"]) == (302, "/login/silent?next=/phonebook")
    asked = browser.get(first.headers["Location"])
    assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, "Negotiate")
    assert 'name="password"' in asked.text
    assert 'value="/phonebook"' in asked.text
    again = browser.get("/login?next=/phonebook")
    assert (again.status_code, "WWW-Authenticate" in again.headers) == (200, False)


def test_a_ticket_of_a_linked_person_signs_in(silent: Sso) -> None:
    browser = silent.browser()
    response = _try(browser, "ticket of JOHN.doe")
    assert (response.status_code, response.headers["Location"]) == (303, "/phonebook")
    proof = base64.b64encode(b"proof").decode()
    assert response.headers["WWW-Authenticate"] == f"Negotiate {proof}"
    me = browser.get("/api/v1/me").get_json()
    assert (me["username"], me["session"]["method"]) == ("j.doe", "kerberos")
    with silent.database.read() as s:
        (note,) = audit_events(s, "sign-in")
    assert (note.outcome, note.detail, note.guid) == ("ok", {"method": "kerberos"}, "a" * 36)


def test_it_makes_the_browser_a_known_one(silent: Sso) -> None:
    browser = silent.browser()
    assert _try(browser, "ticket of john.doe").status_code == 303
    cookies = browser._cookies or {}
    cookie = next(c for c in cookies.values() if c.key.endswith("-known"))
    with silent.database.read() as s:
        user = users.by_email(s, "j.doe@goodcompany.local")
        assert known_browsers.is_known(cookie.value, user.id, user.browser_key, silent.clock())


def test_it_leads_nowhere_else(silent: Sso) -> None:
    for target in ("https://evil.example/", "//evil.example", "/%5Cevil.example"):
        path = f"/login/silent?next={target}"
        assert _try(silent.browser(), "ticket of john.doe", path).headers["Location"] == "/"


@pytest.mark.parametrize("token", ["ticket of nobody", "ticket of j.doe", "nonsense"])
def test_any_other_ticket_leads_to_the_form_and_no_loop(silent: Sso, token: str) -> None:
    browser = silent.browser()
    response = _try(browser, token)
    assert (response.status_code, response.headers["Location"]) == (303, FORM)
    assert "WWW-Authenticate" not in response.headers
    form = browser.get(response.headers["Location"])
    assert (form.status_code, 'name="password"' in form.text) == (200, True)
    assert _name(browser) is None


def test_what_is_no_ticket_at_all(silent: Sso) -> None:
    for header in ("Negotiate %%%", "Negotiate ", "Negotiate"):
        response = silent.browser().get("/login/silent", headers={"Authorization": header})
        assert response.status_code == 303, header
    basic = silent.browser().get("/login/silent", headers={"Authorization": "Basic eDp5"})
    assert basic.status_code == 401


def test_who_left_is_not_let_in(silent: Sso) -> None:
    with silent.database.write() as s:
        users.by_email(s, "j.doe@goodcompany.local").active = False
    browser = silent.browser()
    assert _try(browser, "ticket of john.doe").headers["Location"] == FORM
    assert _name(browser) is None


def test_who_signed_out_or_wants_to_sign_in_anew_is_not_asked(silent: Sso) -> None:
    for query in ("signed-out", "again=1&next=/"):
        response = silent.browser().get(f"/login?{query}")
        assert (response.status_code, "Location" in response.headers) == (200, False)


def test_only_the_companys_networks_are_asked(sqlite_database: Database, tmp_path: Path) -> None:
    sso = Sso(sqlite_database, tmp_path)
    _silent(sso, tmp_path, "10.0.0.0/8, 2001:db8::/32")
    seen = {
        address: sso.browser()
        .get("/login?next=/", environ_base={"REMOTE_ADDR": address})
        .status_code
        for address in (
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "2001:db8::1",
            "192.0.2.1",
            "2001:db9::1",
            "",
        )
    }
    sso.services.close()
    assert seen == {
        "10.1.2.3": 302,
        "::ffff:10.1.2.3": 302,
        "2001:db8::1": 302,
        "192.0.2.1": 200,
        "2001:db9::1": 200,
        "": 200,
    }


def test_a_keytab_that_cannot_be_used_is_a_fault_of_the_settings(
    provider: Sso, tmp_path: Path
) -> None:
    keytab = tmp_path / "broken.keytab"
    keytab.write_bytes(b"not a keytab")
    settings = provider.settings.model_dump() | {"kerberos_keytab": str(keytab)}
    provider.services.settings = Settings(**settings)
    with pytest.raises(ConfigurationError) as raised:
        setup_negotiate(provider.app, provider.services)
    (fault,) = raised.value.faults
    assert fault.key == "KERAUNO_KERBEROS_KEYTAB"
    assert str(keytab) in fault.message
