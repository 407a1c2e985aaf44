"""The other servers the tests stand on: OpenLDAP, PostgreSQL, databases, Chromium."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import ldap3
import pytest
from playwright.sync_api import Page
from sqlalchemy import text

from demo import company
from kerauno.database.engine import Database
from tests.servers import chromium
from tests.servers.process import listening
from tests.servers.slapd import Slapd
from tests.servers.web import Installation, inherited


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


@pytest.mark.browser
def test_a_page_is_looked_at_in_every_look(page: Page) -> None:
    page.set_content(
        """<html lang='en'><title>t</title><style>
        p { transition: color 1s }
        @media (prefers-color-scheme: dark) { p { color: #333; background: #222 } }
        @media (prefers-reduced-motion: reduce) { p { transition: none } }
        </style><main><h1>Hi</h1><p style='width: 600px'>Words</p></main>"""
    )
    looks: list[chromium.Look] = [(1280, "light"), (1280, "dark"), (400, "light")]
    found = [one[: one.index(":")] for one in chromium.faults(page, looks)]
    assert found == ["1280 dark", "400 light"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("authsvc", "user", "list", "--json"),
        ("authsvc", "admin", "create", "ada@company.com"),  # says how it is used: exit code 2
        ("syncsvc", "once", "--json"),  # no directory is set up: exit code 1
    ],
)
def test_a_command_forked_is_the_command_started(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    program, *rest = arguments
    started = subprocess.run(
        [sys.executable, "-m", f"{program}.cli", *rest],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=inherited() | installation.environ,
        cwd=installation.folder,
        check=False,
    )
    forked = installation.run(*arguments)
    assert forked.returncode == started.returncode
    assert forked.stdout == started.stdout
    assert forked.stderr == started.stderr.replace(f"python -m {program}.cli", program)
