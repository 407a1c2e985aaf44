"""Faults of a SQLite file and of the processes that write to it, as data."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from tests.chaos.faults import database_locked
from tests.faults.measure import Fault, World, email_of
from tests.faults.traffic import sign_in
from tests.servers.process import wait_until

LONGER_THAN_A_LOCK_IS_WAITED_FOR = 6.5
LASTS = 1.5


def path_of(world: World) -> Path:
    """The database's file."""
    return Path(world.kerauno.database_url.removeprefix("sqlite:///"))


def locked(world: World) -> None:
    """A stranger holds the file's lock for longer than it is waited for."""
    database_locked(world, LONGER_THAN_A_LOCK_IS_WAITED_FOR)


def locked_for_a_moment(world: World) -> None:
    """A stranger, such as a backup, holds the file's lock for a second."""
    database_locked(world, 1.0)


def full(world: World) -> None:
    """No process of the services may write beyond the first octet of a file."""
    email = email_of(world, world.staff()[0])
    _limit_files(world, "1:")
    wait_until(lambda: sign_in(world.kerauno, email).status == 503, "a sign-in needs room")
    wait_until(lambda: world.following()["status"] == "unavailable", "not ready")
    _limit_files(world, "unlimited:")


def _limit_files(world: World, size: str) -> None:
    for pid in (*web_processes(world), sync_process(world)):
        subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={size}"], check=True)


def web_processes(world: World) -> list[int]:
    """The web service's first process, and its workers."""
    assert world.kerauno.server
    return [world.kerauno.server.pid, *web_workers(world)]


def web_workers(world: World) -> list[int]:
    """The processes that answer."""
    assert world.kerauno.server
    first = world.kerauno.server.pid
    children = Path(f"/proc/{first}/task/{first}/children")
    return [int(pid) for pid in children.read_text().split()]


def sync_process(world: World) -> int:
    """The sync service."""
    assert world.sync
    return world.sync.pid


def sync_service_killed(world: World) -> None:
    """The sync service is killed, and is started again."""
    world.kill_sync()
    time.sleep(LASTS)
    world.start_sync()


def web_service_killed(world: World) -> None:
    """The web service is killed, and is started again."""
    world.kill_web()
    time.sleep(LASTS)
    world.kerauno.start(workers=1)


def integrity(world: World) -> list[str]:
    """Return what SQLite finds wrong with the file; `["ok"]` where nothing is."""
    with closing(sqlite3.connect(path_of(world), timeout=30)) as connection:
        faults = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    return faults + [str(row) for row in orphans]


NO_ANSWER = 0
FAULTS = (
    Fault("SQLite: others write for a second", locked_for_a_moment, 2, bites=False, long=True),
    Fault("SQLite: others write for longer", locked, within=3),
    Fault("SQLite: the disk is full", full, within=3),
    Fault("the sync service is killed", sync_service_killed, 2, bites=False, long=True),
    Fault("the web service is killed", web_service_killed, 3, (NO_ANSWER,), bites=None, long=True),
)
