"""How long an AD edit took to become visible."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dirclient.model.directory_objects import Person
from syncsvc.runs.propagation_delay import measured
from tests.syncing import NOW, linked, person, records, snapshot
from tests.syncing import plan as planned


def ago(seconds: float) -> datetime:
    """That long before the change is visible."""
    return NOW - timedelta(seconds=seconds)


def delay(*people: Person, quiet: float | None = 60.0, offset: float = 0.0) -> float | None:
    """The delay of an update of these people, that a run of one second made visible now."""
    known = records(*(linked(n) for n in range(1, 10)))
    seen = replace(snapshot(people), clock_offset=offset)
    plan = planned([replace(one, last_name="New") for one in people], known=known)
    return measured(
        plan,
        seen,
        quiet_since=None if quiet is None else ago(quiet),
        started=ago(1.0),
        visible=NOW,
    )


def everyone(*changed: float | None) -> list[Person]:
    """Nine people, the first ones changed so many seconds ago."""
    found = []
    for n in range(1, 10):
        at = changed[n - 1] if n <= len(changed) else 30.0
        found.append(person(n, changed=None if at is None else ago(at)))
    return found


def test_the_oldest_change_counts() -> None:
    assert delay(*everyone(2.0, 45.0, 3.0)) == 45.0


@pytest.mark.parametrize("offset", [600.0, -600.0, 0.0])
def test_clocks_that_are_ten_minutes_apart_make_no_difference(offset: float) -> None:
    people = [replace(p, changed=ago(5.0 - offset)) for p in everyone()]
    assert delay(*people, offset=offset) == 5.0


def test_what_changed_before_the_last_look_was_not_waiting() -> None:
    assert delay(*everyone(*[9999.0] * 9)) == 1.0


def test_whole_seconds_of_the_directory_do_not_make_it_older_than_the_last_look() -> None:
    assert delay(*everyone(*[2.5] * 9), quiet=1.0) == 1.0


def test_what_is_gone_or_undated_went_after_the_last_look() -> None:
    assert delay(*everyone(*[None] * 9)) == 60.0
    plan = planned([], known=records(linked(1)))
    assert measured(plan, snapshot(), quiet_since=ago(20.0), started=ago(1.0), visible=NOW) == 20.0


def test_the_first_read_of_all_waited_for_nobody() -> None:
    assert delay(*everyone(*[5000.0] * 9), quiet=None) == 1.0


def test_nothing_to_do_has_no_delay() -> None:
    plan = planned([person(1)], known=records(linked(1)))
    assert measured(plan, snapshot(), quiet_since=None, started=NOW, visible=NOW) is None
