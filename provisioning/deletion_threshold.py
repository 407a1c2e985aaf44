"""When a run waits for an administrator, and what a held plan may still be applied to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import Snapshot
from kerauno.tables.core import Run, RunChange, User
from provisioning.actions import ActionKind, Plan
from provisioning.records import Records

HELD_FOR = timedelta(days=3)
"""How long a held plan can be confirmed; after that the directory is looked at again."""

WINDOW = timedelta(hours=1)
"""How far back deactivations count: people removed one by one are many small runs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Runs may deactivate `count` people or `percent` of the linked users, whichever is more.

    That is for all runs of the last hour together.
    """

    count: int
    percent: int


def deactivated_lately(s: Session, directory_id: int, now: datetime) -> int:
    """Return how many users runs deactivated within the last hour, and who are still inactive.

    A plan that an administrator looked at and confirmed does not count: only such runs had an
    `expires_at`. A user counts once, and no longer after a return or an undo.
    """
    since = now - WINDOW
    return (
        s.scalar(
            select(func.count(func.distinct(User.id)))
            .select_from(Run)
            .join(RunChange, RunChange.run_id == Run.id)
            .join(User, User.id == RunChange.subject_id)
            .where(
                Run.directory_id == directory_id,
                Run.finished.is_(None) | (Run.finished > since),
                Run.expires_at.is_(None),
                RunChange.subject == "user",
                RunChange.action == ActionKind.DEACTIVATE.value,
                RunChange.error == "",
                User.active.is_(False),
                User.deactivated_at > since,
            )
        )
        or 0
    )


def reasons_to_hold(
    plan: Plan,
    records: Records,
    snapshot: Snapshot,
    limits: Limits,
    lately: int = 0,
    kept: int = 0,
) -> tuple[str, ...]:
    """Return sentences that say why an administrator must look first; none: the run may go ahead.

    `lately` users were deactivated within the last hour. They count with those of the plan, and
    among the linked users as well: the percentage is of those who were linked before they left.
    `kept` actions of the plan are such that an administrator kept from being done.
    """
    reasons = []
    leavers = plan.counts()[ActionKind.DEACTIVATE]
    linked = sum(1 for user in records.by_guid.values() if user.active)
    count, before = leavers + lately, linked + lately
    if leavers and not snapshot.people:
        reasons.append(f"The directory showed nobody at all; {linked} users are linked.")
    elif leavers and count > limits.count and count * 100 > before * limits.percent:
        reasons.append(
            f"{count} of {before} linked users would be deactivated within an hour, "
            f"{leavers} of them by this run."
            if lately
            else f"{leavers} of {linked} linked users would be deactivated."
        )
    reasons += [f"Ring group {name} would lose its last member." for name in plan.emptied]
    if kept:
        reasons.append(f"{kept} changes were left out by an administrator and would be made now.")
    return tuple(reasons)


def fingerprint(plan: Plan, records: Records) -> str:
    """A digest of every record that the plan would touch, as it is now."""
    digest = hashlib.blake2b(digest_size=16)
    for action in plan.actions:
        digest.update(repr(action.user).encode("utf-8", "surrogatepass"))
    for department in plan.departments:
        record = records.departments.get(department.guid)
        members = sorted(record.members) if record is not None else None
        shown = record[:7] if record is not None else None
        digest.update(repr((shown, members)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
