"""A web worker that is killed in the middle of sign-ins keeps nobody out afterwards."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from kerauno.tables.core import Attempt
from tests.faults.measure import World, email_of, logs_on_failure
from tests.faults.sqlite import web_workers
from tests.faults.traffic import Answer, sign_in
from tests.servers.process import wait_until

pytestmark = [pytest.mark.samba, pytest.mark.timeout(120)]

A_MINUTE = 65.0


def people(world: World) -> list[tuple[str, str]]:
    """DN and address of everybody, who has signed in once."""
    wait_until(lambda: len(world.users()) == len(world.truth()), "everybody is built", 30)
    world.built.update(world.users())
    staff = [(dn, email_of(world, dn)) for dn in world.staff()]
    wait_until(lambda: sign_in(world.kerauno, staff[-1][1]).status == 303, "sign-ins work")
    return staff


def cut_off(world: World, email: str, times: int) -> list[Answer]:
    """Let the directory answer late, and kill the worker when so many sign-ins are under way."""
    before = under_way(world)
    world.proxy.hang()
    with ThreadPoolExecutor(times) as browsers:
        asked = [browsers.submit(sign_in, world.kerauno, email) for _ in range(times)]
        wait_until(lambda: under_way(world) == before + times, "the sign-ins are under way")
        killed = web_workers(world)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        answers = [each.result() for each in asked]
    world.proxy.cut()
    world.proxy.flow()
    wait_until(lambda: bool(set(web_workers(world)) - set(killed)), "another worker")
    wait_until(world.kerauno.healthy, "it answers")
    return answers


def under_way(world: World) -> int:
    """Attempts that were let through and not settled, by the names that were typed."""
    with world.database.read() as s:
        counted = select(func.sum(Attempt.pending)).where(Attempt.key.like("name:%"))
        return s.scalar(counted) or 0


def test_after_one_the_right_password_works_at_once(world: World) -> None:
    _, email = people(world)[0]
    with logs_on_failure(world):
        assert [answer.status for answer in cut_off(world, email, 1)] == [0]
        assert sign_in(world.kerauno, email).status == 303


def test_after_as_many_as_may_be_tried_they_lapse(world: World) -> None:
    """The clock is moved on. Then AD says how many of them it has counted: none."""
    dn, email = people(world)[1]
    with logs_on_failure(world):
        assert [answer.status for answer in cut_off(world, email, 3)] == [0] * 3
        assert sign_in(world.kerauno, email).status == 429
        world.clock.move(62)
        assert sign_in(world.kerauno, email).status == 303
        assert world.dc.raw(dn, "lockoutTime") in ([], [b"0"])


@pytest.mark.long
def test_after_as_many_as_may_be_tried_it_works_within_a_minute(world: World) -> None:
    dn, email = people(world)[2]
    with logs_on_failure(world):
        assert [answer.status for answer in cut_off(world, email, 3)] == [0] * 3
        began = time.monotonic()
        assert sign_in(world.kerauno, email).status == 429
        wait_until(lambda: sign_in(world.kerauno, email).status == 303, "let in", A_MINUTE)
        assert time.monotonic() - began > 30  # by the lapse, and nothing else
        assert world.dc.raw(dn, "lockoutTime") in ([], [b"0"])
