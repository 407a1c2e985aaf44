"""The sign-in form over HTTP: how many attempts are let through, and who counts as whom."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dirclient.model import LockoutPolicy
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
