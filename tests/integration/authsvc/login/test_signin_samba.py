"""People of a real Active Directory (Samba) sign in, with every oddity they bring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from demo import company
from dirclient.client import DirectoryClient
from kerauno.sync import directory_settings
from kerauno.tables.core import Link
from tests import said
from tests.integration.site import Site, make_real_site, notice
from tests.servers import company as domain
from tests.servers.samba import SambaDC, Scratch

pytestmark = pytest.mark.samba

PASSWORD = "Welcome!2026"
ODD = [one for one in domain.ODDITIES if not one.state]


@pytest.fixture
def ad_site(samba_dc: SambaDC, sqlite_url: str, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes the web app on the shared domain: `ad_site(user_search_dn=…)`."""
    made: list[Site] = []

    def make(dc: SambaDC = samba_dc, **overrides: Any) -> Site:
        profile = dc.profile(**{"user_search_dn": dc.base} | overrides)
        made.append(make_real_site(sqlite_url, tmp_path, profile))
        return made[-1]

    yield make
    for one in made:
        one.services.close()


def client_of(site: Site) -> DirectoryClient:
    """The client that the app uses now."""
    opened = site.services.directories.current()
    assert opened is not None
    assert isinstance(opened.client, DirectoryClient)
    return opened.client


def status(site: Site, name: str, password: str = PASSWORD) -> int:
    return site.sign_in(name, password)[1].status_code


# -- the ordinary way


@pytest.mark.parametrize(
    "name",
    ["john.doe@company.com", "john.doe", f"{company.NETBIOS}\\john.doe", "John.Doe@Company.COM"],
)
def test_somebody_signs_in(ad_site: Callable[..., Site], name: str) -> None:
    site = ad_site()
    user_id = site.user()
    assert status(site, name) == 303
    with site.services.database.read() as s:
        link = s.get(Link, user_id)
        assert link is not None
        assert (link.origin, link.account_key) == ("sign-in", "john.doe")
    assert status(site, name) == 303


def test_a_linked_user_costs_one_bind_and_survives_a_rename(
    ad_site: Callable[..., Site], fresh_ou: Scratch
) -> None:
    site = ad_site()
    dn = fresh_ou.user("rename")
    name = f"{fresh_ou.name('rename')}@company.com"
    site.user(name)
    assert status(site, name) == 303
    client = client_of(site)
    before = client.operations
    assert status(site, name) == 303
    assert client.operations - before == 1
    moved = fresh_ou.dc.rename(dn, "Another, Name")
    fresh_ou.dc.move(moved, fresh_ou.ou("Elsewhere"))
    assert status(site, name) == 303
    assert client.operations - before == 2


@pytest.mark.parametrize("person", ODD, ids=lambda one: one.account)
def test_people_with_odd_names_sign_in(
    ad_site: Callable[..., Site], samba_dc: SambaDC, person: Any
) -> None:
    site = ad_site()
    site.user(person.email)
    browser, response = site.sign_in(person.email, person.password)
    assert response.status_code == 303
    assert browser.get("/").status_code == 200


# -- refusals


def test_a_wrong_password_and_an_unknown_name_read_alike(ad_site: Callable[..., Site]) -> None:
    site = ad_site()
    site.user()
    wrong = site.sign_in("john.doe@company.com", "nope")[1]
    unknown = site.sign_in("nobody@company.com", "nope")[1]
    assert (wrong.status_code, notice(wrong)) == (unknown.status_code, notice(unknown))
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("disable", "account_disabled"),
        ("expire_account", "account_expired"),
    ],
)
def test_who_may_not_sign_in_is_refused_alike(
    ad_site: Callable[..., Site], fresh_ou: Scratch, change: str, outcome: str
) -> None:
    site = ad_site()
    dn = fresh_ou.user("state")
    name = f"{fresh_ou.name('state')}@company.com"
    site.user(name)
    assert status(site, name) == 303
    getattr(fresh_ou.dc, change)(dn)
    refused = site.sign_in(name, PASSWORD)[1]
    assert refused.status_code == 401
    assert notice(refused).startswith(said.REFUSED_TITLE)
    assert site.audited()[-1].outcome == outcome


@pytest.mark.parametrize(
    ("account", "outcome"),
    [("odd.hours", "hours_restricted"), ("odd.workstation", "workstation_restricted")],
)
def test_restricted_people_are_refused_alike(
    ad_site: Callable[..., Site], account: str, outcome: str
) -> None:
    site = ad_site()
    site.user(f"{account}@company.com")
    assert status(site, f"{account}@company.com") == 401
    assert site.audited()[-1].outcome == outcome


def test_two_accounts_with_one_mail(ad_site: Callable[..., Site], fresh_ou: Scratch) -> None:
    site = ad_site()
    mail = f"{fresh_ou.tag}@company.com"
    fresh_ou.user("one", mail=mail)
    fresh_ou.user("two", mail=mail)
    site.user(mail)
    assert status(site, mail) == 401
    assert site.audited()[-1].outcome == "ambiguous"


def test_who_is_outside_the_scope_does_not_come_in(
    ad_site: Callable[..., Site], samba_dc: SambaDC, fresh_ou: Scratch
) -> None:
    site = ad_site(user_search_dn=fresh_ou.dn)
    site.user()
    assert status(site, "john.doe@company.com") == 401
    assert site.audited()[-1].outcome == "no_match"


# -- passwords that must be changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("must_change_password", said.CHANGE_REQUIRED),
        ("expire_password", said.CHANGE_EXPIRED),
    ],
)
def test_a_password_is_changed_where_it_must_be(
    ad_site: Callable[..., Site],
    fresh_ou: Scratch,
    change: str,
    words: tuple[str, str],
) -> None:
    site = ad_site()
    dn = fresh_ou.user("change")
    name = f"{fresh_ou.name('change')}@company.com"
    site.user(name)
    getattr(fresh_ou.dc, change)(dn)
    wrong = site.sign_in(name, "nope")[1]
    assert notice(wrong).startswith(said.REFUSED_TITLE)
    explained = site.sign_in(name, PASSWORD)[1]
    assert notice(explained) == " ".join(words)
    assert changed(site.browser(), name, PASSWORD, "x") == 400
    assert changed(site.browser(), name, "nope", "An0ther!Wörd") == 401
    assert changed(site.browser(), name, PASSWORD, "An0ther!Wörd") == 303
    assert status(site, name, "An0ther!Wörd") == 303


def changed(browser: FlaskClient, name: str, old: str, new: str) -> int:
    form = {"username": name, "password": old, "new_password": new, "new_password_again": new}
    return browser.post("/password", data=form).status_code


# -- the throttle against a real lockout


def test_nobody_can_lock_an_account_through_kerauno(
    ad_site: Callable[..., Site], fresh_ou: Scratch
) -> None:
    dc = fresh_ou.dc
    dc.set_lockout_policy(4, window=1800, duration=1800)
    try:
        site = ad_site()
        fresh_ou.user("guess")
        account = fresh_ou.name("guess")
        name = f"{account}@company.com"
        site.user(name)
        browser, _ = site.sign_in(name, PASSWORD)
        form = {"username": account, "password": "nope"}
        statuses: list[int] = []

        def guess(spelling: str) -> None:
            statuses.append(status(site, spelling, "nope"))

        spellings = [name, account, f"{dc.netbios}\\{account}", name.upper()] * 4
        threads = [threading.Thread(target=guess, args=(one,)) for one in spellings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [401] * 2 + [429] * 14
        known = [browser.post("/login", data=form).status_code for _ in range(3)]
        assert known == [401, 429, 429]
        with site.services.database.read() as s:
            rule = directory_settings.lockout(s, 1)
            assert rule is not None
            assert (rule.threshold, rule.window) == (4, 1800)
        dc.connect(f"{account}@{dc.dns_domain}", PASSWORD).unbind()  # not locked
    finally:
        dc.set_lockout_policy(0)


def test_a_right_password_that_opens_nothing_forgives_no_wrong_ones(
    ad_site: Callable[..., Site], fresh_ou: Scratch
) -> None:
    """AD goes on counting until somebody really comes in, and so must we."""
    dc = fresh_ou.dc
    dc.set_lockout_policy(5, window=1800, duration=1800)
    try:
        site = ad_site()
        dn = fresh_ou.user("barred")
        account = fresh_ou.name("barred")
        name = f"{account}@company.com"
        site.user(name)
        dc.must_change_password(dn)
        tried = ["nope", "nope", PASSWORD, "nope", "nope", "nope"]
        statuses = [status(site, name, password) for password in tried]
        assert statuses == [401, 401, 401, 401, 429, 429]
        assert dc.refusal(f"{account}@{dc.dns_domain}", PASSWORD) == "773"  # not locked
    finally:
        dc.set_lockout_policy(0)


def test_a_stricter_policy_of_some_counts_for_all_where_it_may_be_read(
    samba_fresh: SambaDC, ad_site: Callable[..., Site]
) -> None:
    samba_fresh.set_lockout_policy(10)
    samba_fresh.add_pso("strict", [samba_fresh.dn("john.doe")], threshold=3)
    reader = {"username": samba_fresh.admin_upn, "password": samba_fresh.admin_password}
    site = ad_site(samba_fresh, **reader)
    site.user()
    statuses = [status(site, "john.doe@company.com", "nope") for _ in range(4)]
    assert statuses == [401, 429, 429, 429]
    samba_fresh.connect(f"john.doe@{samba_fresh.dns_domain}", PASSWORD).unbind()  # not locked


# -- servers that are away


def test_a_server_that_goes_and_comes(samba_fresh: SambaDC, ad_site: Callable[..., Site]) -> None:
    site = ad_site(samba_fresh, connect_timeout=0.5, sign_in_timeout=1.0)
    site.user()
    assert status(site, "john.doe@company.com") == 303
    samba_fresh.kill()
    for name in ("john.doe@company.com", "nobody@company.com"):
        away = site.sign_in(name, PASSWORD)[1]
        assert away.status_code == 503
        assert notice(away).startswith(said.UNAVAILABLE_TITLE)
    samba_fresh.start()
    site.pass_time(hours=1)
    samba_fresh.freeze()
    assert status(site, "john.doe@company.com") == 503
    samba_fresh.thaw()


@pytest.mark.parametrize(
    "overrides",
    [
        {"tls_name": "wrong.goodcompany.local"},
        {"ca_certificates": ""},
        {"port": 1},
        {"servers": ("unresolvable.invalid",)},
        {"encryption": "none", "plaintext_accepted": True},
    ],
)
def test_a_connection_that_cannot_work_is_nobodys_fault(
    ad_site: Callable[..., Site], overrides: dict[str, Any]
) -> None:
    site = ad_site(**overrides)
    site.user()
    response = site.sign_in("john.doe@company.com", PASSWORD)[1]
    assert response.status_code == 503
    assert notice(response).startswith(said.UNAVAILABLE_TITLE)


def test_a_wrong_service_password_is_nobodys_fault(ad_site: Callable[..., Site]) -> None:
    site = ad_site(password="Wrong!Service1")
    site.user()
    assert status(site, "john.doe@company.com") == 503
    assert site.audited()[-1].outcome in ("directory_misconfigured", "directory_unavailable")
