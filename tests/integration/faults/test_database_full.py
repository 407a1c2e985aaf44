"""A database whose disk is full, or that is read-only: told, nobody kept out afterwards."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from kerauno import write_probe
from kerauno.base.errors import DatabaseFull, DatabaseReadOnly
from kerauno.database.driver_errors import translate
from kerauno.database.engine import Database
from kerauno.tables.core import User
from tests.integration.faults.test_database_away import ask
from tests.records import add_user
from tests.servers.process import wait_until
from tests.servers.web import Installation

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PASSWORD = "Kerauno!Local-1"


def test_a_write_is_one_statement(database: Database) -> None:
    for _ in range(2):
        with database.counting() as counts:
            write_probe.probe(database, NOW)
        assert counts.writes == 1


def test_a_full_file_is_told_as_full(sqlite_database: Database) -> None:
    def allow_no_page_more(connection: Any, _record: Any) -> None:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    sqlite_database.close()
    event.listen(sqlite_database.engine, "connect", allow_no_page_more)

    def add_many() -> None:
        with sqlite_database.write() as s:
            for number in range(500):
                add_user(s, f"user{number}.doe")

    with pytest.raises(DatabaseFull, match="disk is full"):
        add_many()
    with sqlite_database.read() as s:
        assert s.query(User).count() == 0


def test_a_full_server_is_told_as_full() -> None:
    assert isinstance(translate(psycopg.errors.DiskFull("could not extend file")), DatabaseFull)


def test_a_file_that_may_not_be_written_is_told_as_read_only(tmp_path: Path) -> None:
    with closing(sqlite3.connect(f"file:{tmp_path / 'a.db'}", uri=True)) as made:
        made.execute("CREATE TABLE t (x)")
    read_only = sqlite3.connect(f"file:{tmp_path / 'a.db'}?mode=ro", uri=True)
    with closing(read_only), pytest.raises(sqlite3.OperationalError) as raised:
        read_only.execute("INSERT INTO t VALUES (1)")
    assert isinstance(translate(raised.value), DatabaseReadOnly)


@pytest.fixture
def kerauno(tmp_path: Path, sqlite_url: str) -> Iterator[Installation]:
    """A service with a local user, whom no directory is needed for."""
    made = Installation(tmp_path, sqlite_url)
    made.must(
        *("authsvc", "user", "add", "lo.cal@company.com", "--first", "Lo", "--last", "Cal"),
        *("--extension", "2222", "--password-stdin"),
        stdin=PASSWORD,
    )
    yield made.start()
    made.stop()


def limit_files(installation: Installation, size: str) -> None:
    """Let no process of the service write beyond so many bytes of a file."""
    assert installation.server is not None
    children = Path(f"/proc/{installation.server.pid}/task/{installation.server.pid}/children")
    for pid in (str(installation.server.pid), *children.read_text().split()):
        subprocess.run(["prlimit", "--pid", pid, f"--fsize={size}"], check=True)


def test_a_disk_that_takes_no_more_keeps_nobody_out_afterwards(kerauno: Installation) -> None:
    sign_in = ("/login", "POST", f"username=lo.cal%40company.com&password={PASSWORD}")
    assert ask(kerauno, *sign_in)[0] == 303
    limit_files(kerauno, "1:")
    wait_until(lambda: ask(kerauno, "/readyz")[0] == 503, "not ready")
    assert [ask(kerauno, *sign_in)[0] for _ in range(7)] == [503] * 7
    assert ask(kerauno, "/healthz")[0] == 200
    limit_files(kerauno, "unlimited:")
    wait_until(lambda: ask(kerauno, "/readyz")[0] == 200, "ready")
    assert ask(kerauno, *sign_in)[0] == 303
    assert json.loads(ask(kerauno, "/readyz")[1]) == {"status": "ready"}
