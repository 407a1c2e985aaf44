"""How long an AD edit took to become visible."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from dirclient.model.directory_objects import Guid, Snapshot
from provisioning.actions import Plan

_RESOLUTION = timedelta(seconds=2)  # whenChanged has whole seconds, and clocks are read apart


def measured(
    plan: Plan,
    snapshot: Snapshot,
    *,
    quiet_since: datetime | None,
    watched: bool = False,
    started: datetime,
    visible: datetime,
) -> float | None:
    """Return the seconds from the oldest AD change in the plan to its being visible.

    None for an empty plan. A change is dated by `whenChanged`, corrected by the difference of the
    clocks, but not before `quiet_since`, the last look that did not see it. A deleted object has no
    timestamp: its delay is measured from that look. A change that predates this run, such as one
    that an administrator applies later, is measured from the start of the run. A watcher
    (`watched`) finds only new changes.
    """
    if plan.empty:
        return None
    floor = quiet_since if quiet_since is not None else started
    offset = timedelta(seconds=snapshot.clock_offset)
    oldest = visible
    for changed in _changes(plan, snapshot):
        if changed is None:
            since = floor
        elif not watched and changed - offset < floor - _RESOLUTION:
            since = started
        else:
            since = max(changed - offset, floor)
        oldest = min(oldest, since)
    return round((visible - oldest).total_seconds(), 3)


def _changes(plan: Plan, snapshot: Snapshot) -> Iterator[datetime | None]:
    for action in plan.actions:
        person = snapshot.people.get(action.guid)
        yield person.changed if person is not None else None
    for department in plan.departments:
        seen = snapshot.departments.get(Guid(department.guid))
        yield seen.changed if seen is not None else None
