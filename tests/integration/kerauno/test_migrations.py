"""Migrations: they end at exactly the tables that the code means, and never half way."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from kerauno import audit, migrations
from kerauno.base.errors import SchemaOutdated
from kerauno.database.engine import Database
from kerauno.tables import oauth  # noqa: F401 - its tables join the others
from kerauno.tables.core import Attempt, Base, DirectoryState
from tests.records import audit_events
from tests.servers.postgres import Postgres

_DESCRIBE_POSTGRES = """
SELECT 'column', table_name, column_name, data_type, is_nullable, column_default,
       character_maximum_length::text, collation_name
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT 'index', tablename, indexname, indexdef, '', '', '', ''
  FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', ''
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/kerauno.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


def describe(database: Database) -> set[tuple[str, ...]]:
    """Every table, column, index and constraint, but for the order in which a table names them."""
    with database.read() as s:
        if not database.sqlite:
            rows = s.execute(text(_DESCRIBE_POSTGRES)).all()
            return {tuple(map(str, row)) for row in rows if row[1] != "alembic_version"}
        found: set[tuple[str, ...]] = set()
        for kind, name, table, sql in s.execute(
            text("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        ):
            if table in ("alembic_version", "sqlite_sequence"):
                continue
            plain = re.sub(r"[\s\"]+", " ", sql).strip()
            for part in re.split(r", (?![^(]*\))", re.sub(r"^CREATE TABLE \S+ \(|\)$", "", plain)):
                found.add((kind, name, part.strip()))
        return found


def test_migrations_end_at_the_tables_that_the_code_means(empty: str) -> None:
    migrated = Database(empty)
    assert migrations.upgrade(migrated)
    by_migration = describe(migrated)
    with migrated.write() as s:
        s.execute(text("DROP TABLE alembic_version"))
    Base.metadata.drop_all(migrated.engine)
    assert describe(migrated) == set()
    Base.metadata.create_all(migrated.engine)
    assert by_migration == describe(migrated)
    migrated.close()


def test_an_upgrade_is_done_once(empty: str) -> None:
    database = Database(empty)
    with pytest.raises(SchemaOutdated, match=r"no tables yet.*authsvc db upgrade"):
        migrations.check(database)
    assert migrations.upgrade(database)
    migrations.check(database)
    assert not migrations.upgrade(database)
    database.close()


def test_upgrades_at_once_wait_for_each_other(empty: str) -> None:
    gate = threading.Barrier(3)
    outcomes: list[bool] = []

    def upgrade() -> None:
        database = Database(empty)
        gate.wait()
        outcomes.append(migrations.upgrade(database))
        database.close()

    threads = [threading.Thread(target=upgrade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, True]


def test_older_and_newer_databases_are_told_apart(database: Database) -> None:
    with database.write() as s:
        s.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaOutdated, match=r"older version\. Run: authsvc db upgrade"):
        migrations.check(database)
    with database.write() as s:
        s.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for ask in (migrations.check, migrations.upgrade):
        with pytest.raises(SchemaOutdated, match="newer version"):
            ask(database)


def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kerauno.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE session (id INTEGER)")  # somebody else's
    database = Database(f"sqlite:///{path}")
    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(database)
    with database.read() as s:
        names = s.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        assert list(names) == ["session"]
    database.close()


def test_counts_of_the_throttle_outlive_the_move_of_their_table(empty: str) -> None:
    database = Database(empty)
    migrations.upgrade(database, to="0004")
    with database.write() as s:
        s.execute(
            text(
                "INSERT INTO attempt (key, failures, pending, generation, counted_from) "
                "VALUES ('user:1', 3, 1, 2, '2026-01-02 03:04:05.000000')"
            )
        )
    assert migrations.upgrade(database)
    with database.read() as s:
        kept = s.execute(select(Attempt)).scalar_one()
        assert (kept.key, kept.failures, kept.pending, kept.generation) == ("user:1", 3, 1, 2)
        assert kept.counted_from == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    database.close()


def test_events_of_the_audit_get_their_present_names(empty: str) -> None:
    database = Database(empty)
    migrations.upgrade(database, to="0005")
    before = ("app.sign-in", "directory-saved", "sign-in", "user.desynced")
    with database.write() as s:
        for event in before:
            audit.append(s, event, now=datetime(2026, 1, 2, tzinfo=UTC))
    assert migrations.upgrade(database)
    with database.read() as s:
        events = [one.event for one in reversed(audit_events(s))]
    assert events == ["app-sign-in", "settings-saved", "sign-in", "user-desynced"]
    database.close()


def test_what_was_read_before_an_upgrade_is_what_was_acted_on(empty: str) -> None:
    database = Database(empty)
    migrations.upgrade(database, to="0016")
    with database.write() as s:
        s.execute(
            text(
                "INSERT INTO directory (id, name, profile, sealed_password, auto_sync, "
                "login_without_domain, sync_interval, reserve_days, guard_count, guard_percent, "
                "role_groups, version, updated_at, updated_by) VALUES (1, 'default', '{}', '', "
                "true, true, 3600, 30, 5, 10, '{}', 1, '2026-01-02 03:04:05.000000', '')"
            )
        )
        state = "INSERT INTO directory_state (directory_id, server_id, usn, cookie, people, error) "
        s.execute(text(state + "VALUES (1, 'dc1', 4711, '', 3, '')"))
    assert migrations.upgrade(database)
    with database.read() as s:
        kept = s.execute(select(DirectoryState)).scalar_one()
        assert kept.acted_on == {"dc1": {"usn": 4711, "cookie": "", "server": ""}}
        assert (kept.lagging, kept.lagging_since) == ("", None)
    database.close()
