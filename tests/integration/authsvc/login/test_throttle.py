"""The sign-in form over HTTP: how many attempts are let through, and who counts as whom."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from dirclient.model.directory_objects import LockoutPolicy
from kerauno.oauth import clients
from kerauno.oauth.registration import CREDENTIALS, Registration
from kerauno.signin import throttle_list
from kerauno.tables.core import Audit, Throttle, WebSession
from tests import said
from tests.integration.site import (
    PASSWORD,
    Site,
    make_site,
    notice,
)

# Every page of these tests is looked at for texts that could not be translated.
pytestmark = pytest.mark.usefixtures("reading")

REFUSED = f"{said.REFUSED_TITLE} {said.REFUSED} {said.REFERENCE}"


def test_the_throttle_closes_below_the_domains_lockout(any_site: Site) -> None:
    any_site.directory.policy = LockoutPolicy(4, 1800, 1800)
    any_site.linked()
    statuses = [any_site.sign_in(password="nope")[1].status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert any_site.directory.binds == 2
    any_site.pass_time(seconds=1861)
    assert any_site.sign_in()[1].status_code == 303


def test_a_fine_grained_policy_counts_too(site: Site) -> None:
    site.directory.policy = LockoutPolicy(10, 1800, 1800)
    site.linked()
    other = site.person("strict")
    site.directory.set_policy(other.guid, LockoutPolicy(2, 1800, 1800, "strict ones"))
    assert [site.sign_in(password="nope")[1].status_code for _ in range(2)] == [401, 429]


def test_the_throttled_are_told_how_long(site: Site) -> None:
    site.directory.policy = LockoutPolicy(2, 1800, 1800)
    site.linked()
    site.sign_in(password="nope")
    site.pass_time(minutes=10)
    _, response = site.sign_in()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1260")
    assert "21 minutes" in notice(response)


def test_a_right_password_forgives_wrong_ones(site: Site) -> None:
    site.directory.policy = LockoutPolicy(5, 1800, 1800)
    site.linked()
    for _ in range(3):
        assert site.sign_in(password="nope")[1].status_code == 401
        assert site.sign_in(password="nope")[1].status_code == 401
        assert site.sign_in()[1].status_code == 303


def test_guesses_that_arrive_together_cannot_lock_an_account(any_site: Site) -> None:
    any_site.directory.policy = LockoutPolicy(5, 1800, 1800)
    any_site.linked()
    any_site.sign_in()
    statuses: list[int] = []

    def guess() -> None:
        statuses.append(any_site.sign_in(password="nope")[1].status_code)

    threads = [threading.Thread(target=guess) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 3 + [429] * 61
    any_site.pass_time(hours=1)
    assert any_site.sign_in()[1].status_code == 303


def test_an_address_is_throttled_whatever_names_it_tries(sqlite_url: str, tmp_path: Path) -> None:
    site = make_site(sqlite_url, tmp_path, address_failures="5")
    statuses = [site.sign_in(f"user{n}@company.com", "nope")[1].status_code for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2


def test_only_believed_proxies_name_the_address(sqlite_url: str, tmp_path: Path) -> None:
    site = make_site(sqlite_url, tmp_path, trusted_proxies="1")
    site.linked()
    form = {"username": "john.doe", "password": PASSWORD}
    site.browser().post("/login", data=form, headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
    assert [event.address for event in site.audited()] == ["203.0.113.9"]


def test_without_a_proxy_nobody_names_their_own_address(site: Site) -> None:
    site.linked()
    form = {"username": "john.doe", "password": PASSWORD}
    site.browser().post("/login", data=form, headers={"X-Forwarded-For": "203.0.113.9"})
    assert [event.address for event in site.audited()] == ["127.0.0.1"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_throttle_tells_nobody_who_exists(any_site: Site, order: int) -> None:
    """Every spelling of a name answers as the same spelling of an invented one, to the word."""
    any_site.linked("nils.berg")
    forms = ["{}", "{}@company.com", "COMPANY\\{}", " {} ", "{}@goodcompany.local", "{}@x.org"]

    def answers(account: str) -> list[tuple[int, str, str]]:
        spellings = [account, account.upper(), account.title()]
        names = [form.format(spelling) for spelling in spellings for form in forms][::order]
        responses = [any_site.sign_in(name, "nope")[1] for name in names]
        return [(r.status_code, notice(r), r.headers.get("Retry-After", "")) for r in responses]

    assert answers("nils.berg") == answers("mona.lund")
    assert [status for status, _, _ in answers("otto.falk")] == [401] * 5 + [429] * 13


def test_ports_and_interfaces_do_not_make_other_addresses(sqlite_url: str, tmp_path: Path) -> None:
    site = make_site(sqlite_url, tmp_path, address_failures="5", trusted_proxies="1")
    site.linked()
    forms = ["203.0.113.7:{}", "[2001:db8:1:2::{}]:4711", "::ffff:203.0.113.{}"]
    for form, statuses in zip(forms, ([401] * 5 + [429],) * 2 + ([401] * 6,), strict=True):
        answers = []
        for number in range(6):
            sent = {"username": f"user{number}.{form[0]}", "password": "nope"}
            headers = {"X-Forwarded-For": form.format(100 + number)}
            answers.append(site.browser().post("/login", data=sent, headers=headers).status_code)
        assert answers == statuses
    seen = {event.address for event in site.audited()}
    assert "203.0.113.7" in seen
    assert "2001:db8:1:2::104" in seen
    assert not {address for address in seen if "[" in address or "4711" in address}
    right = {"username": "john.doe", "password": PASSWORD}
    browser = site.browser()
    headers = {"Forwarded": 'for="[2001:db8:9::1]:4711";proto=https'}
    assert browser.post("/login", data=right, headers=headers).status_code == 303
    with site.services.database.read() as s:
        assert s.scalars(select(WebSession.address)).all() == ["2001:db8:9::1"]


# -- what a throttled attempt leaves


def code_of(response: TestResponse) -> str:
    found = re.search(r"<code>([A-Z0-9]{4}-[A-Z0-9]{2})</code>", response.text)
    return found[1] if found else ""


def throttled(site: Site) -> list[Audit]:
    return [event for event in site.audited() if event.outcome == "throttled"]


@pytest.mark.parametrize("name", ["john.doe@company.com", "no.body@company.com"])
def test_a_throttled_attempt_has_a_code_that_the_audit_knows(any_site: Site, name: str) -> None:
    user_id = any_site.linked()
    responses = [any_site.sign_in(name, "nope")[1] for _ in range(8)]
    assert [response.status_code for response in responses] == [401] * 5 + [429] * 3
    (event,) = throttled(any_site)
    assert {code_of(response) for response in responses[5:]} == {event.code}
    assert event.detail == {"counted": "account", "attempts": 3}
    real = name.startswith("john")
    assert (event.event, event.address) == ("sign-in", "127.0.0.1")
    assert event.user_id == (user_id if real else None)
    assert event.actor == (name if real else "no…@company.com")


def test_many_throttled_attempts_are_one_event_a_minute(any_site: Site) -> None:
    any_site.linked()
    for _ in range(5):
        any_site.sign_in(password="nope")
    for _ in range(3):
        for _ in range(20):
            any_site.pass_time(seconds=2.9)
            assert any_site.sign_in(password="nope")[1].status_code == 429
        any_site.pass_time(seconds=5)
    assert [event.detail["attempts"] for event in throttled(any_site)] == [20, 20, 20]
    assert len({event.code for event in throttled(any_site)}) == 3


def test_attempts_at_once_are_counted_in_one_event(any_site: Site) -> None:
    any_site.linked()
    threads = [
        threading.Thread(target=lambda: any_site.sign_in(password="nope")) for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.detail["attempts"] for event in throttled(any_site)] == [27]


def test_an_address_is_noted_once_whatever_names_it_tries(sqlite_url: str, tmp_path: Path) -> None:
    site = make_site(sqlite_url, tmp_path, address_failures="5")
    statuses = [site.sign_in(f"user{n}@company.com", "nope")[1].status_code for n in range(9)]
    assert statuses == [401] * 5 + [429] * 4
    (event,) = throttled(site)
    assert event.detail == {"counted": "address", "attempts": 4}
    with site.services.database.read() as s:
        (line,) = throttle_list.listing(s, site.at)
    assert (line.scope, line.label, line.user_id) == ("address", "127.0.0.1", None)


def test_a_change_of_the_password_is_throttled_alike(site: Site) -> None:
    site.linked()
    form = {"username": "john.doe", "password": "nope"}
    form |= {"new_password": "Another!2027", "new_password_again": "Another!2027"}
    responses = [site.browser().post("/password", data=form) for _ in range(6)]
    assert [response.status_code for response in responses] == [401] * 5 + [429]
    assert code_of(responses[5]) == throttled(site)[0].code


def test_an_app_is_told_the_code(site: Site) -> None:
    site.linked()
    with site.services.database.write() as s:
        registration = Registration("Door", grant_types=(CREDENTIALS,))
        client, secret = clients.create(s, registration, site.at)
        login = (client.id, secret or "")
    body = {"username": "john.doe", "password": "nope"}
    answers = [site.browser().post("/api/v1/authenticate", json=body, auth=login) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[5].get_json()["code"] == throttled(site)[0].code


# -- an administrator clears it


@pytest.mark.parametrize(
    "search", ["", "john", "JOHN.DOE@company.com", "john.doe", "John Doe\0", "%", "nobody"]
)
def test_throttles_are_listed_and_found(any_site: Site, search: str) -> None:
    user_id = any_site.linked()
    for _ in range(6):
        any_site.sign_in(password="nope")
    any_site.pass_time(minutes=10)
    with any_site.services.database.read() as s:
        lines = throttle_list.listing(s, any_site.at, search.replace("\0", ""))
    if search in ("John Doe\0", "%", "nobody"):
        assert lines == []
        return
    (line,) = lines
    assert (line.scope, line.label, line.user_id) == ("account", "john.doe@company.com", user_id)
    assert (line.until - any_site.at, line.refused) == (timedelta(minutes=20), 1)
    any_site.pass_time(minutes=20)
    with any_site.services.database.read() as s:
        assert throttle_list.listing(s, any_site.at) == []


def test_a_name_that_nobody_has_is_found_by_the_whole_name(site: Site) -> None:
    for _ in range(6):
        site.sign_in("no.body@company.com", "nope")
    with site.services.database.read() as s:
        found = {
            text: len(throttle_list.listing(s, site.at, text))
            for text in ("no.body@company.com", "NO.BODY", "X\\no.body", "no.bod", "y@company.com")
        }
    assert list(found.values()) == [1, 1, 1, 0, 0]


def test_clearing_one_key_of_a_person_clears_them_all(any_site: Site) -> None:
    any_site.linked(username="jd")
    for name in ("john.doe@company.com", "jd"):
        for _ in range(6):
            any_site.sign_in(name, "nope")
    with any_site.services.database.read() as s:
        lines = throttle_list.listing(s, any_site.at)
    assert sorted(line.scope for line in lines) == ["account", "account", "person"]
    with any_site.services.database.write() as s:
        throttle_list.clear(s, next(line.key for line in lines if line.scope == "person"))
    assert any_site.sign_in("jd")[1].status_code == 303
    assert any_site.sign_in()[1].status_code == 303
    with any_site.services.database.read() as s:
        assert throttle_list.listing(s, any_site.at) == []


def test_a_success_in_a_known_browser_ends_the_wait(site: Site) -> None:
    site.linked()
    browser, _ = site.sign_in()
    for _ in range(6):
        site.sign_in(password="nope")
    form = {"username": "john.doe", "password": PASSWORD}
    assert browser.post("/login", data=form).status_code == 303
    with site.services.database.read() as s:
        assert throttle_list.listing(s, site.at) == []


def test_old_throttles_are_forgotten(site: Site) -> None:
    site.linked()
    for _ in range(6):
        site.sign_in(password="nope")
    with site.services.database.write() as s:
        throttle_list.prune(s, site.at + timedelta(days=2))
        assert s.scalars(select(Throttle)).all() == []
