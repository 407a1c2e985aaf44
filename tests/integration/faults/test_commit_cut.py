"""The connection to the database is cut when it has committed: what is there is told as there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kerauno.database.engine import Database
from kerauno.tables.core import Run
from tests.servers.cutting import CuttingRelay
from tests.servers.databases import PostgresDatabases
from tests.servers.postgres import Postgres
from tests.sync_engine import Sync

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def databases(postgres: Postgres) -> PostgresDatabases:
    return PostgresDatabases(postgres)


@pytest.fixture
def relay(postgres: Postgres) -> Iterator[CuttingRelay]:
    made = CuttingRelay(postgres.host, postgres.port)
    yield made
    made.close()


def test_wherever_a_run_is_cut_it_ends_applied(
    postgres: Postgres, databases: PostgresDatabases, relay: CuttingRelay, tmp_path: Path
) -> None:
    cut = whole = 0
    for number in range(1, 40):
        with databases.url() as url:
            through = postgres.url(url.rpartition("/")[2], f"{relay.host}:{relay.port}")
            with closing(Database(through)) as database:
                folder = tmp_path / str(number)
                folder.mkdir()
                sync = Sync(database, folder)
                sync.people(3)
                relay.commits, relay.cut_at = 0, number
                report = sync.build()
                was_cut = relay.commits >= number
                relay.cut_at = 0
                cut += was_cut
                assert report["status"] in ("applied", "unchanged"), number
                if [row["status"] for row in sync.rows(Run)] == ["applied"]:
                    assert report["created"] == 3, number  # the document of that very run
                    whole += 1
                assert set(sync.users()) == {"p1.q1", "p2.q2", "p3.q3"}
                assert sync.build()["status"] == "unchanged"
                assert {row["status"] for row in sync.rows(Run)} <= {
                    *("applied", "unchanged", "failed")
                }
        if not was_cut:
            break
    else:
        pytest.fail("the run never came to its end without a cut")
    assert cut >= 4
    assert whole >= 3  # not cut, cut at the run's end, cut when the lease was given back
