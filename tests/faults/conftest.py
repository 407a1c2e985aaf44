"""Services that are broken, and the figures of all faults, told at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.clock import ZONE
from tests.faults.measure import COSTS, HEADER, World, wait_until_calm


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Services on SQLite, in a zone whose summer time comes and goes."""
    made = World(TZ=ZONE)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no test see what another one left: its clock, its proxy, or a person still refused."""
    if "world" not in request.fixturenames:
        yield
        return
    world: World = request.getfixturevalue("world")
    yield
    world.clock.move(0)
    world.proxy.flow()
    wait_until_calm(world)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault cost."""
    if COSTS:
        terminalreporter.section("what each fault cost")
        terminalreporter.write_line(HEADER)
        for cost in COSTS:
            terminalreporter.write_line(cost.row())
