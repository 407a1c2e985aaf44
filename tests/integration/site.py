"""The web app in this process, on a migrated database, with a directory in memory."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authsvc.app import create_app
from authsvc.services import Services, assemble
from authsvc.signin.directory_connection import Connect
from authsvc.signin.response_delay import ResponseDelay
from dirclient.client import DirectoryClient
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import Person
from kerauno.accounts import links, users
from kerauno.accounts.users import NewUser
from kerauno.base.config import load
from kerauno.sync import directory_settings
from kerauno.tables.core import Audit, User

PASSWORD = "Welcome!2026"
LOCAL_PASSWORD = "Kerauno!Local-1"
PROFILE = {
    "servers": ["dc1.goodcompany.local"],
    "username": "svc-kerauno@goodcompany.local",
    "user_search_dn": "DC=goodcompany,DC=local",
    "department_search_dn": "OU=Departments,DC=goodcompany,DC=local",
}


@dataclass
class Site:
    """An app and everything around it. `at` is its clock."""

    app: Flask
    services: Services
    directory: FakeDirectory
    clock: list[datetime]
    connects: list[object] = field(default_factory=list)
    profile: Mapping[str, Any] = field(default_factory=lambda: PROFILE)
    service_password: str = "Service!Pass1"

    @property
    def at(self) -> datetime:
        return self.clock[0]

    def pass_time(self, **parts: float) -> None:
        self.clock[0] += timedelta(**parts)

    def browser(self) -> FlaskClient:
        return self.app.test_client()

    def configure(self, **settings: object) -> None:
        """Save the directory's settings, as an administrator does."""
        sealed = self.services.sealer.seal(self.service_password)
        values = {
            "profile": dict(self.profile),
            "sealed_password": sealed,
            "login_without_domain": True,
        }
        with self.services.database.write() as s:
            directory_settings.save(s, values | settings, by="test", now=self.at)

    def user(self, email: str = "john.doe@company.com", **fields: str) -> int:
        """A Kerauno user; gives the id."""
        new = NewUser(email, fields.pop("first", "John"), fields.pop("last", "Doe"), **fields)
        with self.services.database.write() as s:
            return users.create(s, new, self.at).id

    def person(self, account: str = "john.doe", **fields: Any) -> Person:
        return self.directory.add_person(account, password=PASSWORD, **fields)

    def link(self, user_id: int, person: Person) -> None:
        with self.services.database.write() as s:
            saved = directory_settings.load(s)
            assert saved is not None
            tie = links.LinkedAccount(
                saved.id, person.guid, person.dn, person.principal_name, person.account_name
            )
            links.link(s, user_id, tie, scope="full", origin="sync", now=self.at)

    def linked(self, account: str = "john.doe", **fields: str) -> int:
        """A user and the person they are linked to."""
        user_id = self.user(f"{account}@company.com", **fields)
        self.link(user_id, self.person(account))
        return user_id

    def admin(self, email: str = "ada@company.com") -> int:
        return self.user(email, first="Ada", last="Min", role="admin", password=LOCAL_PASSWORD)

    def sign_in(
        self, name: str = "john.doe@company.com", password: str = PASSWORD, **more: str
    ) -> tuple[FlaskClient, TestResponse]:
        browser = self.browser()
        form = {"username": name, "password": password} | more
        return browser, browser.post("/login", data=form)

    def audited(self) -> list[Audit]:
        with self.services.database.read() as s:
            return list(s.query(Audit).order_by(Audit.id))

    def stored(self, user_id: int) -> User:
        with self.services.database.read() as s:
            return users.get(s, user_id)


def make_site(database_url: str, folder: Path, **settings: str) -> Site:
    """A site with a directory in memory, configured; nothing waits for time."""
    fake = FakeDirectory()
    connects: list[object] = []

    def connect(profile: object) -> FakeDirectory:
        connects.append(profile)
        return fake

    clock = [datetime(2026, 11, 23, 9, 0, tzinfo=UTC)]
    services = _services(database_url, folder, connect, clock, settings)
    site = Site(create_app(services), services, fake, clock, connects)
    site.configure()
    return site


def make_real_site(
    database_url: str, folder: Path, profile: Mapping[str, Any], **settings: str
) -> Site:
    """A site that asks a real server, as `SambaDC.profile()` or `Slapd.profile()` describe it."""
    clock = [datetime.now(UTC)]
    services = _services(database_url, folder, DirectoryClient, clock, settings)
    values = {name: value for name, value in profile.items() if name != "password"}
    site = Site(create_app(services), services, FakeDirectory(), clock, profile=values)
    site.service_password = profile["password"]
    site.configure()
    return site


def _services(
    database_url: str,
    folder: Path,
    connect: Connect,
    clock: list[datetime],
    settings: Mapping[str, str],
) -> Services:
    environ = {
        "KERAUNO_DATABASE_URL": database_url,
        "KERAUNO_SECRET_KEY_FILE": str(folder / "secret.key"),
        "KERAUNO_PUBLIC_URL": "http://phone.company.com",
    }
    environ |= {f"KERAUNO_{name.upper()}": value for name, value in settings.items()}
    pace = ResponseDelay(sleep=lambda _: None, slow=lambda: None)
    return assemble(load(environ), connect=connect, now=lambda: clock[0], pace=pace)


def notice(response: TestResponse) -> str:
    """Return what the alert on a page says, without its reference code."""
    found = re.search(r'<div class="alert.*?</div>', response.text, re.S)
    words = re.sub(r"<code>.*?</code>", "", found.group(0), flags=re.S) if found else ""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", words)).split())


@contextmanager
def logged() -> Iterator[Callable[[], str]]:
    """Everything our own log says within the block."""
    sink = io.StringIO()
    before = structlog.get_config()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sink), cache_logger_on_first_use=False
    )
    try:
        yield sink.getvalue
    finally:
        structlog.configure(**before)
