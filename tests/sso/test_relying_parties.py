"""Real relying parties, a real AD: one sign-in opens them all, one departure closes them all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, urlsplit

import pytest

from demo import company
from kerauno.accounts import users
from kerauno.base.errors import NotFound
from kerauno.database.engine import Database
from tests.servers.browser import Browser
from tests.servers.process import Server, wait_until
from tests.servers.relying import ApacheParty, AuthlibParty, NodeParty, RelyingParty
from tests.servers.samba import SambaDC, Scratch
from tests.servers.web import Installation, configure_directory

pytestmark = [
    pytest.mark.relying_party,
    pytest.mark.samba,
    pytest.mark.timeout(300),
]

SECONDS = 10.0
"""A disabled person is out of every app within this time, as the product promises."""


@dataclass
class House:
    """The sign-in and sync services on a real AD, and three apps."""

    web: Installation
    dc: SambaDC
    ou: Scratch
    database: Database
    apps: dict[str, RelyingParty]

    def person(self, account: str, extension: str) -> str:
        """Somebody new in AD, synced; gives their DN."""
        dn = self.dc.add_user(account, self.ou.dn, ipPhone=extension)
        wait_until(lambda: self._is_synced(account), f"{account} is synced", 60)
        return dn

    def _is_synced(self, account: str) -> bool:
        with self.database.read() as s:
            try:
                users.by_email(s, f"{account}@{company.MAIL_DOMAIN}")
            except NotFound:
                return False
            return True

    def sign_in_everywhere(self, account: str) -> Browser:
        """One sign-in with the AD password, then every app without another."""
        browser = Browser()
        first, *others = self.apps.values()
        landed = browser.sign_in(_begin(first), account, company.PASSWORD)
        assert landed.status == 200, landed.body
        for app in others:
            where, page = browser.follow(_begin(app))
            assert page.status == 200, (where, page.body)
        assert self.inside(browser) == set(self.apps)
        return browser

    def inside(self, browser: Browser) -> set[str]:
        """The apps that know who this is."""
        return {name for name, app in self.apps.items() if browser.get(app.page).status == 200}


def _begin(app: RelyingParty) -> str:
    """Return where sign-in begins: Apache begins it on any page, the others at /login."""
    return app.page if isinstance(app, ApacheParty) else app.page.replace("/me", "/login")


@pytest.fixture(scope="module")
def house(samba_dc: SambaDC, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    ou = Scratch(samba_dc)
    folder = tmp_path_factory.mktemp("house")
    web = Installation(folder)
    web.must("authsvc", "db", "upgrade")
    profile = samba_dc.profile(user_search_dn=ou.dn)
    configure_directory(web, profile, "--auto-sync", "yes", "--login-without-domain", "yes")
    web.start(workers=2)
    sync: Server = web.spawn("syncsvc", "serve", log="sync.log")
    apps: dict[str, RelyingParty] = {
        "apache": ApacheParty(web),
        "node": NodeParty(web, folder / "node"),
        "authlib": AuthlibParty(web),
    }
    for app in apps.values():
        app.start()
    database = Database(web.database_url)
    yield House(web, samba_dc, ou, database, apps)
    database.close()
    for app in apps.values():
        app.stop()
    sync.stop()
    web.stop()
    ou.close()


def test_one_sign_in_opens_all_and_one_sign_out_closes_all(house: House) -> None:
    house.person("ann.archer", "7101")
    browser = house.sign_in_everywhere("ann.archer")
    seen = {name: json.loads(browser.get(app.page).body) for name, app in house.apps.items()}
    assert seen["apache"] == {
        "user": "ann.archer",
        "email": f"ann.archer@{company.MAIL_DOMAIN}",
    }
    subject = seen["node"]["claims"]["sub"]
    assert seen["authlib"]["claims"]["sub"] == subject
    for name in ("node", "authlib"):
        assert seen[name]["userinfo"]["preferred_username"] == "ann.archer"
        assert seen[name]["claims"]["amr"] == ["pwd"]
        refreshed = browser.get(house.apps[name].page.replace("/me", "/refresh"))
        assert "offline_access" in json.loads(refreshed.body)["scope"]
    _, bye = browser.follow(house.apps["node"].logout)
    assert json.loads(bye.body) == {"bye": True}
    wait_until(lambda: house.inside(browser) == set(), "every app is told", SECONDS)
    where, _ = browser.follow(_begin(house.apps["authlib"]))
    assert urlsplit(where).path == "/login"


@pytest.mark.parametrize("party", ["apache", "authlib"])
def test_each_app_can_sign_out_of_all(house: House, party: str) -> None:
    account = f"out.{party}"
    house.person(account, "7102" if party == "apache" else "7103")
    browser = house.sign_in_everywhere(account)
    browser.follow(house.apps[party].logout)
    wait_until(lambda: house.inside(browser) == set(), "every app is told", SECONDS)


def _disable(house: House, dn: str) -> None:
    house.dc.modify(dn, userAccountControl="514")


def _remove(house: House, dn: str) -> None:
    house.dc.delete(dn)


def _leave_scope(house: House, dn: str) -> None:
    house.dc.move(dn, house.dc.tests_dn)


@pytest.mark.parametrize(("leave", "extension"), [(_disable, "7104"), (_leave_scope, "7105")])
def test_who_leaves_ad_is_out_of_every_app(
    house: House, leave: Callable[[House, str], None], extension: str
) -> None:
    account = f"leaver.{extension}"
    dn = house.person(account, extension)
    browser = house.sign_in_everywhere(account)
    begun = time.monotonic()
    leave(house, dn)
    wait_until(lambda: house.inside(browser) == set(), "out of every app", SECONDS)
    assert time.monotonic() - begun < SECONDS
    where, _ = browser.follow(_begin(house.apps["node"]))
    assert urlsplit(where).path == "/login"


def test_an_app_refuses_an_answer_that_names_another_issuer(house: House) -> None:
    house.person("mixed.up", "7106")
    browser = house.sign_in_everywhere("mixed.up")
    app = house.apps["node"]
    begun = browser.get(_begin(app))
    callback = browser.get(begun.headers["Location"]).headers["Location"]
    other = callback.replace(quote_plus(house.web.url), quote_plus("https://evil.example"))
    assert other != callback
    refused = browser.get(other)
    assert refused.status == 400, refused.body
    assert browser.get(app.page).status == 401  # the sign-in that was begun anew has failed
