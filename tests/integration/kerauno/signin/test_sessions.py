"""Sessions: opaque, short on the database, and over at once when they should be."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from kerauno.accounts import departments, users
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.signin.sessions import Lifetime, NewSession
from kerauno.tables.core import WebSession
from tests.records import NOW, add_directory, add_user, new_guid

LIFETIME = Lifetime(absolute=timedelta(hours=12), idle=timedelta(hours=2))
MINUTE = timedelta(minutes=1)


def sign_in(database: Database, user_id: int, now: datetime = NOW) -> NewSession:
    with database.fast_write() as hot:
        return sessions.create(
            hot,
            user_id,
            method="directory",
            now=now,
            lifetime=LIFETIME,
            address="192.0.2.7",
            user_agent="Browser \0" + "x" * 999,
        )


@pytest.fixture
def user_id(database: Database) -> int:
    with database.write() as s:
        return add_user(s, "john.doe", "1234", role="manager").id


def test_a_cookie_tells_who_it_is(database: Database, user_id: int) -> None:
    new = sign_in(database, user_id)
    signed = sessions.check(database, new.cookie, NOW, LIFETIME)
    assert signed is not None
    assert (signed.user_id, signed.username, signed.email, signed.name, signed.role) == (
        user_id,
        "john.doe",
        "john.doe@goodcompany.local",
        "John Doe",
        "manager",
    )
    assert (signed.handle, signed.method, signed.created_at, signed.seen_at) == (
        *(new.handle, "directory"),
        *(NOW, NOW),
    )
    assert len(signed.subject) == 32


def test_only_a_digest_of_the_cookie_is_stored(database: Database, user_id: int) -> None:
    new = sign_in(database, user_id)
    assert len(new.cookie) >= 43  # 256 bits
    with database.read() as s:
        row = s.execute(select(WebSession)).scalar_one()
    stored = {str(getattr(row, column.name)) for column in WebSession.__table__.columns}
    assert not any(new.cookie in text for text in stored)
    assert row.id == new.id == sessions.digest(new.cookie)
    assert sessions.check(database, new.id, NOW, LIFETIME) is None
    assert sessions.check(database, new.handle, NOW, LIFETIME) is None


def test_other_cookies_are_nobody(database: Database, user_id: int) -> None:
    sign_in(database, user_id)
    for cookie in ("", "x", "\0", "\ud800", "x" * 10_000, "' OR 1=1 --"):
        assert sessions.check(database, cookie, NOW, LIFETIME) is None


def test_a_session_ends_when_it_is_old_or_idle(database: Database, user_id: int) -> None:
    new = sign_in(database, user_id)
    idle = NOW + timedelta(hours=2)
    assert sessions.check(database, new.cookie, idle, LIFETIME) is None
    moment = NOW
    while moment < NOW + timedelta(hours=11):
        moment += timedelta(hours=1)
        assert sessions.check(database, new.cookie, moment, LIFETIME) is not None
    last = NOW + timedelta(hours=12)
    assert sessions.check(database, new.cookie, last - MINUTE, LIFETIME) is not None
    assert sessions.check(database, new.cookie, last, LIFETIME) is None


def test_being_seen_is_noted_once_a_minute(database: Database, user_id: int) -> None:
    new = sign_in(database, user_id)
    with database.counting() as counts:
        for second in range(0, 60, 5):
            sessions.check(database, new.cookie, NOW + timedelta(seconds=second), LIFETIME)
    assert (counts.statements, counts.writes) == (12, 0)
    with database.counting() as counts:
        for second in (60, 61, 119):
            sessions.check(database, new.cookie, NOW + timedelta(seconds=second), LIFETIME)
    assert (counts.statements, counts.writes) == (4, 1)


def test_a_busy_database_costs_a_check_nothing(sqlite_url: str) -> None:
    database, other = Database(sqlite_url), Database(sqlite_url)
    with database.write() as s:
        user_id = add_user(s, "john.doe").id
    new = sign_in(database, user_id)
    with other.write() as s:
        users.set_role(s, user_id, "manager", NOW)
        signed = sessions.check(database, new.cookie, NOW + MINUTE, LIFETIME)
        assert signed is not None
        assert signed.role == "user"
    signed = sessions.check(database, new.cookie, NOW + MINUTE, LIFETIME)
    assert signed is not None
    assert signed.role == "manager"
    with database.read() as s:
        assert s.execute(select(WebSession.seen_at)).scalar_one() == NOW + MINUTE
    database.close()
    other.close()


def test_a_role_or_a_block_takes_effect_on_the_next_check(database: Database, user_id: int) -> None:
    with database.write() as s:
        add_user(s, "admin", role="admin")
    new = sign_in(database, user_id)
    with database.write() as s:
        users.set_role(s, user_id, "admin", NOW)
    signed = sessions.check(database, new.cookie, NOW, LIFETIME)
    assert signed is not None
    assert signed.role == "admin"
    with database.write() as s:
        user = users.get(s, user_id)
        user.active = False  # whoever forgets to end the session: it is nobody's all the same
    assert sessions.check(database, new.cookie, NOW, LIFETIME) is None


def test_departments_come_in_the_same_statement(database: Database, user_id: int) -> None:
    with database.write() as s:
        directory = add_directory(s)
        for name, number in (("Support", "601"), ("Sales, EMEA", "600"), ("Zürich", "602")):
            source = departments.Source(directory.id, new_guid(), f"OU={name}", name, "ou")
            departments.import_(s, source, number, [user_id], NOW)
    new = sign_in(database, user_id)
    with database.counting() as counts:
        found = sessions.check_with_departments(database, new.cookie, NOW, LIFETIME)
    assert counts.statements == 1
    assert found is not None
    assert found[1] == ("Sales, EMEA", "Support", "Zürich")
    assert sessions.check_with_departments(database, "x", NOW, LIFETIME) is None
    with database.write() as s:
        for department in departments.listing(s):
            departments.unimport(s, department.id, by="test", now=NOW)
    found = sessions.check_with_departments(database, new.cookie, NOW, LIFETIME)
    assert found is not None
    assert found[1] == ()


def test_ones_own_sessions_and_ending_them(database: Database, user_id: int) -> None:
    with database.write() as s:
        other = add_user(s, "jane.doe").id
    mine = [sign_in(database, user_id, NOW + MINUTE * index) for index in range(3)]
    hers = sign_in(database, other)
    with database.write() as s:
        listed = sessions.list_for(s, user_id, NOW)
        assert [row.id for row in listed] == [new.id for new in reversed(mine)]
        assert (listed[0].address, len(listed[0].user_agent)) == ("192.0.2.7", 254)
        assert sessions.end_own(s, user_id, hers.handle) is None
        assert sessions.end_own(s, user_id, mine[0].handle) is not None
        assert sessions.end_others(s, user_id, mine[1].id) == 1
        assert [row.id for row in sessions.list_for(s, user_id, NOW)] == [mine[1].id]
        sessions.end(s, mine[1].id)
        assert sessions.list_for(s, user_id, NOW) == []
    assert sessions.check(database, hers.cookie, NOW, LIFETIME) is not None


def test_the_newest_sessions_of_each_user_are_kept(database: Database, user_id: int) -> None:
    with database.write() as s:
        other_id = add_user(s, "jane.doe", "1235").id
    made = [sign_in(database, user_id, NOW + number * MINUTE) for number in range(160)]
    others = [sign_in(database, other_id) for _ in range(50)]
    later = NOW + 160 * MINUTE
    assert sessions.keep_newest(database, later) == 110
    with database.read() as s:
        left = set(s.scalars(select(WebSession.id)))
    assert left == {each.id for each in (*made[-50:], *others)}
    with database.counting() as counts:
        assert sessions.keep_newest(database, later) == 0
    assert counts.writes == 0


def test_ended_sessions_are_forgotten(database: Database, user_id: int) -> None:
    sign_in(database, user_id)
    sign_in(database, user_id, NOW + timedelta(hours=1))
    with database.write() as s:
        assert sessions.prune(s, NOW + timedelta(hours=2)) == 1
        assert len(sessions.list_for(s, user_id, NOW)) == 1
