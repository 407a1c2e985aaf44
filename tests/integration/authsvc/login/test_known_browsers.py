"""A browser in which a person has signed in before: nobody else's guesses keep them out of it."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from dirclient.model.directory_objects import LockoutPolicy
from kerauno.accounts import access_revocation, known_browsers, links, users
from kerauno.secrets import encryption
from tests.integration.site import LOCAL_PASSWORD, PASSWORD, Site, make_site
from tests.records import NOW

NAME = "john.doe@company.com"
COOKIE = "kerauno-known"


def attempt(
    browser: FlaskClient, name: str = NAME, password: str = PASSWORD, path: str = "/login"
) -> int:
    return browser.post(path, data={"username": name, "password": password}).status_code


def sign_out(browser: FlaskClient) -> None:
    assert browser.post("/logout").status_code == 303


def known(site: Site, name: str = NAME, password: str = PASSWORD) -> FlaskClient:
    """A browser in which this person signed in before."""
    browser = site.browser()
    assert attempt(browser, name, password) == 303
    sign_out(browser)
    return browser


def guesses(site: Site, count: int = 12, name: str = NAME) -> list[int]:
    return [site.sign_in(name, "nope")[1].status_code for _ in range(count)]


def value(browser: FlaskClient) -> str:
    cookie = browser.get_cookie(COOKIE)
    return cookie.value if cookie else ""


def field(response: TestResponse, cookie: str = COOKIE) -> str:
    fields = response.headers.getlist("Set-Cookie")
    return next(text for text in fields if text.startswith(f"{cookie}="))


def test_a_strangers_guesses_keep_nobody_out_of_their_own_browser(any_site: Site) -> None:
    any_site.directory.policy = LockoutPolicy(5, 1800, 1800)
    any_site.linked()
    browser = known(any_site)
    assert guesses(any_site) == [401] * 3 + [429] * 9
    assert any_site.sign_in()[1].status_code == 429
    assert attempt(browser) == 303
    assert guesses(any_site, 4) == [401] * 3 + [429]
    assert attempt(browser) == 303


@pytest.mark.parametrize("threshold", [3, 5, 10])
def test_strangers_and_known_browsers_together_never_lock_the_account(
    any_site: Site, threshold: int
) -> None:
    any_site.directory.policy = LockoutPolicy(threshold, 1800, 1800)
    any_site.linked()
    browsers = [known(any_site) for _ in range(4)]
    before = any_site.directory.binds
    assert set(guesses(any_site)) == {401, 429}
    statuses = [attempt(browser, password="nope") for browser in browsers * 4]
    assert set(statuses) == {401, 429}
    assert any_site.directory.binds - before == min(threshold - 1, 8)
    any_site.pass_time(hours=1)
    assert any_site.sign_in()[1].status_code == 303


def test_64_guesses_at_once_never_lock_the_account(any_site: Site) -> None:
    any_site.directory.policy = LockoutPolicy(5, 1800, 1800)
    any_site.linked()
    cookies = [value(known(any_site)) for _ in range(2)]
    statuses: list[int] = []

    def guess(number: int) -> None:
        browser = any_site.browser()
        if number % 2:
            browser.set_cookie(COOKIE, cookies[number // 2 % 2])
        statuses.append(attempt(browser, password="nope"))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 4 + [429] * 60
    any_site.pass_time(hours=1)
    assert any_site.sign_in()[1].status_code == 303


def test_a_strangers_guesses_from_the_same_address_keep_nobody_out(
    sqlite_url: str, tmp_path: Path
) -> None:
    hour = {"address_failures": "5", "address_window_minutes": "60"}
    site = make_site(sqlite_url, tmp_path, **hour)
    site.linked()
    browser = known(site)
    assert [guesses(site, 1, f"user{n}@company.com")[0] for n in range(6)] == [401] * 5 + [429]
    assert site.sign_in()[1].status_code == 429
    site.pass_time(minutes=30)
    assert attempt(browser) == 303
    assert site.sign_in()[1].status_code == 429  # for all others the hour goes on


def test_a_known_browser_serves_nobody_else(site: Site) -> None:
    site.linked()
    site.linked("mary.major")
    browser = known(site)
    guesses(site, name="mary.major@company.com")
    assert attempt(browser, "mary.major@company.com") == 429


def test_a_shared_computer_knows_several_people(site: Site) -> None:
    names = [f"person{n}@company.com" for n in range(known_browsers.MOST + 1)]
    browser = site.browser()
    for name in names:
        site.linked(name.partition("@")[0])
        assert attempt(browser, name) == 303
        sign_out(browser)
    for name in names:
        guesses(site, 6, name)
    statuses = [attempt(browser, name, "nope") for name in names]
    assert statuses == [429] + [401] * known_browsers.MOST


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "Q"),
        lambda text: "f" + text[1:],
        lambda text: text.upper(),
        lambda text: text.replace(".", "~"),
        lambda text: "~" * 2000 + text,
        lambda text: "\x7f" + text,
    ],
)
def test_a_forged_cookie_is_a_strangers(site: Site, change) -> None:  # type: ignore[no-untyped-def]
    site.linked()
    cookie = value(known(site))
    guesses(site)
    browser = site.browser()
    browser.set_cookie(COOKIE, change(cookie))
    assert attempt(browser) == 429
    browser.set_cookie(COOKIE, cookie)
    assert attempt(browser) == 303


def test_a_cookie_of_another_installation_is_a_strangers(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    ours, theirs = (make_site(url, tmp_path) for url in (sqlite_url, postgres_url))
    assert ours.linked() == theirs.linked()
    known(ours)
    guesses(ours)
    browser = ours.browser()
    browser.set_cookie(COOKIE, value(known(theirs)))
    assert attempt(browser) == 429


def test_a_browser_is_known_for_thirty_days_after_the_last_sign_in(site: Site) -> None:
    site.linked()
    browser = known(site)
    site.pass_time(days=29)
    assert attempt(browser) == 303
    sign_out(browser)
    site.pass_time(days=29)
    guesses(site, 6)
    assert attempt(browser, password="nope") == 401
    site.pass_time(days=1)
    guesses(site, 6)
    assert attempt(browser) == 429


@pytest.mark.parametrize(
    ("scheme", "name", "flag"),
    [("https", "__Host-kerauno-known", {"Secure"}), ("http", "kerauno-known", set())],
)
def test_the_cookie_names_nobody_and_reaches_no_script(
    sqlite_url: str, tmp_path: Path, scheme: str, name: str, flag: set[str]
) -> None:
    site = make_site(sqlite_url, tmp_path, public_url=f"{scheme}://phone.company.com")
    site.linked()
    text, *flags = field(site.sign_in()[1], name).removeprefix(f"{name}=").split("; ")
    expected = {"Max-Age=2592000", "HttpOnly", "Path=/", "SameSite=Strict"} | flag
    assert set(flags) == expected
    assert re.fullmatch(r"[0-9a-f]{8}\.[A-Za-z0-9_-]{22}", text)


# -- how it ends


def _leave(site: Site, user_id: int) -> None:
    until = site.at + timedelta(days=30)
    with site.services.database.write() as s:
        users.deactivate(s, [user_id], site.at, reserve_until=until)
        users.reactivate(s, user_id, site.at)


def _desync(site: Site, user_id: int) -> None:
    with site.services.database.write() as s:
        links.unlink(s, user_id, by="test", now=site.at, hold=False)
    site.link(user_id, next(iter(site.directory._accounts.values())).person)


def _end_everything(site: Site, user_id: int) -> None:
    with site.services.database.write() as s:
        access_revocation.end_access(s, [user_id])


def _block(site: Site, user_id: int) -> None:
    with site.services.database.write() as s:
        users.block(s, user_id, site.at)
        users.unblock(s, user_id, site.at)


@pytest.mark.parametrize("end", [_leave, _desync, _end_everything, _block])
def test_it_ends_with_everything_else(site: Site, end) -> None:  # type: ignore[no-untyped-def]
    user_id = site.linked()
    browser = known(site)
    end(site, user_id)
    guesses(site)
    assert attempt(browser) == 429
    site.pass_time(hours=1)
    assert attempt(browser) == 303
    guesses(site)
    assert attempt(browser) == 303


def test_it_ends_where_a_person_ends_their_other_sessions(site: Site) -> None:
    site.linked()
    other, own = known(site), known(site)
    assert attempt(own) == 303
    assert own.post("/sessions/end-others").status_code == 303
    guesses(site)
    assert attempt(other) == 429
    assert attempt(own) == 303


def test_it_ends_with_a_new_kerauno_password_except_where_it_was_changed(site: Site) -> None:
    site.admin()
    name, new = "ada@company.com", "Another!Local-2"
    other, own = (known(site, name, LOCAL_PASSWORD) for _ in range(2))
    form = {"username": name, "password": LOCAL_PASSWORD}
    form |= {"new_password": new, "new_password_again": new}
    assert own.post("/password", data=form).status_code == 303
    guesses(site, name=name)
    assert attempt(other, name, new) == 429
    assert attempt(own, name, new) == 303


def test_it_goes_on_with_a_new_key_file(site: Site) -> None:
    site.linked()
    browser = known(site)
    with site.services.database.write() as s:
        encryption.rotate(s, site.services.settings.secret_key_file)
    guesses(site)
    assert attempt(browser) == 303


def test_the_form_stays_as_quick_in_a_known_browser(site: Site) -> None:
    site.linked()
    browser = known(site)
    browser.get("/login")
    with site.services.database.counting() as counts:
        assert browser.get("/login").status_code == 200
    assert counts.statements == 0


def test_a_known_browser_costs_what_another_costs(any_site: Site) -> None:
    any_site.linked()
    browser = known(any_site)
    with any_site.services.database.counting() as counts:
        assert attempt(browser) == 303
    assert counts.statements == (5 if any_site.services.database.sqlite else 7)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 40)), max_size=12))
def test_a_cookie_knows_the_last_people_of_the_last_thirty_days(
    sign_ins: list[tuple[int, int]],
) -> None:
    cookie, now, last = "", NOW, dict[int, object]()
    for user_id, days in sign_ins:
        now += timedelta(days=days)
        cookie = known_browsers.renewed(cookie, user_id, f"key{user_id}", now)
        last[user_id] = now
    for user_id in range(1, 5):
        expected = user_id in last and now - last[user_id] < known_browsers.LASTS  # type: ignore[operator]
        assert known_browsers.is_known(cookie, user_id, f"key{user_id}", now) == expected
        assert not known_browsers.is_known(cookie, user_id, "another", now)
        assert not known_browsers.is_known(cookie, user_id, None, now)
