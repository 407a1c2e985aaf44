"""Which series of figures is not flat: a line through it rises, and no noise explains that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WARM_UP = 1 / 3
"""The part of the time at the beginning that is left out: caches, pools and modules fill."""

SURE = 3.0
"""Standard errors by which the rise must exceed what is allowed."""

ALLOWED = {"rss": 24.0, "fds": 12.0, "threads": 6.0, "rows": 60.0}
"""By kind, the rise that is allowed in an hour: MiB, descriptors, threads, rows."""

_HOUR = 3600.0
Series = Sequence[tuple[float, float]]  # seconds since the start, and the figure


@dataclass(frozen=True, slots=True)
class Line:
    """The fitted rise in an hour, and how far it may be off (one standard error)."""

    first: float
    last: float
    rise: float
    error: float

    def is_flat(self, allowed: float) -> bool:
        """Return whether it rises by no more than is allowed, as far as can be told."""
        return self.rise - SURE * self.error <= allowed


def fit(series: Series) -> Line:
    """The least-squares line through what comes after the warm-up."""
    start = series[-1][0] * WARM_UP
    points = [(at, value) for at, value in series if at >= start]
    number = len(points)
    if number < 3:
        raise ValueError("too few samples for a line: run longer")
    middle = sum(at for at, _ in points) / number
    mean = sum(value for _, value in points) / number
    spread = sum((at - middle) ** 2 for at, _ in points)
    slope = sum((at - middle) * (value - mean) for at, value in points) / spread
    rest = sum((value - mean - slope * (at - middle)) ** 2 for at, value in points)
    error = math.sqrt(rest / (number - 2) / spread)
    return Line(points[0][1], points[-1][1], slope * _HOUR, error * _HOUR)


def rising(samples: Mapping[str, Series]) -> list[str]:
    """A sentence for each series that is not flat. A name is `kind what`, such as `rss web`."""
    said = []
    for name, series in samples.items():
        line, allowed = fit(series), ALLOWED[name.split()[0]]
        if not line.is_flat(allowed):
            said.append(
                f"{name} rises by {line.rise:.1f} ± {SURE * line.error:.1f} an hour "
                f"({line.first:g} to {line.last:g}); {allowed:g} are allowed"
            )
    return said
