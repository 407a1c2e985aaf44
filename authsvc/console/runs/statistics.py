"""Figures over time for the charts: how soon edits showed, how many people, who signed in."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authsvc.console.runs.charts import Chart, Series, line_chart
from authsvc.i18n.translate import gettext as _
from kerauno.tables.core import Audit, Run

DAYS = 30
_MOST_DELAYS = 50_000


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest value that at least `share` of them do not pass."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _days(now: datetime, count: int) -> list[str]:
    return [(now - timedelta(days=back)).date().isoformat() for back in range(count - 1, -1, -1)]


def delays(s: Session, now: datetime, days: int = DAYS) -> Chart:
    """From an edit in AD to its being visible here: p50, p99 and worst of each day (UTC)."""
    labels = _days(now, days)
    query = (
        select(Run.started, Run.delay_seconds)
        .where(Run.started >= now - timedelta(days=days), Run.delay_seconds.is_not(None))
        .order_by(Run.started.desc())
        .limit(_MOST_DELAYS)
    )
    by_day: dict[str, list[float]] = defaultdict(list)
    for started, delay in s.execute(query):
        by_day[started.date().isoformat()].append(float(delay or 0.0))
    return line_chart(
        _("From an edit in Active Directory to its being visible here"),
        _("s"),
        labels,
        [
            Series("p50", tuple(percentile(by_day[day], 0.5) for day in labels)),
            Series("p99", tuple(percentile(by_day[day], 0.99) for day in labels)),
            Series(_("worst"), tuple(max(by_day[day], default=None) for day in labels)),
        ],
    )


def people(s: Session, now: datetime, days: int = DAYS) -> Chart:
    """People and import conflicts, as the last complete run of each day (UTC) had them."""
    labels = _days(now, days)
    last = (
        select(func.max(Run.id))
        .where(Run.started >= now - timedelta(days=days), Run.complete.is_(True))
        .group_by(func.date(Run.started))
    )
    by_day = {
        run.started.date().isoformat(): run
        for run in s.scalars(select(Run).where(Run.id.in_(last)))
    }
    return line_chart(
        _("People recognized and import conflicts"),
        "",
        labels,
        [
            Series(_("people"), tuple(_of(by_day.get(day), "people") for day in labels)),
            Series(_("conflicts"), tuple(_of(by_day.get(day), "conflicts") for day in labels)),
        ],
    )


def _of(run: Run | None, what: str) -> float | None:
    if run is None:
        return None
    return float(run.people if what == "people" else run.counts.get("conflicts") or 0)


def sign_ins(s: Session, now: datetime, *, event: str, good: str, days: int = DAYS) -> Chart:
    """Sign-ins that succeeded and that were refused, for each day (UTC)."""
    labels = _days(now, days)
    day = func.date(Audit.at)
    query = (
        select(day, Audit.outcome, func.count())
        .where(Audit.at >= now - timedelta(days=days), Audit.event == event)
        .group_by(day, Audit.outcome)
    )
    succeeded: dict[str, int] = defaultdict(int)
    refused: dict[str, int] = defaultdict(int)
    for when, outcome, count in s.execute(query):
        (succeeded if outcome == good else refused)[str(when)] += count
    return line_chart(
        _("Sign-ins"),
        "",
        labels,
        [
            Series(_("succeeded"), tuple(float(succeeded[d]) for d in labels)),
            Series(_("refused"), tuple(float(refused[d]) for d in labels)),
        ],
    )
