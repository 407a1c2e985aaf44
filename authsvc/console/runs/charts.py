"""Line charts as data for a server-side SVG: no script, no library, the same numbers as a table.

The template draws what stands here; every chart has its numbers as an accessible table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from authsvc.i18n.formatting import figure
from authsvc.i18n.translate import gettext as _

WIDTH, HEIGHT = 480, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 14, 30


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name for people, and a value for each label (None: nothing measured)."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line: where it is, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One measured point, with the sentence a pointer or screen reader gets."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A drawn series. `path` is the `d` of an SVG path; a gap in the values is a gap in it."""

    name: str
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, laid out. `rows` are its numbers as a table: a label, one text per series."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    empty: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def _step(highest: float) -> float:
    """A round distance between about four grid lines: 1, 2 or 5 times a power of ten."""
    rough = max(highest, 1e-9) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def line_chart(title: str, unit: str, labels: Sequence[str], series: Sequence[Series]) -> Chart:
    """Lay out a line chart from zero upwards. Raises ValueError when a series does not fit."""
    if any(len(line.values) != len(labels) for line in series):
        raise ValueError("each series needs one value for each label")
    highest = max((v for line in series for v in line.values if v is not None), default=0.0)
    step = _step(highest) if highest > 0 else 1.0
    top_value = step * max(1, math.ceil(highest / step - 1e-9))
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_at(index: int) -> float:
        share = index / (len(labels) - 1) if len(labels) > 1 else 0.5
        return round(LEFT + plot_width * share, 1)

    def y_at(value: float) -> float:
        return round(TOP + plot_height * (1 - value / top_value), 1)

    def drawn(line: Series) -> Line:
        dots = tuple(
            Dot(x_at(i), y_at(v), _dot(labels[i], line.name, figure(v), unit))
            for i, v in enumerate(line.values)
            if v is not None
        )
        return Line(line.name, _path(line.values, x_at, y_at), dots)

    every = max(1, math.ceil(len(labels) / 5))
    return Chart(
        title=title,
        unit=unit,
        lines=tuple(drawn(line) for line in series),
        x_ticks=tuple(Tick(x_at(i), labels[i]) for i in range(0, len(labels), every)),
        y_ticks=tuple(
            Tick(y_at(step * i), figure(step * i)) for i in range(round(top_value / step) + 1)
        ),
        rows=tuple(
            (label, tuple(figure(line.values[i]) for line in series))
            for i, label in enumerate(labels)
        ),
        empty=not any(v is not None for line in series for v in line.values),
    )


def _dot(label: str, name: str, value: str, unit: str) -> str:
    if unit:
        return _(
            "%(day)s: %(name)s %(value)s %(unit)s", day=label, name=name, value=value, unit=unit
        )
    return _("%(day)s: %(name)s %(value)s", day=label, name=name, value=value)


def _path(
    values: Sequence[float | None], x_at: Callable[[int], float], y_at: Callable[[float], float]
) -> str:
    parts: list[str] = []
    pen_down = False
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{x_at(index)} {y_at(value)}")
        pen_down = True
    return " ".join(parts)
