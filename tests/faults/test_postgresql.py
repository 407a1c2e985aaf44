"""Faults of a PostgreSQL server: nobody is removed, nothing is lost, nobody is kept out."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.measure import Fault, World, cases, hold, logs_on_failure, measure
from tests.faults.postgresql import DURABLE, FAULTS, POOLED
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.samba, pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def direct() -> Iterator[World]:
    """Services that name a PostgreSQL and its standby, which does not run yet."""
    primary = Postgres(DURABLE).start()
    standby = Postgres(DURABLE, standby_of=primary)
    hosts = ",".join(f"{server.host}:{server.port}" for server in (primary, standby))
    world = World(primary, primary.url(primary.create(), hosts))
    world.standby = standby
    try:
        yield world
    finally:
        world.close()
        standby.remove()


@pytest.fixture(scope="module")
def pooled() -> Iterator[World]:
    """Services whose PostgreSQL lies behind a pooler, its data on a disk of 64 MiB."""
    server = Postgres(DURABLE).start()
    pooler = PgBouncer(server, size=8).start()
    with small_disk(server) as disk:
        name = server.create()
        if disk:
            server.sql(f"ALTER DATABASE {name} SET TABLESPACE small")
        world = World(server, pooler.url(name))
        world.pooler, world.disk = pooler, disk
        try:
            yield world
        finally:
            world.close()
            pooler.remove()


@contextmanager
def small_disk(server: Postgres) -> Iterator[Path | None]:
    """A disk of 64 MiB with the tablespace `small`. None where nothing may be mounted."""
    disk = server.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        space = disk / "space"
        space.mkdir()
        shutil.chown(space, "postgres")
        server.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
        yield disk
    finally:
        server.stop()
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("fault", cases(FAULTS))
def test_direct(direct: World, fault: Fault) -> None:
    with logs_on_failure(direct):
        hold(measure(direct, fault), fault)


@pytest.mark.parametrize("fault", cases(POOLED))
def test_behind_a_pooler(pooled: World, fault: Fault) -> None:
    if fault.name.endswith("full") and not pooled.disk:
        pytest.skip("only root may mount a small disk")
    with logs_on_failure(pooled):
        hold(measure(pooled, fault), fault)
