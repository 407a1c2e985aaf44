"""When a run waits for an administrator, and what a held plan may still be applied to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from dirclient.model import Snapshot
from syncsvc.actions import ActionKind, Plan
from syncsvc.records import Records

HELD_FOR = timedelta(days=3)
"""How long a held plan can be confirmed; after that the directory is looked at anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A run may deactivate `count` people or `percent` of the linked users, whichever is more."""

    count: int
    percent: int


def reasons_to_hold(
    plan: Plan, records: Records, snapshot: Snapshot, limits: Limits
) -> tuple[str, ...]:
    """Sentences that say why an administrator must look first; none: the run may go ahead."""
    reasons = []
    leavers = plan.counts()[ActionKind.DEACTIVATE]
    linked = sum(1 for user in records.by_guid.values() if user.active)
    if leavers and not snapshot.people:
        reasons.append(f"The directory showed nobody at all; {linked} users are linked.")
    elif leavers > limits.count and leavers * 100 > linked * limits.percent:
        reasons.append(f"{leavers} of {linked} linked users would be deactivated.")
    reasons += [f"Ring group {name} would lose its last member." for name in plan.emptied]
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
