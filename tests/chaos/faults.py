"""Faults of network, server, database, services and clock, as data."""

from __future__ import annotations

import sqlite3

import psycopg

from tests.chaos.acts import step
from tests.chaos.world import World


def server_killed(world: World, seconds: float) -> None:
    """The domain controller crashes, and is started again."""
    world.dc.kill()
    world.rest(seconds)
    world.dc.start()


def server_stopped(world: World, seconds: float) -> None:
    """The domain controller accepts and never answers, and goes on."""
    world.dc.freeze()
    try:
        world.rest(seconds)
    finally:
        world.dc.thaw()


def connections_cut(world: World, _: float) -> None:
    """Every connection ends."""
    world.proxy.cut()


def connections_refused(world: World, seconds: float) -> None:
    """Nobody listens for a while."""
    world.proxy.refuse()
    world.rest(seconds)
    world.proxy.accept()


def network_hangs(world: World, seconds: float) -> None:
    """Connections are accepted, and nothing passes."""
    world.proxy.hang()
    world.rest(seconds)
    world.proxy.flow()


def network_hangs_and_forgets(world: World, seconds: float) -> None:
    """Nothing passes, and then every connection is gone, as with a firewall that restarts."""
    world.proxy.hang()
    world.rest(seconds)
    world.proxy.cut()
    world.proxy.flow()


def network_delays(world: World, seconds: float) -> None:
    """Everything takes longer."""
    world.proxy.delay(world.chance.uniform(0.1, 1.0))
    world.rest(seconds)
    world.proxy.delay(0)


def account_disabled(world: World, seconds: float) -> None:
    """The service account is disabled, and enabled again."""
    world.dc.disable(world.dc.tracker.dn)
    world.proxy.cut()
    world.rest(seconds)
    world.dc.enable(world.dc.tracker.dn)


def database_restarted(world: World, seconds: float) -> None:
    """The database server crashes, and is started again."""
    assert world.postgres
    world.postgres.crash()
    world.rest(seconds)
    world.postgres.start()


def database_frozen(world: World, seconds: float) -> None:
    """A stranger holds the locks that every writer of the state needs."""
    assert world.postgres
    with psycopg.connect(world.kerauno.database_url) as connection:
        connection.execute("LOCK TABLE directory_state, run, run_request, lease IN EXCLUSIVE MODE")
        world.rest(seconds)
        connection.rollback()


def database_locked(world: World, seconds: float) -> None:
    """A stranger holds the lock of the SQLite file."""
    path = world.kerauno.database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        world.rest(seconds)
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def sync_killed(world: World, seconds: float) -> None:
    """The sync service crashes, and is started again."""
    world.kill_sync()
    world.rest(seconds)
    world.start_sync()


def web_killed(world: World, seconds: float) -> None:
    """The web service crashes, and is started again."""
    world.kill_web()
    world.rest(seconds)
    world.kerauno.start(workers=1)


def clock_moved(world: World, _: float) -> None:
    """The clock of Kerauno's machine jumps, forwards or back, and stays there."""
    world.clock.move(world.chance.choice([-1800, -600, -61, 0, 61, 600, 1800]))


FAULTS = (
    step(connections_cut),
    step(clock_moved),
    step(server_killed, deafens=True),
    step(server_stopped, deafens=True),
    step(connections_refused, deafens=True),
    step(network_hangs, deafens=True),
    step(network_hangs_and_forgets, deafens=True),
    step(network_delays, lasts=True),
    step(account_disabled, deafens=True),
    step(sync_killed, deafens=True),
    step(web_killed, lasts=True),
    step(database_restarted, deafens=True, only="postgresql"),
    step(database_frozen, deafens=True, only="postgresql"),
    step(database_locked, deafens=True, only="sqlite"),
)
