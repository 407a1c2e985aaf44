"""Faults of a SQLite file and of the processes that write to it."""

from __future__ import annotations

import os
import signal
import time

import pytest
from sqlalchemy import select

from kerauno.tables.core import Link, Number, Run, User
from tests.faults.measure import Fault, World, cases, hold, logs_on_failure, measure
from tests.faults.sqlite import FAULTS, integrity, web_workers
from tests.faults.traffic import Traffic
from tests.servers.process import wait_until

pytestmark = [pytest.mark.samba, pytest.mark.timeout(120)]


@pytest.mark.parametrize("fault", cases(FAULTS))
def test_fault(world: World, fault: Fault) -> None:
    with logs_on_failure(world):
        hold(measure(world, fault), fault)
    assert integrity(world) == ["ok"]


@pytest.mark.parametrize(
    "times", [2, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_a_sync_service_that_is_killed_while_it_writes(world: World, times: int) -> None:
    """Every record is then as before or as after: never between."""
    with logs_on_failure(world):
        for _ in range(times):
            names = {dn: f"Round {world.next_number()}" for dn in world.staff()}
            with_number = {dn: world.next_number() for dn in names}
            before = stored(world)
            last = max(run.id for run in world.runs("applied"))
            for dn, name in names.items():
                world.dc.modify(dn, sn=name, ipPhone=with_number[dn])
            wait_until(lambda last=last: has_begun(world, last), "a run begins")  # type: ignore[misc]
            time.sleep(world.chance.uniform(0, 0.03))
            world.kill_sync()
            assert integrity(world) == ["ok"]
            wished = {(names[dn], with_number[dn]) for dn in names}
            assert stored(world) <= before | wished
            world.start_sync()
            wait_until(lambda wished=wished: stored(world) == wished, "the rest", 30)  # type: ignore[misc]
            wait_until(lambda: not world.runs("running"), "no run is left under way", 30)


@pytest.mark.parametrize(
    "times", [5, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_a_web_worker_that_is_killed_while_it_writes(world: World, times: int) -> None:
    emails = sorted(email for email in addresses(world))[:4]
    with logs_on_failure(world), Traffic(world.kerauno, emails) as traffic:
        for minute in range(times):
            world.clock.move(62 * minute)  # what nobody settled lapses in a minute
            traffic.flows(time.monotonic())
            time.sleep(world.chance.uniform(0, 0.1))
            killed = web_workers(world)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda killed=killed: bool(set(web_workers(world)) - set(killed)),  # type: ignore[misc]
                "another worker",
            )
            assert integrity(world) == ["ok"]
        traffic.flows(time.monotonic())
    world.clock.move(0)
    assert set(traffic.counts()) <= {0, 303}, traffic.counts()


def has_begun(world: World, last: int) -> bool:
    """Return whether a run after this one is there, in whatever state."""
    with world.database.read() as s:
        return s.scalar(select(Run.id).where(Run.id > last).limit(1)) is not None


def stored(world: World) -> set[tuple[str, str]]:
    """Last name and number of every linked user, read in one moment."""
    with world.database.read() as s:
        rows = s.execute(
            select(User.last_name, Number.number)
            .join(Link, Link.user_id == User.id)
            .join(Number, Number.user_id == User.id)
            .where(User.active)
        )
        return {(row[0], row[1]) for row in rows}


def addresses(world: World) -> list[str]:
    """The addresses of every linked user."""
    with world.database.read() as s:
        return list(s.scalars(select(User.email).join(Link, Link.user_id == User.id)))
