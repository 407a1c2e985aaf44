"""Time tells nothing: refusals of every kind take alike, measured as an attacker would."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

import pytest

from authsvc.signin import decision
from authsvc.signin.outcomes import Denied
from authsvc.signin.response_delay import ResponseDelay
from kerauno.base.passwords import password_is
from tests.unit.authsvc.signin.situation import Clock, Situation

SAMPLES = 120


def distance(one: list[float], other: list[float]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic: the widest gap between two distributions."""
    values = sorted({*one, *other})
    return max(
        abs(sum(v <= at for v in one) / len(one) - sum(v <= at for v in other) / len(other))
        for at in values
    )


CRITICAL = 1.95 * (2 / SAMPLES) ** 0.5  # at the 0.1 % level


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> Situation:
    """A directory that judges nobody faster than somebody, and a slow Kerauno password."""
    here = Situation(limit=10_000)
    dice = random.Random(7)
    known = {"bind": (0.008, 0.002), "search": (0.004, 0.001)}

    def take_time(operation: str) -> None:
        middle, width = known[operation]
        here.clock.tick(abs(dice.gauss(middle, width)))

    def slow(password_hash: str | None, password: str) -> bool:
        here.clock.tick(abs(dice.gauss(0.1, 0.004)))
        return password_is(password_hash, password)

    here.directory.on_operation = take_time
    monkeypatch.setattr(decision, "password_is", slow)
    here.linked(here.person("known"))
    inactive = here.person("inactive")
    here.linked(inactive, active=False)
    here.user("unlinked@company.com")
    here.local("local@company.com")
    return here


def measured(here: Situation, names: dict[str, Callable[[], str]]) -> dict[str, list[float]]:
    """How long each kind of name takes to be refused, in random order."""
    order = [kind for kind in names for _ in range(SAMPLES)]
    random.Random(11).shuffle(order)
    for _ in range(40):  # a service that has run for a while
        here.try_(names["known"](), "wrong")
    times: dict[str, list[float]] = {kind: [] for kind in names}
    for kind in order:
        before = here.clock.at
        assert isinstance(here.try_(names[kind](), "wrong"), Denied)
        times[kind].append(here.clock.at - before)
    return times


def test_an_attacker_cannot_tell_who_exists(noisy: Situation) -> None:
    number = count()
    times = measured(
        noisy,
        {
            "known": lambda: "known@company.com",
            "unknown": lambda: f"nobody{next(number)}@company.com",
            "inactive": lambda: "inactive@company.com",
            "unlinked": lambda: "unlinked@company.com",
            "local": lambda: "local@company.com",
            "no name": lambda: f"{next(number)}\\",
        },
    )
    for kind, sample in times.items():
        assert distance(times["known"], sample) < CRITICAL, kind


def test_without_the_pace_the_same_attacker_could(
    noisy: Situation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResponseDelay, "hold", lambda *_args, **_more: None)
    times = measured(
        noisy, {"known": lambda: "known@company.com", "unlinked": lambda: "unlinked@company.com"}
    )
    assert distance(times["known"], times["unlinked"]) > CRITICAL


def test_a_server_that_is_ill_holds_nobody_longer_than_a_second() -> None:
    clock = Clock()
    pace = ResponseDelay(clock=clock, sleep=clock.sleep, slow=lambda: clock.tick(0.02))
    for seconds in [30.0] * 20 + [0.01]:
        started = pace.start()
        clock.tick(seconds)
        pace.hold(started, slow=False)
    assert clock.slept == [pytest.approx(0.99)]


def test_a_success_is_not_held_back() -> None:
    here = Situation()
    here.linked(here.person())
    here.try_("john.doe@company.com")
    assert here.clock.slept == []
