"""Clocks that jump, as data: of the services' host, and of its local time twice a year."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from tests.faults.measure import Fault, World

HOUR = 3600
SPRING = (datetime.now(UTC) + timedelta(minutes=20)).replace(microsecond=0)
AUTUMN = SPRING + timedelta(minutes=10)


def _rule(moment: datetime) -> str:
    """A day and time of a TZ rule (POSIX 8.3); `moment` is the local time before the change."""
    common = moment.replace(year=2023)  # J counts the days of a year without a 29 February
    return f"J{common.timetuple().tm_yday}/{moment:%H:%M:%S}"


ZONE = f"TST0TDT-1,{_rule(SPRING)},{_rule(AUTUMN + timedelta(hours=1))}"
"""A zone whose summer begins and ends within the hour."""


def ahead(world: World) -> None:
    """The clock jumps an hour ahead."""
    world.clock.move(HOUR)
    time.sleep(1)


def back(world: World) -> None:
    """The clock jumps an hour back."""
    world.clock.move(0)
    time.sleep(1)


def summer_begins(world: World) -> None:
    """Local time jumps ahead; the clock is moved to shortly before."""
    _cross(world, SPRING)


def summer_ends(world: World) -> None:
    """Local time jumps back."""
    _cross(world, AUTUMN)


def _cross(world: World, moment: datetime) -> None:
    world.clock.move(round((moment - datetime.now(UTC)).total_seconds()) - 2)
    time.sleep(4)  # the change has to come by itself


FAULTS = (
    Fault("summer time begins", summer_begins, within=3, bites=False),
    Fault("summer time ends", summer_ends, within=3, bites=False),
    Fault("the clock jumps an hour ahead", ahead, within=3, bites=False),
    Fault("the clock jumps an hour back", back, within=3, bites=False),
)
