"""A changed password ends what was signed in with the old one, wherever it was changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from dirclient.client import DirectoryClient
from dirclient.model import errors
from dirclient.model.directory_objects import NO_PASSWORD_SET, Snapshot
from kerauno.accounts import known_browsers, users
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.signin import sessions
from kerauno.signin.sessions import Lifetime
from kerauno.sync import directory_settings
from kerauno.tables.core import Audit, Link, User, WebSession
from provisioning.plan import Mode
from syncsvc.runs.engine import Engine, RunOptions
from tests.integration.site import PASSWORD, Site
from tests.servers.samba import SambaDC, Scratch
from tests.sync_engine import Sync

NAME, NEW = "john.doe@company.com", "Another!2027"


def engine_of(site: Site) -> Engine:
    """The sync service beside this site."""
    services = site.services
    return Engine(services.database, services.sealer, lambda _: site.directory, now=lambda: site.at)


def run(site: Site) -> None:
    site.pass_time(seconds=5)
    engine_of(site).run(RunOptions("timer", mode=Mode.KEEP, wait=0.0))


def is_in(browser: FlaskClient) -> bool:
    return browser.get("/auth/verify").status_code == 200


def change(browser: FlaskClient, old: str = PASSWORD) -> int:
    form = {"username": NAME, "password": old, "new_password": NEW, "new_password_again": NEW}
    return browser.post("/password", data=form).status_code


# -- changed here


@pytest.mark.parametrize("why", [None, errors.PasswordExpired, errors.MustChangePassword])
def test_a_change_here_ends_all_other_sessions_and_its_own_goes_on(
    any_site: Site, why: type[errors.Refused] | None
) -> None:
    any_site.directory._now = lambda: any_site.at
    any_site.linked()
    run(any_site)
    (other, _), (own, _) = any_site.sign_in(), any_site.sign_in()
    guid = next(iter(any_site.directory._accounts))
    any_site.directory.refuse(guid, why)
    any_site.pass_time(minutes=1)
    assert change(own) == 303
    assert (is_in(own), is_in(other)) == (True, False)
    run(any_site)  # which sees in the directory that the password was set
    assert is_in(own)
    for _ in range(12):
        any_site.sign_in(password="nope")
    form = {"username": NAME, "password": NEW}
    assert other.post("/login", data=form).status_code == 429  # not known any more
    assert own.post("/login", data=form).status_code == 303
    kinds = [event.event for event in any_site.audited() if event.event == "password-changed"]
    assert kinds == ["password-changed"]


def test_a_change_here_ends_everything_even_if_the_new_password_cannot_be_proven(
    site: Site,
) -> None:
    site.linked()
    other, _ = site.sign_in()

    def away(operation: str) -> None:
        if operation == "bind" and site.directory.find_guid(guid).password_set != before:
            raise errors.Unavailable("The server went away.")

    guid = next(iter(site.directory._accounts))
    before = site.directory.find_guid(guid).password_set
    site.directory.on_operation = away
    assert change(site.browser()) == 503
    site.directory.on_operation = None
    assert not is_in(other)


def test_a_change_that_the_directory_refuses_ends_nothing(site: Site) -> None:
    site.linked()
    other, _ = site.sign_in()
    assert change(site.browser(), "nope") == 401
    assert is_in(other)


def test_a_change_is_one_more_request_to_the_directory_and_no_more_binds(site: Site) -> None:
    site.linked()
    site.sign_in()
    binds, operations = site.directory.binds, site.directory.operations
    assert change(site.browser()) == 303
    assert (site.directory.binds - binds, site.directory.operations - operations) == (2, 4)


# -- changed in the directory


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def sign_in(sync: Sync, username: str) -> str:
    """A session of this user; gives its handle."""
    with sync.db.write() as s:
        user_id = s.scalars(select(User.id).where(User.username == username)).one()
        known_browsers.key_for(s, user_id)
        made = sessions.create(
            s, user_id, method="directory", now=sync.clock(), lifetime=Lifetime()
        )
    return made.handle


def open_sessions(sync: Sync) -> set[str]:
    with sync.db.read() as s:
        return set(s.scalars(select(WebSession.handle)))


def known_people(sync: Sync) -> set[str]:
    with sync.db.read() as s:
        return set(s.scalars(select(User.username).where(User.browser_key.is_not(None))))


def test_a_change_in_the_directory_ends_what_was_signed_in_before(sync: Sync) -> None:
    person, _ = sync.people(2)
    sync.build()
    sync.run()
    sign_in(sync, "p1.q1")
    other = sign_in(sync, "p2.q2")
    sync.fake.set_password(person.guid, NEW)
    later = sign_in(sync, "p1.q1")
    report = sync.run()
    assert (report["status"], report["updated"]) == ("unchanged", 0)
    assert open_sessions(sync) == {later, other}
    assert known_people(sync) == {"p2.q2"}
    sync.run()
    assert open_sessions(sync) == {later, other}
    events = [row for row in sync.rows(Audit) if row["event"] == "password-changed"]
    assert [(row["outcome"], row["guid"]) for row in events] == [("seen", person.guid)]
    assert events[0]["detail"] == {"sessions": 1, "apps": 0}


def test_a_watched_change_ends_it_without_a_run(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.build()
    sign_in(sync, "p1.q1")
    sync.fake.set_password(person.guid, NEW)
    ask = RunOptions("change", wait=0.0, snapshot=sync.fake.read())
    assert sync.engine.run_if_changed(ask) is None
    assert open_sessions(sync) == set()


def test_the_first_sight_ends_nothing(sync: Sync) -> None:
    sync.people(1)
    sync.build()
    with sync.db.write() as s:
        s.scalars(select(Link)).one().password_set = None
    kept = sign_in(sync, "p1.q1")
    sync.run()
    sync.run()
    assert open_sessions(sync) == {kept}


def test_a_server_that_lags_behind_or_tells_nothing_ends_nothing(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.build()
    kept = sign_in(sync, "p1.q1")
    assert person.password_set is not None
    for told in (person.password_set - timedelta(days=1), None, person.password_set):
        sync.fake.change_person(person.guid, password_set=told)
        sync.run()
        assert open_sessions(sync) == {kept}


def test_a_password_that_must_be_replaced_ends_everything(sync: Sync) -> None:
    (person,) = sync.people(1)
    sync.build()
    sign_in(sync, "p1.q1")
    sync.fake.change_person(person.guid, password_set=NO_PASSWORD_SET, must_change_password=True)
    sync.run()
    assert open_sessions(sync) == set()


def test_a_change_ends_it_while_a_run_is_held(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    sign_in(sync, "p1.q1")
    sync.fake.set_password(people[0].guid, NEW)
    for person in people[2:]:
        sync.fake.remove_person(person.guid)
    assert sync.run()["status"] == "held"
    assert open_sessions(sync) == set()


def test_the_directorys_clock_decides_by_its_own_time(sync: Sync) -> None:
    """A domain controller ten minutes ahead: what came after the change by our clock stays."""
    (person,) = sync.people(1)
    sync.build()
    sign_in(sync, "p1.q1")
    ahead = timedelta(minutes=10)
    sync.fake.change_person(person.guid, password_set=sync.clock() + ahead)
    later = sign_in(sync, "p1.q1")
    real = sync.fake.read

    def read(*_: object) -> Snapshot:
        return replace(real(), clock_offset=ahead.total_seconds())

    sync.fake.read = read  # type: ignore[method-assign,assignment]
    sync.run()
    assert open_sessions(sync) == {later}


@pytest.mark.samba
@pytest.mark.parametrize("act", ["set_password", "must_change_password"])
def test_a_real_domain_tells_of_the_change(
    sqlite_url: str, tmp_path: Path, samba_dc: SambaDC, fresh_ou: Scratch, act: str
) -> None:
    ou = fresh_ou.ou("People")
    mail = f"{fresh_ou.name('changed')}@company.com"
    dn = fresh_ou.user("changed", ou, mail=mail, ipPhone="4711")
    database, sealer = Database(sqlite_url), Sealer(tmp_path / "secret.key", create=True)
    profile = dict(samba_dc.profile(user_search_dn=ou))
    values = {"sealed_password": sealer.seal(profile.pop("password")), "profile": profile}
    with database.write() as s:
        directory_settings.save(s, values, by="test", now=datetime.now(UTC))
    engine = Engine(database, sealer, DirectoryClient)

    def run() -> int:
        """One run; gives how many sessions there are then."""
        engine.run(RunOptions("timer", mode=Mode.BUILD, wait=0.0))
        with database.read() as s:
            return len(s.scalars(select(WebSession)).all())

    assert run() == 0
    with database.write() as s:
        # A directory tells its time in whole seconds, so that its clock is known to half a second.
        now, user_id = datetime.now(UTC) - timedelta(seconds=2), users.by_email(s, mail).id
        sessions.create(s, user_id, method="directory", now=now, lifetime=Lifetime())
    assert run() == 1
    getattr(samba_dc, act)(*([dn, "Another!Pass1"] if act == "set_password" else [dn]))
    assert run() == 0
    engine.close()
    database.close()
