"""Fixtures for every test: real servers, started on first use, on loopback, ended at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page

from authsvc.i18n import translate
from authsvc.i18n.translate import Languages
from kerauno.database.engine import Database
from tests import properties
from tests.servers import chromium
from tests.servers import slapd as openldap
from tests.servers.databases import PostgresDatabases, SqliteDatabases
from tests.servers.demo import DemoDirectory
from tests.servers.postgres import Postgres
from tests.servers.samba import SambaDC, Scratch, remove
from tests.servers.slapd import Slapd
from tests.servers.web import Installation
from tests.texts import pseudo

properties.load_profile()


@pytest.fixture(scope="session")
def samba_dc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDC]:
    """The shared domain controller. Change only what is below a `fresh_ou`."""
    dc = SambaDC(tmp_path_factory.mktemp("samba")).start()
    yield dc
    remove(dc)


@pytest.fixture
def fresh_ou(samba_dc: SambaDC) -> Iterator[Scratch]:
    """An OU of the test's own in the shared domain."""
    scratch = Scratch(samba_dc)
    yield scratch
    scratch.close()


@pytest.fixture
def samba_fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDC]:
    """A domain controller of the test's own: kill it, freeze it, change its policies."""
    dc = SambaDC(tmp_path_factory.mktemp("samba")).start()
    yield dc
    dc.thaw()
    remove(dc)


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """The shared OpenLDAP server with the company. Change only what the test itself added."""
    server = Slapd(tmp_path_factory.mktemp("slapd"), openldap.company_entries()).start()
    yield server
    server.stop()


@pytest.fixture
def make_slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Slapd]]:
    """An OpenLDAP server of the test's own with so many people: `make_slapd(4000)`."""
    made: list[Slapd] = []

    def make(people: int) -> Slapd:
        made.append(openldap.make_slapd(tmp_path_factory.mktemp("slapd"), people))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def demo_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoDirectory]:
    """The shared demo directory, only for reading."""
    server = DemoDirectory(tmp_path_factory.mktemp("demo")).start()
    yield server
    server.stop()


@pytest.fixture
def demo_fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoDirectory]:
    """A demo directory of the test's own."""
    server = DemoDirectory(tmp_path_factory.mktemp("demo")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The shared PostgreSQL server."""
    server = Postgres().start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def _sqlite_databases() -> Iterator[SqliteDatabases]:
    databases = SqliteDatabases()
    yield databases
    databases.remove()


@pytest.fixture(scope="session")
def _postgres_databases(postgres: Postgres) -> PostgresDatabases:
    return PostgresDatabases(postgres)


@pytest.fixture
def sqlite_url(_sqlite_databases: SqliteDatabases) -> Iterator[str]:
    """The address of an empty, migrated SQLite database."""
    with _sqlite_databases.url() as url:
        yield url


@pytest.fixture
def postgres_url(_postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The address of an empty, migrated PostgreSQL database."""
    with _postgres_databases.url() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty, migrated database; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database; the test runs once on SQLite and once on PostgreSQL."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """An empty, migrated SQLite database, where the kind does not matter."""
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def installation(
    tmp_path_factory: pytest.TempPathFactory, sqlite_url: str
) -> Iterator[Installation]:
    """A migrated installation in a folder of its own; `run(...)` runs its commands."""
    made = Installation(tmp_path_factory.mktemp("installation"), sqlite_url)
    yield made
    made.stop()


@pytest.fixture
def web(installation: Installation) -> Installation:
    """An installation whose web service runs."""
    return installation.start()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def _profile(browser: Browser) -> Iterator[BrowserContext]:
    """The browser profile that the tests' pages share; the page kept open keeps it warm."""
    context = browser.new_context(locale="en-GB")
    context.new_page()
    yield context
    context.close()


@pytest.fixture
def page(_profile: BrowserContext) -> Iterator[Page]:
    """A page whose browser holds no cookie, of a site that it has never seen."""
    page = _profile.new_page()
    page.set_default_timeout(10_000)
    page.set_viewport_size({"width": 1280, "height": 900})
    yield page
    page.close()
    _profile.clear_cookies()


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """`axe(page)`: accessibility faults of the page as it stands; empty when there are none."""
    return chromium.violations


@pytest.fixture(scope="session")
def _languages(tmp_path_factory: pytest.TempPathFactory) -> Languages:
    """English, and the language that has every message in brackets."""
    return translate.load(pseudo.write_language(tmp_path_factory.mktemp("locale")).parent)


@pytest.fixture(scope="module")
def bracketed_language(_languages: Languages) -> Iterator[None]:
    """Apps that are made know the language with every message in brackets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translate, "load", lambda _: _languages)
        yield


@pytest.fixture
def reading(bracketed_language: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[pseudo.Reading]:
    """Every page that an app in this process makes is read: no English may be left unmarked."""
    reader = pseudo.Reading()

    def call(app: Flask, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return reader(app, environ, start_response)

    monkeypatch.setattr(Flask, "__call__", call)
    yield reader
    assert reader.faults == {}
