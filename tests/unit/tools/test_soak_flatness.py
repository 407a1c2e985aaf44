"""The soak finds what grows, and takes noise for noise."""

from __future__ import annotations

import random

import pytest

from tests.soak.flatness import fit, rising

MINUTES = 15


def series(first: float, an_hour: float, noise: float = 0.0) -> list[tuple[float, float]]:
    chance = random.Random(1)
    moments = range(10, 60 * MINUTES, 10)
    return [(at, first + an_hour * at / 3600 + chance.gauss(0, noise)) for at in moments]


def test_a_line_is_fitted_to_what_comes_after_the_warm_up() -> None:
    steep_at_first = [(at, 100.0 if at < 290 else 500.0 + at / 36) for at, _ in series(0, 0)]
    line = fit(steep_at_first)
    assert line.rise == pytest.approx(100)
    assert line.error == pytest.approx(0, abs=1e-6)


def test_what_grows_is_told() -> None:
    [said] = rising({"rss web": series(80, 60, 0.5), "fds web": series(40, 0, 3)})
    assert said.startswith("rss web rises by ")
    assert said.endswith("24 are allowed")


@pytest.mark.parametrize("noise", [0.0, 1.0, 20.0])
def test_noise_is_no_growth(noise: float) -> None:
    assert rising({"rss web": series(80, 0, noise), "rows session": series(200, 10, noise)}) == []


def test_too_short_a_run_tells_nothing() -> None:
    with pytest.raises(ValueError, match="run longer"):
        fit([(10.0, 1.0), (20.0, 1.0)])
