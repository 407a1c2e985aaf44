"""Sync with AD on people who are linked already, and on names that somebody who left still has."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.accounts import users
from kerauno.base.errors import InvalidValue
from kerauno.database.engine import Database
from kerauno.signin import sessions, user_lookup
from kerauno.tables.core import Audit, Directory, WebSession
from syncsvc.runs import single_user
from tests.sync_engine import Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def _open_session(sync: Sync, username: str) -> None:
    user_id = sync.users()[username]["id"]
    with sync.db.write() as s:
        sessions.create(
            s, user_id, method="directory", now=sync.clock(), lifetime=sessions.Lifetime()
        )


@pytest.mark.parametrize("state", [AccountState.DISABLED, AccountState.EXPIRED])
def test_a_linked_person_who_is_refused_by_ad_loses_access_at_once(
    sync: Sync, state: AccountState
) -> None:
    person, _ = sync.people(2)
    sync.build()
    directory_id = sync.rows(Directory)[0]["id"]

    def may_sign_in() -> bool:
        with sync.db.read() as s:
            user = user_lookup.find_person(s, directory_id, str(person.guid))
        return user is not None and user.active

    _open_session(sync, "p1.q1")
    _open_session(sync, "p2.q2")
    sync.fake.change_person(person.guid, state=state)
    message = single_user.sync_user(sync.engine, "p1.q1@company.com", by="ada")
    assert f"is {state.value}: all sessions of p1.q1 have ended" in message
    assert [row["user_id"] for row in sync.rows(WebSession)] == [sync.users()["p2.q2"]["id"]]
    assert not may_sign_in()
    noted = [row for row in sync.rows(Audit) if row["event"] == "access-ended"]
    assert [(row["actor"], row["outcome"]) for row in noted] == [("ada", f"account_{state.value}")]
    sync.fake.change_person(person.guid, state=AccountState.ACTIVE)
    assert "already" in single_user.sync_user(sync.engine, "p1.q1@company.com", by="ada")
    sync.run()
    assert may_sign_in()


def test_a_run_notes_whose_access_it_ended(sync: Sync) -> None:
    people = sync.people(3)
    sync.build()
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    sync.run()
    sync.run()
    noted = [row for row in sync.rows(Audit) if row["event"] == "access-ended"]
    assert [(row["guid"], row["outcome"], row["actor"]) for row in noted] == [
        (str(people[0].guid), "account_disabled", "sync service")
    ]


def test_a_leaver_s_email_that_ad_gave_to_another_is_explained(sync: Sync) -> None:
    leaver, _ = sync.people(2)
    sync.build()
    sync.fake.remove_person(leaver.guid)
    sync.run()
    sync.fake.add_person("p9.q9", login=leaver.login, extension="1009")
    with pytest.raises(InvalidValue) as told:
        single_user.sync_user(sync.engine, "p1.q1@company.com", by="ada")
    assert "no longer found in AD. AD has given p1.q1@company.com to CN=p9.q9" in str(told.value)
    assert told.value.remedy.startswith("If both are the same person")


def test_a_user_who_got_a_leaver_s_email_in_ad_is_told_how(sync: Sync) -> None:
    """And doing so helps."""
    leaver, _ = sync.people(2)
    sync.build()
    sync.fake.remove_person(leaver.guid)
    sync.run()
    sync.add_local("p9.q9", "1009")
    heir = sync.fake.add_person("p9.q9", login=leaver.login, extension="1009")
    with pytest.raises(InvalidValue) as told:
        single_user.sync_user(sync.engine, "p9.q9@company.com", by="ada")
    assert "In AD the username of CN=p9.q9" in str(told.value)
    assert "is p1.q1, which is still that of p1.q1, who left." in str(told.value)
    assert told.value.remedy == (
        "De-Sync p1.q1, give p1.q1 another username and email on their page, then sync again."
    )
    single_user.desync_user(sync.engine, "p1.q1@company.com", by="ada")
    with sync.db.write() as s:
        changes = {"username": "former.one", "email": "former.one@company.com"}
        users.change(s, sync.users()["p1.q1"]["id"], changes, sync.clock())
    single_user.sync_user(sync.engine, "p9.q9@company.com", by="ada")
    assert sync.users()["p1.q1"]["guid"] == str(heir.guid)


def test_a_linked_person_who_is_gone_is_told_as_gone(sync: Sync) -> None:
    leaver, _ = sync.people(2)
    sync.build()
    sync.fake.remove_person(leaver.guid)
    with pytest.raises(InvalidValue, match="no longer found in AD"):
        single_user.sync_user(sync.engine, "p1.q1@company.com", by="ada")
