"""Faults of a PostgreSQL server, as data. Each happens to a server of the test's own."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress

import psycopg

from tests.faults.measure import Fault, World, email_of
from tests.faults.traffic import PAUSE, sign_in
from tests.servers.postgres import Postgres
from tests.servers.process import wait_until

DURABLE = {"synchronous_commit": "on", "max_connections": "40", "wal_keep_size": "256MB"}
"""As a server is set up by whoever wants to lose nothing."""

LASTS = 1.5  # seconds
LONGER_THAN_A_LOCK_IS_WAITED_FOR = 6.5


def server_of(world: World) -> Postgres:
    """The world's server."""
    assert world.postgres
    return world.postgres


def connect(world: World) -> psycopg.Connection:
    """A stranger's connection to the services' database."""
    return psycopg.connect(world.kerauno.database_url, application_name="stranger")


def restarted_at_once(world: World) -> None:
    """`pg_ctl stop -m immediate`, and a start that has to recover."""
    server_of(world).crash()
    time.sleep(LASTS)
    server_of(world).start()


def connections_ended(world: World) -> None:
    """An administrator ends every connection of the services."""
    _end_connections(world)


def _end_connections(world: World) -> None:
    server_of(world).sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kerauno'"
    )


def connections_used_up(world: World) -> None:
    """Others take every connection that the server has, those of the services included."""
    with ExitStack() as taken:
        control = taken.enter_context(connect(world))
        control.autocommit = True
        end = time.monotonic() + LASTS
        while time.monotonic() < end:
            control.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'kerauno'"
            )
            with suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(connect(world))
            time.sleep(0.02)


def rows_held(world: World) -> None:
    """A stranger's transaction holds the rows that every sign-in writes, for longer than waited."""
    with connect(world) as connection:
        connection.execute("LOCK TABLE attempt, audit IN EXCLUSIVE MODE")
        time.sleep(LONGER_THAN_A_LOCK_IS_WAITED_FOR)
        connection.rollback()


def statements_time_out(world: World) -> None:
    """The server ends statements that take longer than a tenth of a second, and rows are held."""
    name = world.kerauno.database_url.rpartition("/")[2]
    server_of(world).sql(f"ALTER DATABASE {name} SET statement_timeout = '100ms'")
    _end_connections(world)  # the setting is a new connection's
    with connect(world) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("LOCK TABLE attempt, audit IN EXCLUSIVE MODE")
        time.sleep(LASTS)
        connection.rollback()
    server_of(world).sql(f"ALTER DATABASE {name} RESET statement_timeout")
    _end_connections(world)


def deadlocks(world: World) -> None:
    """A stranger takes rows that sign-ins write, in the other order, and never gives way."""
    before = _deadlocks(world)
    end = time.monotonic() + 20
    while _deadlocks(world) == before:
        assert time.monotonic() < end, "no deadlock came about"
        with connect(world) as connection:
            connection.execute("SET deadlock_timeout = '30s'")  # the other one is to look first
            connection.execute(
                "SELECT 1 FROM attempt WHERE key LIKE 'guid:%' ORDER BY key LIMIT 1 FOR UPDATE"
            )
            time.sleep(2 * PAUSE)
            connection.execute("SELECT 1 FROM attempt WHERE key LIKE 'addr:%' FOR UPDATE")
            connection.rollback()


def _deadlocks(world: World) -> int:
    """How many the server has counted in the services' database."""
    with connect(world) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row
    return int(row[0])


def read_only(world: World) -> None:
    """The database is set read-only, and back."""
    name = world.kerauno.database_url.rpartition("/")[2]
    server_of(world).sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _end_connections(world)
    time.sleep(LASTS)
    server_of(world).sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")


def failed_over(world: World) -> None:
    """The primary is lost for good; its standby, which confirms each commit, is promoted."""
    primary, standby = server_of(world), standby_of(world)
    standby.start()
    primary.sql(
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    )
    wait_until(lambda: _is_confirming(primary), "the standby confirms commits")
    primary.crash()
    time.sleep(LASTS)
    standby.sql("SELECT pg_promote()")


def standby_of(world: World) -> Postgres:
    """The replica of the world's server."""
    assert world.standby
    return world.standby


def _is_confirming(primary: Postgres) -> bool:
    with psycopg.connect(primary.url("postgres")) as connection:
        states = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
    return states == [("sync",)]


def pooler_restarted(world: World) -> None:
    """The pooler crashes, and is started again."""
    assert world.pooler
    world.pooler.kill()
    time.sleep(LASTS)
    world.pooler.start()


def disk_full(world: World) -> None:
    """Another's file fills the disk on which the database lies."""
    assert world.disk
    filler = world.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    email = email_of(world, world.staff()[0])
    wait_until(lambda: sign_in(world.kerauno, email).status == 503, "a sign-in needs room")
    wait_until(lambda: world.following()["status"] == "unavailable", "not ready")
    assert world.following()["database"] == "full"
    filler.unlink()


FAULTS = (
    Fault("PostgreSQL crashes and restarts", restarted_at_once, within=5),
    Fault("every connection is ended", connections_ended, within=2, bites=None),
    Fault("every connection is others'", connections_used_up, within=5, bites=None),
    Fault("a stranger holds the rows", rows_held, within=2, bites=None),
    Fault("statements time out", statements_time_out, within=2, long=True),
    Fault("a stranger locks in the other order", deadlocks, within=3, bites=False),
    Fault("the database is read-only", read_only, within=2, long=True),
    Fault("a standby is promoted", failed_over, within=5),  # the last: the primary is lost
)
POOLED = (
    Fault("the pooler crashes and restarts", pooler_restarted, within=3, long=True),
    Fault("PostgreSQL's disk is full", disk_full, within=3, long=True),
)
