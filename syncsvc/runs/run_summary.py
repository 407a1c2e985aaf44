"""The summary of a run: counts, status, remarks; and the tidying at its end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete

from dirclient.model.directory_objects import Snapshot
from kerauno.database.engine import Database
from kerauno.sync import runs
from kerauno.tables.core import LinkProposal, SyncExclusion
from provisioning.actions import ActionKind, Plan
from provisioning.records import Records
from syncsvc.applying.apply import Applied
from syncsvc.runs.replica_lag import Lag
from syncsvc.runs.run_context import Running


def counts_of(plan: Plan, applied: Applied) -> dict[str, Any]:
    """Return what a run did, as it is recorded and shown."""
    people = applied.people
    return {
        "created": people[ActionKind.CREATE],
        "linked": people[ActionKind.LINK],
        "updated": people[ActionKind.UPDATE],
        "deactivated": people[ActionKind.DEACTIVATE],
        "reactivated": people[ActionKind.REACTIVATE],
        "conflicts": len(plan.conflicts),
        "departments": {
            "imported": applied.imported,
            "updated": len(applied.changed_departments),
        },
    }


def no_counts(conflicts: int = 0) -> dict[str, Any]:
    """The counts of a run that did nothing to anybody."""
    return {**dict.fromkeys(runs.COUNTS, 0), "conflicts": conflicts}


def status_of(plan: Plan, applied: Applied) -> str:
    """How a run that came to its end is recorded."""
    if applied.any:
        return "applied"
    return "unchanged" if plan.empty else "failed"


def remarks(snapshot: Snapshot, applied: Applied, lag: Lag | None = None) -> str:
    """Return what an administrator should know of a run that went through."""
    lines = [] if lag is None else [lag.words]
    if applied.failed:
        first = next(iter(applied.failed.values()))
        lines.append(f"{len(applied.failed)} could not be changed; the first: {first}")
    if snapshot.unread is not None:
        lines.append(f"Departments were not read and stay as they are. {snapshot.unread}")
    if snapshot.hidden:
        lines.append(
            f"{len(snapshot.hidden)} objects are hidden from the service account; "
            "what Kerauno has of them was left as it is."
        )
    return " ".join(lines)


def tidy_exclusions(
    db: Database, running: Running, directory_id: int, plan: Plan, records: Records
) -> None:
    """End holds of people who left, and note which links an administrator must confirm."""
    if not plan.holds_ended and plan.proposals == records.proposals:
        return
    with db.write() as s:
        running.fence(s)
        for guid in plan.holds_ended:
            key = (SyncExclusion.directory_id == directory_id, SyncExclusion.guid == guid)
            s.execute(delete(SyncExclusion).where(*key))
        for guid in records.proposals.keys() - plan.proposals.keys():
            s.execute(
                delete(LinkProposal).where(
                    LinkProposal.directory_id == directory_id, LinkProposal.guid == guid
                )
            )
        for guid, user_id in plan.proposals.items():
            if records.proposals.get(guid) != user_id:
                s.merge(
                    LinkProposal(
                        directory_id=directory_id,
                        guid=str(guid),
                        user_id=user_id,
                        proposed_at=running.now(),
                    )
                )
