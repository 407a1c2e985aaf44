"""Two hosts whose clocks are apart, on one database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from flask import Flask

from authsvc.cli import check
from authsvc.ops.background import setup_background
from authsvc.services import assemble
from dirclient.client import DirectoryClient
from kerauno.base.clock import utc_now
from kerauno.base.config import load
from kerauno.database.database_clock import DatabaseClock, clock_fault
from kerauno.database.engine import Database
from tests.servers.postgres import Postgres

WRONG = timedelta(minutes=5)


def fast() -> datetime:
    """The clock of a host that is wrong."""
    return utc_now() + WRONG


@contextmanager
def clock_of(url: str, local: object = utc_now) -> Iterator[DatabaseClock]:
    with closing(Database(url)) as database:
        yield DatabaseClock(database, local=local)  # type: ignore[arg-type]


@pytest.mark.postgres
def test_hosts_of_one_server_agree(postgres_url: str) -> None:
    with clock_of(postgres_url) as right, clock_of(postgres_url, fast) as wrong:
        assert wrong() - right() > WRONG / 2
        assert right.measure() == pytest.approx(0, abs=1)
        assert wrong.measure() == pytest.approx(WRONG.total_seconds(), abs=1)
        assert abs(wrong() - right()) < timedelta(seconds=1)
        assert wrong().utcoffset() == timedelta(0)


@pytest.mark.postgres
def test_a_host_whose_clock_jumps_afterwards_goes_on(postgres_url: str) -> None:
    moved = timedelta(0)

    def jumping() -> datetime:
        return utc_now() + moved

    with clock_of(postgres_url, jumping) as clock:
        clock.measure()
        moved = timedelta(hours=-1)
        assert abs(clock() - utc_now()) < timedelta(seconds=1)


def test_a_file_has_its_host_s_clock(sqlite_url: str) -> None:
    with clock_of(sqlite_url, fast) as clock:
        assert clock.measure() is None
        assert clock() - utc_now() > WRONG / 2


@pytest.mark.postgres
def test_without_the_database_the_last_measure_holds() -> None:
    server = Postgres().start()
    with clock_of(server.url(server.create()), fast) as clock:
        assert clock.measure() is not None
        server.remove()
        assert clock.measure() is None
        assert abs(clock() - utc_now()) < timedelta(seconds=1)


@pytest.mark.postgres
def test_a_wrong_clock_is_told_once(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with clock_of(postgres_url, fast) as clock:
        for _ in range(3):
            clock.measure()
    assert capsys.readouterr().out.count("this host's clock is wrong") == 1


@pytest.mark.postgres
def test_check_compares_the_clocks(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "KERAUNO_DATABASE_URL": postgres_url,
        "KERAUNO_SECRET_KEY_FILE": str(tmp_path / "secret.key"),
    }
    assert [fault for fault in check.faults(environ) if "clock" in fault] == []
    monkeypatch.setattr(check, "DatabaseClock", partial(DatabaseClock, local=fast))
    [fault] = [fault for fault in check.faults(environ) if "clock" in fault]
    assert fault.startswith("clock: This machine's clock is 300 s ahead of the database's. Set")


@pytest.mark.postgres
def test_the_web_service_goes_by_the_database_s_clock(postgres_url: str, tmp_path: Path) -> None:
    settings = load(
        {
            "KERAUNO_DATABASE_URL": postgres_url,
            "KERAUNO_SECRET_KEY_FILE": str(tmp_path / "secret.key"),
        }
    )
    with closing(assemble(settings, connect=DirectoryClient)) as services:
        assert isinstance(services.now, DatabaseClock)
        tasks = setup_background(Flask("test"), services).tasks
        [task] = [task for task in tasks if task.name == "clock"]
        assert (task.work(), task.first) == (pytest.approx(0, abs=1), 0)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (29.0, ""),
        (-29.0, ""),
        (31.0, "This machine's clock is 31 s ahead of the database's."),
        (-300.0, "This machine's clock is 300 s behind the database's."),
    ],
)
def test_from_thirty_seconds_on_it_is_a_fault(ahead: float, words: str) -> None:
    fault = clock_fault(ahead, "the database's")
    assert fault.partition(" Set the clocks")[0] == words
    assert bool(fault) == bool(words)
