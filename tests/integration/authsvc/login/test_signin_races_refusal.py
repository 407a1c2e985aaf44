"""Signing in at the very moment in which the directory's refusal is read: no session is kept."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from kerauno.accounts.access_revocation import end_access
from kerauno.base.errors import AccessEnded
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.tables.core import Audit, Link, WebSession
from tests.integration.site import Site
from tests.records import NOW, add_directory, add_linked, add_user

BLOCKED = 0.5  # seconds after which what has not ended is taken to wait


def _linked(database: Database) -> int:
    with database.write() as s:
        return add_linked(s, add_directory(s), "john.doe", "1234").id


def _sessions(database: Database) -> int:
    with database.read() as s:
        return len(s.scalars(select(WebSession.id)).all())


def _sign_in(database: Database, user_id: int, *, instead_of: str = "") -> str:
    with database.fast_write() as hot:
        return sessions.create(
            hot,
            user_id,
            method="directory",
            now=NOW,
            lifetime=sessions.Lifetime(),
            instead_of=instead_of,
        ).cookie


def _refuse(database: Database, user_id: int, gate: threading.Event, told: threading.Event) -> None:
    """End access as the sync service does, and commit when the gate opens."""
    with database.write() as s:
        s.execute(update(Link).where(Link.user_id == user_id).values(refused_since=NOW))
        end_access(s, [user_id], NOW)
        told.set()
        assert gate.wait(30)


def _waits(future: Future[Any]) -> bool:
    try:
        future.exception(BLOCKED)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("again", [False, True])
def test_a_refusal_that_is_being_written_is_waited_for(database: Database, again: bool) -> None:
    user_id = _linked(database)
    cookie = _sign_in(database, user_id) if again else ""
    gate, told = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        refusing = pool.submit(_refuse, database, user_id, gate, told)
        assert told.wait(30)
        entering = pool.submit(_sign_in, database, user_id, instead_of=cookie)
        waited = _waits(entering)
        gate.set()
        refusing.result(30)
        with pytest.raises(AccessEnded):
            entering.result(30)
    assert waited
    assert _sessions(database) == 0


def test_a_refusal_waits_for_the_session_that_is_being_made(database: Database) -> None:
    user_id = _linked(database)
    gate, told, made = threading.Event(), threading.Event(), threading.Event()

    def enter() -> None:
        with database.fast_write() as hot:
            sessions.create(hot, user_id, method="directory", now=NOW, lifetime=sessions.Lifetime())
            made.set()
            assert gate.wait(30)

    with ThreadPoolExecutor(2) as pool:
        entering = pool.submit(enter)
        assert made.wait(30)
        told.clear()
        opened = threading.Event()
        opened.set()
        refusing = pool.submit(_refuse, database, user_id, opened, told)
        waited = _waits(refusing)
        gate.set()
        entering.result(30)
        refusing.result(30)
    assert waited
    assert _sessions(database) == 0


def test_who_has_no_link_and_who_is_let_in_again_get_their_session(database: Database) -> None:
    user_id = _linked(database)
    with database.write() as s:
        local = add_user(s, "ada.admin", "1235").id
        s.execute(update(Link).values(refused_since=NOW))
    _sign_in(database, local)
    with pytest.raises(AccessEnded):
        _sign_in(database, user_id)
    with database.write() as s:
        s.execute(update(Link).values(refused_since=None))
    _sign_in(database, user_id)
    assert _sessions(database) == 2


def test_disabled_between_the_bind_and_the_session(any_site: Site) -> None:
    """The page is that of every refusal; the audit log says why, and nothing is throttled."""
    any_site.linked()
    database = any_site.services.database

    def refuse(_operation: str) -> None:
        any_site.directory.on_operation = None
        with database.write() as s:
            s.execute(update(Link).values(refused_since=any_site.services.now()))

    any_site.directory.on_operation = refuse
    _, response = any_site.sign_in()
    assert response.status_code == 401
    assert _sessions(database) == 0
    with database.read() as s:
        events = [(row.event, row.outcome) for row in s.scalars(select(Audit))]
    assert [outcome for event, outcome in events if event == "sign-in"] == ["inactive"]
