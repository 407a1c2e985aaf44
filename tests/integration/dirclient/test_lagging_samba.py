"""Two real domain controllers: what proves that one has caught up, and a failover between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from dirclient.operations.replication_state import covers
from kerauno.database.engine import Database
from syncsvc.runs.engine import Engine
from tests.servers.samba import SambaDC, Scratch
from tests.servers.samba_pair import SambaPair
from tests.sync_engine import Sync

pytestmark = [pytest.mark.samba, pytest.mark.timeout(300)]


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaPair]:
    pair = SambaPair(tmp_path_factory.mktemp("pair"))
    yield pair
    pair.stop()


def client_of(pair: SambaPair, *servers: SambaDC, **fields: Any) -> DirectoryClient:
    """A client of these servers, as the plain service account."""
    hosts = tuple(one.host for one in servers)
    profile = pair.dc1.profile(servers=hosts, department_search_dn="", **fields)
    return DirectoryClient(Profile.model_validate(profile))


def test_the_vector_tells_who_has_caught_up(pair: SambaPair) -> None:
    """An ordinary service account may read it, at the cost of one search, and only when asked."""
    first, second = client_of(pair, pair.dc1), client_of(pair, pair.dc2)
    pair.replicate(pair.dc1, pair.dc2)
    pair.dc1.modify(pair.dc1.admin_dn, description="newer than dc2")
    first.read()  # and with it what is read once for each connection
    before = first.read()
    known = frozenset({before.cursor.server_id})
    assert first.read(after=known).operations == before.operations
    assert first.read(after=known).vector == {}

    second.read()
    unasked = second.read()
    lagging = second.read(after=known)
    assert lagging.operations == unasked.operations + 1
    assert lagging.server == pair.dc2.host
    assert lagging.vector.keys() == known
    assert not covers(lagging.knowledge, before.cursor)
    assert not covers(second.knowledge(), before.cursor)

    pair.replicate(pair.dc1, pair.dc2)
    operations = second.operations
    assert covers(second.knowledge(), before.cursor)
    assert second.operations - operations == 2
    assert covers(second.read(after=known).knowledge, before.cursor)


def test_a_failover_to_a_controller_that_lags(
    pair: SambaPair, sqlite_database: Database, tmp_path: Path
) -> None:
    """dc1 disables, deletes, renames, moves and makes somebody, and goes before it replicated."""
    dc1, dc2 = pair.dc1, pair.dc2
    scratch = Scratch(dc1)
    inside, outside = scratch.ou("Inside"), scratch.ou("Outside")
    amy, ben, cleo, dora, _ = (
        scratch.user(stem, inside, ipPhone=str(5000 + n), mail=f"{stem}@company.com")
        for n, stem in enumerate(("amy", "ben", "cleo", "dora", "emil"))
    )
    pair.replicate(dc1, dc2)
    fields = dc1.profile(
        servers=[dc1.host, dc2.host], user_search_dn=inside, department_search_dn=""
    )
    sync = Sync(sqlite_database, tmp_path)
    password = sync.sealer.seal(fields.pop("password"))
    sync.set(profile=fields, sealed_password=password, auto_sync=True)
    sync.engine = Engine(sync.db, sync.sealer, DirectoryClient)
    assert sync.run()["created"] == 5

    dc1.disable(amy)
    dc1.delete(ben)
    dc1.modify(cleo, sn="Renamed", ipPhone="5100")
    dc1.move(dora, outside)
    scratch.user("new", inside, ipPhone="5200", mail="new@company.com")
    report = sync.run()
    assert (report["created"], report["updated"], report["deactivated"]) == (1, 1, 3)
    truth = sync.state()

    dc1.stop()
    report = sync.run(trigger="timer")
    assert report["status"] == "held"
    assert f"{dc2.host} has not caught up with {dc1.host}" in report["error"]
    assert sync.state() == truth
    assert not sync.engine.has_caught_up(sync.engine.configured())

    dc1.start()
    pair.replicate(dc1, dc2)
    dc1.stop()
    dc2.modify(cleo, sn="Later")
    assert sync.engine.has_caught_up(sync.engine.configured())
    report = sync.run(trigger="timer")
    assert (report["status"], report["updated"], report["deactivated"]) == ("applied", 1, 0)
    assert sync.users()["cleo"]["last_name"] == "Later"

    dc1.start()  # it knows nothing of that
    later = sync.state()
    sync.engine.close()
    assert sync.run(trigger="timer")["status"] == "held"
    assert sync.state() == later
    pair.replicate(dc2, dc1)
    assert sync.engine.has_caught_up(sync.engine.configured())
    assert sync.run(trigger="timer")["status"] == "unchanged"
    assert sync.state() == later
    sync.engine.close()
