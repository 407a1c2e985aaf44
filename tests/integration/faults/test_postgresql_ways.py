"""PostgreSQL behind a pooler, as several hosts, as a standby, and with settings of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest
from sqlalchemy import select, update

from kerauno.base.errors import DatabaseConflict, DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.database.prepared import PreparedConnection
from kerauno.signin import sessions
from kerauno.signin.sessions import Lifetime
from kerauno.tables.core import User
from tests.records import add_user
from tests.servers.databases import PostgresDatabases
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.web import Installation

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LIFETIME = Lifetime(timedelta(hours=1), timedelta(hours=12))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of these tests' own, whose settings they change."""
    made = Postgres().start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def databases(server: Postgres) -> PostgresDatabases:
    """Its migrated databases."""
    return PostgresDatabases(server)


@pytest.fixture(params=[False, True], ids=["refuses options", "ignores options"])
def pooler(server: Postgres, request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    """A pooler whose two server connections change hands at each transaction."""
    made = PgBouncer(server, ignores_options=request.param).start()
    yield made
    made.remove()


def name_of(url: str) -> str:
    """The database's name."""
    return url.rpartition("/")[2]


def use(database: Database, times: int) -> list[Exception]:
    """Sign in and look at sessions from eight threads. Return what was raised."""
    with database.write() as s:
        user_id = add_user(s, f"user.{times}").id
    faults: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(times):
                with database.fast_write() as hot:
                    new = sessions.create(hot, user_id, method="form", now=NOW, lifetime=LIFETIME)
                assert sessions.check(database, new.cookie, NOW, LIFETIME) is not None
                with database.write() as s:
                    s.execute(update(User).where(User.id == user_id).values(first_name="X"))
                with database.read() as s:
                    assert s.scalar(select(User.id)) is not None
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def test_through_a_pooler(pooler: PgBouncer, databases: PostgresDatabases) -> None:
    with databases.url() as url, closing(Database(pooler.url(name_of(url)))) as database:
        assert use(database, 20) == []


def test_a_pooler_that_hides_is_found_out(
    server: Postgres, databases: PostgresDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seems to take settings; that it mixes up what is prepared gives it away."""
    monkeypatch.setattr("kerauno.database.postgresql._has_settings", lambda connection: True)
    hiding = PgBouncer(server, ignores_options=True).start()
    try:
        with databases.url() as url, closing(Database(hiding.url(name_of(url)))) as database:
            for times in range(20, 60):  # who gets which session is chance
                if faults := use(database, times):
                    break
            assert {type(fault) for fault in faults} == {DatabaseUnavailable}
            assert use(database, 60) == []
    finally:
        hiding.remove()


def test_a_lock_is_not_waited_for_longer_through_a_pooler(
    pooler: PgBouncer, databases: PostgresDatabases
) -> None:
    with databases.url() as url, closing(Database(pooler.url(name_of(url)))) as database:
        with database.write() as s:
            s.connection()
            [timeout] = s.connection().exec_driver_sql("SHOW lock_timeout").one()
        with database.fast_write() as hot:
            [fast] = hot.connection.execute("SHOW lock_timeout").fetchone()
    assert (timeout, fast) == ("5001ms", "5001ms")


def test_without_a_pooler_statements_are_prepared(databases: PostgresDatabases) -> None:
    with databases.url() as url, closing(Database(url)) as database:
        assert use(database, 8) == []
        with database.fast() as hot:
            assert isinstance(hot.connection, psycopg.Connection)
            assert hot.connection.prepare_threshold is not None
            prepared = hot.connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert prepared.fetchone() != (0,)


def test_connections_that_were_ended_turn_nobody_away(
    server: Postgres, databases: PostgresDatabases
) -> None:
    with databases.url() as url, closing(Database(url)) as database:
        assert use(database, 1) == []
        server.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'kerauno'"
        )
        assert use(database, 2) == []


def test_the_victim_of_a_deadlock_is_done_again(databases: PostgresDatabases) -> None:
    """Each of two has a row and wants the other's; the server ends one, which comes second."""
    with databases.url() as url, closing(Database(url)) as database:
        with database.write() as s:
            ids = [add_user(s, name).id for name in ("user.one", "user.two")]
        both_have_one, calls = threading.Barrier(2), [0, 0]

        def work(number: int, hot: PreparedConnection) -> int:
            calls[number] += 1
            for place, user_id in enumerate(ids if number else reversed(ids)):
                hot.connection.execute(
                    f'UPDATE "user" SET last_name = last_name || {number} WHERE id = {user_id}'
                )
                if place == 0 and calls[number] == 1:
                    both_have_one.wait(10)
            return number

        with ThreadPoolExecutor(2) as pool:
            given = pool.map(lambda number: database.fast_work(partial(work, number)), (0, 1))
            assert list(given) == [0, 1]
        assert sorted(calls) == [1, 2]
        with database.read() as s:
            assert {sorted(user.last_name[-2:]) == ["0", "1"] for user in s.query(User)} == {True}


def test_a_transaction_that_is_always_in_the_way_is_told(database: Database) -> None:
    calls = 0

    def work(_: PreparedConnection) -> None:
        nonlocal calls
        calls += 1
        raise DatabaseConflict

    with pytest.raises(DatabaseConflict):
        database.fast_work(work)
    assert calls == 3


def test_a_server_whose_default_is_serializable(
    server: Postgres, databases: PostgresDatabases
) -> None:
    with databases.url() as url:
        server.sql(
            f"ALTER DATABASE {name_of(url)} SET default_transaction_isolation = 'serializable'"
        )
        with closing(Database(url)) as database:
            assert use(database, 20) == []


def test_a_read_only_server_is_told_as_such_and_left(
    server: Postgres, databases: PostgresDatabases
) -> None:
    with databases.url() as url, closing(Database(url)) as database:
        name = name_of(url)
        server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        refused = pytest.raises(DatabaseUnavailable, match="read-only: it is a standby")
        for _ in range(2):
            with refused, database.write() as s:
                add_user(s, "user.one")
        with refused, database.fast_write() as hot:
            sessions.create(hot, 1, method="form", now=NOW, lifetime=LIFETIME)
        server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        with database.write() as s:  # by a new connection: the old one stays read-only
            add_user(s, "user.one")


def test_of_several_hosts_the_one_that_takes_writes_is_used(
    server: Postgres, databases: PostgresDatabases
) -> None:
    standby = Postgres().start()
    try:
        with databases.url() as url:
            name = name_of(url)
            standby.sql(f"CREATE DATABASE {name}")
            standby.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            hosts = f"{standby.host}:{standby.port},{server.host}:{server.port}"
            with closing(Database(server.url(name, hosts))) as database:
                assert use(database, 2) == []
    finally:
        standby.remove()


def test_commands_say_what_a_standby_is(
    server: Postgres, databases: PostgresDatabases, tmp_path: object
) -> None:
    with databases.url() as url:
        server.sql(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
        installation = Installation(tmp_path, url)  # type: ignore[arg-type]
        done = installation.run(
            *("authsvc", "user", "add", "new.person@company.com"),
            *("--first", "New", "--last", "Person", "--extension", "2222"),
        )
        assert done.returncode == 1
        assert "Name the primary in KERAUNO_DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr
