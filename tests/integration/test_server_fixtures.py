"""The other servers the tests stand on: OpenLDAP, PostgreSQL, databases, Chromium."""

from __future__ import annotations

from collections.abc import Callable

import ldap3
import pytest
from playwright.sync_api import Page
from sqlalchemy import text

from demo import company
from kerauno.db import Database
from tests.servers.process import listening
from tests.servers.slapd import Slapd


@pytest.mark.slapd
def test_openldap_holds_the_company(slapd: Slapd) -> None:
    slapd.admin.search(slapd.users_dn, "(uid=*)", attributes=["uid", "entryUUID"])
    found = {one["raw_attributes"]["uid"][0].decode() for one in slapd.admin.response}
    assert found == {one.account for one in company.PEOPLE}
    dn = slapd.add_user("temporary", telephoneNumber="4711")
    slapd.modify(dn, telephoneNumber=None)
    assert len(slapd.guid(dn)) == 36
    slapd.delete(dn)


@pytest.mark.slapd
def test_openldap_with_many_people(make_slapd: Callable[[int], Slapd]) -> None:
    server = make_slapd(1000)
    everyone = f"cn=everyone,{server.departments_dn}"
    server.admin.search(everyone, "(objectClass=*)", ldap3.BASE, attributes=["member"])
    assert len(server.admin.response[0]["raw_attributes"]["member"]) == 1000
    server.kill()
    assert not listening(server.host, server.port)


def test_each_test_has_a_database_of_its_own(database: Database) -> None:
    with database.write() as session:
        session.execute(text("CREATE TABLE mine (x INTEGER)"))
    with database.read() as session:
        assert session.execute(text("SELECT count(*) FROM mine")).scalar_one() == 0


def test_the_same_table_again(database: Database) -> None:
    test_each_test_has_a_database_of_its_own(database)


@pytest.mark.browser
def test_chromium_and_axe(page: Page, axe: Callable[[Page], list[str]]) -> None:
    page.set_content("<html lang='en'><title>t</title><main><h1>Hi</h1><img src='x'></main>")
    assert [one.split(":")[0] for one in axe(page)] == ["image-alt"]
