"""The database when all is not well: locked, gone, old, and asked from many threads."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import traceback
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from kerauno import migrations
from kerauno.accounts import users
from kerauno.base.errors import DatabaseUnavailable, NotFound, SchemaOutdated
from kerauno.database import engine
from kerauno.database.engine import Database
from kerauno.database.prepared import Statement
from kerauno.tables.core import Attempt, User
from tests.records import NOW, add_user
from tests.servers.postgres import Postgres
from tests.servers.process import wait_until

COUNT = Statement(select(func.count()).select_from(User))


def test_a_write_is_whole_or_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as s:
        assert add_user(s, "john.doe").id / 0
    with pytest.raises(ZeroDivisionError), database.fast_write() as hot:
        assert hot.run(_NEW_ATTEMPT, key="k", now=NOW) / 0
    with database.read() as s:
        assert s.execute(select(func.count()).select_from(User)).scalar_one() == 0
        assert s.execute(select(func.count()).select_from(Attempt)).scalar_one() == 0


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_database_file_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = tmp_path / "var" / "kerauno.db"
        database = Database(f"sqlite:///{path}")
        migrations.upgrade(database)
        with database.write() as s:
            add_user(s, "john.doe")
        (tmp_path / "plain").touch()
    finally:
        os.umask(before)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(("kerauno.db", "kerauno.db-wal", "kerauno.db-shm"), 0o600)
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o666 & ~umask  # it could be open
    database.close()


def test_the_mode_that_an_operator_gave_a_database_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "kerauno.db"
    path.touch()
    path.chmod(0o640)
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


_NEW_ATTEMPT = Statement(
    insert(Attempt).values(
        key=bindparam("key"),
        failures=0,
        pending=0,
        generation=0,
        counted_from=bindparam("now"),
        doubtful=0,
        taken_at=bindparam("now"),
    )
)


def test_an_error_does_not_repeat_the_statements_values(database: Database) -> None:
    with database.write() as s:
        add_user(s, "john.doe").password_hash = "$argon2id$canary"
    with pytest.raises(IntegrityError) as raised, database.write() as s:
        s.execute(update(User).values(password_hash="$argon2id$canary", role="none"))
    said = "".join(traceback.format_exception(raised.value))
    assert "UPDATE" in said
    assert "[parameters" not in said


def test_a_read_sees_one_moment_and_its_rows_outlive_it(sqlite_database: Database) -> None:
    with sqlite_database.write() as s:
        user_id = add_user(s, "john.doe").id
    with sqlite_database.read() as s:
        user = users.get(s, user_id)
        with sqlite_database.write() as other:
            add_user(other, "jane.doe")
        assert s.execute(select(func.count()).select_from(User)).scalar_one() == 1
    assert user.username == "john.doe"


def test_writing_inside_a_write_is_a_mistake(sqlite_database: Database) -> None:
    with (
        pytest.raises(RuntimeError, match="inside another"),
        sqlite_database.write(),
        sqlite_database.write(),
    ):
        pass
    with sqlite_database.write() as s:
        add_user(s, "john.doe")


def test_reading_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as s:
        add_user(s, "john.doe")
        with database.fast() as hot:
            assert hot.one(COUNT) == (0,)
        with database.read() as reader:
            assert reader.execute(select(func.count()).select_from(User)).scalar_one() == 0


def test_many_threads_write_in_turn(database: Database) -> None:
    with database.write() as s:
        user_id = add_user(s, "john.doe").id

    def write() -> None:
        for _ in range(10):
            with database.write() as s:
                user = s.get(User, user_id, with_for_update=True)
                assert user is not None
                user.version += 1

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as s:
        assert users.get(s, user_id).version == 81


def test_counting_sees_both_ways_of_asking(database: Database) -> None:
    with database.counting() as counts:
        with database.fast() as hot:
            hot.all(COUNT)
        with database.read() as s:
            s.execute(select(User.id))
        with database.fast_write() as hot:
            hot.run(_NEW_ATTEMPT, key="k", now=NOW)
    asked = [sql for sql in counts.texts if not sql.startswith("BEGIN")]
    assert (len(asked), counts.writes) == (3, 1)


def test_errors_of_the_data_are_not_the_databases(database: Database) -> None:
    for _ in range(2):
        with database.write() as s:
            s.execute(text("DELETE FROM attempt"))
        with database.fast_write() as hot:
            hot.run(_NEW_ATTEMPT, key="k", now=NOW)
        with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):  # noqa: SIM117
            with database.fast_write() as hot:
                hot.run(_NEW_ATTEMPT, key="k", now=NOW)
        with pytest.raises(IntegrityError), database.write() as s:
            s.execute(insert(Attempt), {"key": "k", "counted_from": NOW})
    with database.fast() as hot:
        assert hot.one(COUNT) == (0,)
    with pytest.raises(KeyError), database.fast() as hot:
        hot.run(_NEW_ATTEMPT, key="k")


def test_a_locked_database_is_unavailable(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.05)
    database = Database(sqlite_url)
    with closing(sqlite3.connect(str(database.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"), database.write() as s:
            add_user(s, "john.doe")
        with pytest.raises(DatabaseUnavailable, match="locked"), database.fast_write() as hot:
            hot.run(_NEW_ATTEMPT, key="k", now=NOW)
        with database.read() as s, pytest.raises(NotFound):
            users.get(s, 1)
        other.execute("ROLLBACK")
    with database.write() as s:
        add_user(s, "john.doe")
    database.close()


def test_one_slow_writer_makes_the_others_give_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.05)
    database = Database(sqlite_url)
    refused: list[BaseException] = []

    def write() -> None:
        try:
            with database.write():
                pass
        except DatabaseUnavailable as error:
            refused.append(error)

    with database.write():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(refused) == 1
    database.close()


@pytest.mark.parametrize("content", [b"", b"this is no database, but long enough" * 200])
def test_a_file_that_is_no_kerauno_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kerauno.db"
    path.write_bytes(content)
    database = Database(f"sqlite:///{path}")
    kind = DatabaseUnavailable if content else SchemaOutdated
    for ask in (database.read, database.write):
        with pytest.raises(kind), ask() as s:
            s.execute(select(User.id))
    with pytest.raises(kind), database.fast() as hot:
        hot.one(COUNT)
    with pytest.raises(kind):
        migrations.check(database)
    database.close()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/sub/kerauno.db")
    (tmp_path / "sub").rmdir()
    with pytest.raises(DatabaseUnavailable, match="unable to open"), database.read() as s:
        s.execute(select(User.id))
    with pytest.raises(DatabaseUnavailable, match="unable to open"), database.fast() as hot:
        hot.one(COUNT)


@pytest.mark.postgres
def test_a_server_that_is_not_there(postgres: Postgres) -> None:
    url = postgres.url(postgres.create()).replace(":5432/", ":5433/")
    database = Database(url)
    with pytest.raises(DatabaseUnavailable), database.read() as s:
        s.execute(select(User.id))
    with pytest.raises(DatabaseUnavailable), database.fast() as hot:
        hot.one(COUNT)
    with pytest.raises(DatabaseUnavailable):
        migrations.upgrade(database)


@pytest.mark.postgres
def test_connections_that_a_restarted_server_dropped(postgres_url: str) -> None:
    database = Database(postgres_url)
    others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with database.fast() as hot:
        hot.one(COUNT)
    with database.read() as s:
        s.execute(select(User.id))
    other = Database(postgres_url)

    def dropped() -> bool:
        with other.read() as s:
            s.execute(text(f"SELECT pg_terminate_backend(pid) FROM {others}")).all()
            return bool(s.scalar(text(f"SELECT count(*) FROM {others}")) == 0)

    wait_until(dropped, "the server ended them")
    with database.fast() as hot:
        assert hot.one(COUNT) == (0,)
    with database.read() as s:
        assert s.execute(select(User.id)).all() == []
    for one in (database, other):
        one.close()


@pytest.mark.postgres
def test_connections_that_idled_are_tried_before_use(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerauno.database.postgresql._PING_AFTER", 0.0)
    test_connections = Database(postgres_url)
    with test_connections.fast() as hot:
        hot.one(COUNT)
    with test_connections.read() as s:
        s.execute(select(User.id))
    other = Database(postgres_url)
    with other.read() as s:
        s.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
    with test_connections.fast() as hot:
        assert hot.one(COUNT) == (0,)
    with test_connections.read() as s:
        assert s.execute(select(User.id)).all() == []
    for one in (test_connections, other):
        one.close()


def test_a_child_process_opens_connections_of_its_own(database: Database) -> None:
    with database.write() as s:
        add_user(s, "john.doe")
    with database.fast() as hot:
        hot.one(COUNT)
    child = os.fork()
    if child == 0:
        try:
            with database.fast() as hot:
                count = hot.one(COUNT)
            with database.write() as s:
                add_user(s, "jane.doe")
            os._exit(0 if count == (1,) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    with database.fast() as hot:
        assert hot.one(COUNT) == (2,)
