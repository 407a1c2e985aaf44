"""The web service in this process, with records that a test fills itself: pages in every state."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from authsvc.app import create_app
from authsvc.services import assemble
from dirclient.config.profile import Profile
from dirclient.fake.directory import FakeDirectory
from kerauno.accounts import dial_plan, users
from kerauno.base.config import Settings
from kerauno.base.lookup_keys import lookup_key, sort_key
from kerauno.signin import sessions
from kerauno.sync import directory_settings
from kerauno.tables.core import (
    Department,
    Directory,
    Link,
    Membership,
    RingGroup,
    Run,
    RunChange,
    SeenDepartment,
    SeenMember,
    SeenPerson,
    User,
)
from tests.servers.process import free_port, loopback

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
PROFILE = Profile(
    servers=("dc1.goodcompany.local",),
    username="svc-kerauno@goodcompany.local",
    user_search_dn="CN=Kerauno_PhoneUsers,OU=Groups,DC=goodcompany,DC=local",
    department_search_dn="OU=Departments,DC=goodcompany,DC=local",
)


def guid(number: int) -> str:
    """A GUID for the nth thing of a test."""
    return f"00000000-0000-4000-8000-{number:012d}"


class ConsoleSite:
    """The app, its database and its clock, which stands still until a test moves it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.now = NOW
        self.directory = FakeDirectory()
        self.profiles: list[Profile] = []
        self.host = loopback()
        self.port = free_port(self.host)
        self.url = f"http://{self.host}:{self.port}"
        settings = Settings(
            database_url=database_url,
            secret_key_file=folder / "secret.key",
            public_url=self.url,
        )
        services = assemble(settings, connect=self._connect, now=lambda: self.now)
        self.database = services.database
        self.sealer = services.sealer
        self.app: Flask = create_app(services)
        self.admin_id = self.user("ada.admin@goodcompany.local", "Ada", "Admin", role="admin")

    def _connect(self, profile: Profile) -> Any:
        self.profiles.append(profile)
        return self.directory

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    # -- records

    def user(
        self,
        email: str,
        first: str = "Anna",
        last: str = "Berg",
        *,
        role: str = "user",
        extension: str | None = None,
    ) -> int:
        """A Kerauno user; gives their id."""
        new = users.NewUser(email, first, last, role=role, extension=extension)
        with self.database.write() as s:
            return users.create(s, new, self.now).id

    def connected(self, *, heard: bool = True, read: bool = True, **changes: Any) -> int:
        """Directory settings as an administrator stored them; gives the directory's id."""
        columns = {
            "profile": PROFILE.stored(),
            "sealed_password": self.sealer.seal("Service!Pass1"),
        }
        with self.database.write() as s:
            saved = directory_settings.save(
                s, columns | changes, by="ada.admin@goodcompany.local", now=self.now
            )
            directory_settings.set_state(
                s,
                saved.id,
                heard_at=self.now if heard else None,
                read_at=self.now - timedelta(minutes=2) if read else None,
            )
            return saved.id

    def person(self, number: int, first: str, last: str, **more: Any) -> str:
        """A recognized person in the mirror; gives their GUID."""
        login = more.pop("login", f"{first}.{last}@goodcompany.local".lower().replace(" ", ""))
        extension = more.pop("extension", str(2000 + number))
        values: dict[str, Any] = {
            "dn": f"CN={first} {last},OU=Staff,DC=goodcompany,DC=local",
            "login_attribute": "mail",
            "extension_attribute": "ipPhone",
            "account_name": f"{first}.{last}".lower()[:20],
            "state": "ready",
            "changed": self.now - timedelta(days=3),
            "digest": "",
            **more,
        }
        with self.database.write() as s:
            found = directory_settings.load(s)
            assert found is not None
            s.add(
                SeenPerson(
                    directory_id=found.id,
                    guid=guid(number),
                    first_name=first,
                    last_name=last,
                    login=login,
                    extension=extension,
                    sort_key=sort_key(last, first, login or ""),
                    search_text=lookup_key(f"{first} {last} {login} {extension}"),
                    **values,
                )
            )
        return guid(number)

    def link(self, user_id: int, person: str, *, scope: str = "full", origin: str = "sync") -> None:
        """Tie a user to a person of the mirror."""
        with self.database.write() as s:
            found = directory_settings.load(s)
            assert found is not None
            s.add(
                Link(
                    user_id=user_id,
                    directory_id=found.id,
                    guid=person,
                    dn="CN=Linked,DC=goodcompany,DC=local",
                    scope=scope,
                    origin=origin,
                    linked_at=self.now,
                )
            )
            seen = s.get(SeenPerson, (found.id, person))
            if seen is not None:
                seen.state, seen.user_id = "synced", user_id

    def seen_department(self, number: int, name: str, members: list[str], **more: Any) -> str:
        """A directory department in the mirror; gives its GUID."""
        with self.database.write() as s:
            found = directory_settings.load(s)
            assert found is not None
            s.add(
                SeenDepartment(
                    directory_id=found.id,
                    guid=guid(number),
                    name=name,
                    members=len(members),
                    **{
                        "dn": f"CN={name},OU=Departments,DC=goodcompany,DC=local",
                        "kind": "group",
                        "path": ["Departments", name],
                        "digest": "",
                        **more,
                    },
                )
            )
            for one in members:
                s.add(
                    SeenMember(
                        directory_id=found.id, department_guid=guid(number), person_guid=one, via=[]
                    )
                )
        return guid(number)

    def department(self, source: str, name: str, number: str, user_ids: list[int]) -> int:
        """An imported department with its ring group; gives its id."""
        with self.database.write() as s:
            found = directory_settings.load(s)
            made = Department(
                name=name,
                directory_id=found.id if found else None,
                guid=source,
                dn=f"CN={name},OU=Departments,DC=goodcompany,DC=local",
                imported_at=self.now,
            )
            s.add(made)
            s.flush()
            ring = RingGroup(department_id=made.id, name=name)
            s.add(ring)
            s.flush()
            dial_plan.give_ring_group(s, ring.id, number, self.now)
            s.add_all(Membership(department_id=made.id, user_id=one) for one in user_ids)
            return made.id

    def run(self, **values: Any) -> int:
        """A run in the history; gives its id."""
        with self.database.write() as s:
            found = s.query(Directory).first()
            assert found is not None
            changes = values.pop("changes", [])
            defaults = {
                "directory_id": found.id,
                "trigger": "timer",
                "status": "applied",
                "started": self.now,
                "finished": self.now,
                "complete": True,
                "seconds": 0.41,
            }
            row = Run(**defaults | values)
            s.add(row)
            s.flush()
            s.add_all(RunChange(run_id=row.id, **change) for change in changes)
            return row.id

    # -- signing in

    def token(self, user_id: int) -> str:
        """A session's cookie for a user."""
        with self.database.write() as s:
            lifetime = sessions.Lifetime()
            made = sessions.create(s, user_id, method="local", now=self.now, lifetime=lifetime)
            return made.cookie

    def client(self, user_id: int | None = None) -> FlaskClient:
        """A signed-in test client; of the administrator unless another user is named."""
        client = self.app.test_client()
        client.set_cookie("kerauno", self.token(user_id or self.admin_id))
        return client

    def anonymous(self) -> FlaskClient:
        """A test client that nobody signed in."""
        return self.app.test_client()

    # -- the browser

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on loopback for a browser, several requests at a time."""
        server = make_server(self.host, self.port, self.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self.url
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @contextmanager
    def opened(
        self, browser: Browser, user_id: int | None = None, **context: Any
    ) -> Iterator[Page]:
        """A signed-in page of a browser profile of its own."""
        wanted = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | context
        profile = browser.new_context(base_url=self.url, timezone_id="Europe/Berlin", **wanted)
        profile.set_default_timeout(10_000)
        token = self.token(user_id or self.admin_id)
        profile.add_cookies([{"name": "kerauno", "value": token, "url": self.url}])
        try:
            yield profile.new_page()
        finally:
            profile.close()


def owned_user(site: ConsoleSite, number: int, first: str, last: str) -> tuple[int, str]:
    """A user built from AD with the person of the mirror they belong to."""
    person = site.person(number, first, last)
    email = f"{first}.{last}@goodcompany.local".lower()
    user_id = site.user(email, first, last, extension=str(2000 + number))
    site.link(user_id, person)
    return user_id, person


def row_of(site: ConsoleSite, user_id: int) -> User:
    """The user as stored."""
    with site.database.read() as s:
        return users.get(s, user_id)
