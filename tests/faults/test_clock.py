"""The clock of web and sync service jumps by an hour, and local time does so twice a year."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

import pytest

from syncsvc.service.worker import HEARTBEAT_EVERY
from tests.chaos.acts import hold as hold_a_run
from tests.faults.clock import AUTUMN, FAULTS, HOUR, SPRING, ZONE
from tests.faults.measure import Fault, World, cases, email_of, hold, logs_on_failure, measure
from tests.servers.process import wait_until
from tests.soak.usage import App, Browser, ask

HEARD = HEARTBEAT_EVERY + 3.0
"""Seconds for which the sync service may look as if it were silent."""

pytestmark = [pytest.mark.samba, pytest.mark.timeout(120)]


def held(world: World) -> list[int]:
    """The runs that wait for an administrator."""
    return [run.id for run in world.runs("held")]


def test_the_zone_changes_when_it_has_to() -> None:
    def offset(moment: datetime) -> str:
        command = ("date", "-d", f"@{moment.timestamp():.0f}", "+%z")
        return subprocess.check_output(command, env={"TZ": ZONE}, text=True).strip()

    second = timedelta(seconds=1)
    moments = (SPRING - second, SPRING, AUTUMN - second, AUTUMN)
    assert [offset(moment) for moment in moments] == ["+0000", "+0100", "+0100", "+0000"]


@pytest.mark.parametrize("fault", cases(FAULTS[:2]))
def test_local_time_is_nobodys_business(world: World, fault: Fault) -> None:
    with logs_on_failure(world):
        hold(measure(world, fault), fault)


def test_an_hour_ahead_and_back(world: World) -> None:
    """Sessions and refresh tokens go on; access tokens of ten minutes are over, and renewed."""
    world.clock.move(0)
    wait_until(lambda: world.following().get("following") is True, "AD is followed")
    world.built.update(world.users())
    browser = Browser(world.kerauno, email_of(world, world.staff()[-1]))
    app = App(world.kerauno)
    tokens = app.tokens(browser)
    statuses = []
    with logs_on_failure(world):
        for step in FAULTS[2:]:
            hold(measure(world, step), step)
            bearer = f"Bearer {tokens['access_token']}"
            status, _, _ = ask(world.kerauno, "GET", "/oauth/userinfo", Authorization=bearer)
            statuses.append(status)
            browser.verify()
            app.refresh(tokens)
            wait_until(lambda: world.following()["following"] is True, "it is heard of", HEARD)
    assert statuses == [401, 200]
    assert world.runs("running") == []


def test_a_held_run_is_held_on(world: World) -> None:
    page, person = hold_a_run(world)
    waiting = held(world)
    try:
        for seconds in (HOUR, 0):
            world.clock.move(seconds)
            assert held(world) == waiting
            assert world.following()["status"] == "ready"
    finally:
        world.dc.enable(person)
    world.console.follow(world.console.post(f"{page}/discard"))
    wait_until(lambda: held(world) == [], "it is discarded")
    world.console.save(guard_count="1000", guard_percent="100")
