"""Some people of a held run are confirmed; the others are kept as they are.

Who is kept is left out of the picture that the plan is made of, as somebody whom the service
account may not see: nothing is concluded about them, and what they have stays theirs. The journal
notes each as `keep`. Later runs leave them out, too, until AD has it otherwise; an administrator
who builds is shown them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from dirclient.model.directory_objects import Guid, Snapshot
from kerauno.base.errors import InvalidValue
from kerauno.base.lookup_keys import lookup_key
from kerauno.database.bulk import parts
from kerauno.tables.core import Run, RunChange
from provisioning.actions import ActionKind, Plan
from provisioning.plan import LEAVING, Rules, Standing, make_plan
from provisioning.records import Records

KEEP = "keep"
"""The journal's action for whom an administrator kept as they are."""

SHOWN = 100
"""How many names the audit log tells."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of a held plan that an administrator chose: `only` these, or all but `keep`.

    Each is named by GUID, email or username; a department by GUID, DN or name.
    """

    only: frozenset[str] | None = None
    keep: frozenset[str] = frozenset()

    def kept(self, plan: Plan) -> frozenset[Guid]:
        """Return whom of the plan it keeps. Raises InvalidValue for an unknown name."""
        known = _names(plan)
        chosen = self.keep if self.only is None else self.only
        unknown = sorted(name for name in chosen if lookup_key(name.strip()) not in known)
        if unknown:
            raise InvalidValue(
                f"{', '.join(unknown)}: not in this run's plan.",
                field="only",
                remedy="Give a GUID, email or username as the run lists it.",
            )
        named: set[Guid] = set()
        for name in chosen:
            named |= known[lookup_key(name.strip())]
        everyone = {a.guid for a in plan.actions} | {d.guid for d in plan.departments}
        kept = named if self.only is None else everyone - named
        if kept and kept >= everyone:
            raise InvalidValue(
                "Nobody was chosen.",
                field="only",
                remedy="Choose at least one, or discard the run.",
            )
        return frozenset(kept)


EVERYONE = Choice()


def _names(plan: Plan) -> dict[str, set[Guid]]:
    names: dict[str, set[Guid]] = {}
    for action in plan.actions:
        row = action.as_json()
        for name in (row["guid"], row["email"], row["username"]):
            names.setdefault(lookup_key(name), set()).add(action.guid)
    for department in plan.departments:
        for name in (department.guid, department.dn, department.name):
            names.setdefault(lookup_key(name), set()).add(department.guid)
    return names


def part_of(
    plan: Plan, snapshot: Snapshot, records: Records, rules: Rules, kept: Collection[Guid]
) -> Plan:
    """Return the plan without those who are kept. It does nothing that `plan` does not.

    What one gives up and another takes over is in neither's reach when either is kept: the one who
    would take it gets a conflict.
    """
    people = {action.guid: action.kind for action in plan.actions}
    departments = {action.guid for action in plan.departments}
    reserved = {
        action.number: f"ring group {action.name}"
        for action in plan.departments
        if action.record is None and action.guid in kept
    }
    records = replace(records, ring_numbers={**records.ring_numbers, **reserved})
    unseen = frozenset(kept)
    while True:
        part = make_plan(without(snapshot, unseen), records, rules)
        more = {a.guid for a in part.actions if people.get(a.guid) is not a.kind}
        more |= {d.guid for d in part.departments} - departments
        if not more:
            standing = {**_standing_of(plan, unseen, records, snapshot), **part.standing}
            return replace(part, standing=standing)
        unseen |= more


def without(snapshot: Snapshot, kept: Collection[Guid]) -> Snapshot:
    """Return the picture as if nothing were known of these people and departments."""
    unseen = frozenset(kept)
    people = {guid: person for guid, person in snapshot.people.items() if guid not in unseen}
    departments = {
        guid: replace(department, members=department.members - unseen)
        for guid, department in snapshot.departments.items()
        if guid not in unseen
    }
    hidden = snapshot.hidden | unseen
    return replace(snapshot, people=people, departments=departments, hidden=hidden)


def _standing_of(
    plan: Plan, unseen: Iterable[Guid], records: Records, snapshot: Snapshot
) -> Mapping[Guid, Standing]:
    """Return how those stand who are kept: as they are now."""
    leaving = {a.guid for a in plan.actions if a.kind is ActionKind.DEACTIVATE}
    standing: dict[Guid, Standing] = {}
    for guid in unseen:
        if guid in snapshot.people:
            user = records.by_guid.get(guid)
            now = "ready" if user is None else "synced" if user.active else "left"
            standing[guid] = LEAVING if guid in leaving else (now, ())
    return standing


def journal_of(plan: Plan, kept: Collection[Guid]) -> list[Mapping[str, Any]]:
    """Return the entries of the journal that say who was kept, and from what."""
    entries: list[Mapping[str, Any]] = [
        {
            "action": KEEP,
            "subject": "user",
            "guid": str(action.guid),
            "subject_id": action.user.id if action.user is not None else None,
            "name": action.name,
            "after": {"kept_from": action.kind.value, "mark": action.mark},
        }
        for action in plan.actions
        if action.guid in kept
    ]
    entries += [
        {
            "action": KEEP,
            "subject": "department",
            "guid": str(department.guid),
            "subject_id": department.record.id if department.record is not None else None,
            "name": department.name,
            "after": {"kept_from": department.as_json()["action"], "mark": department.mark},
        }
        for department in plan.departments
        if department.guid in kept
    ]
    return entries


def kept_before(s: Session, directory_id: int, plan: Plan) -> frozenset[Guid]:
    """Return those of the plan whom an administrator has kept from the very same change.

    Until one of them is confirmed, or AD has it otherwise.
    """
    marks = {str(action.guid): action.mark for action in plan.actions}
    marks |= {str(department.guid): department.mark for department in plan.departments}
    later = aliased(RunChange)
    kept: set[Guid] = set()
    for guids in parts(marks):
        rows = s.execute(
            select(RunChange.guid, RunChange.after)
            .join(Run, Run.id == RunChange.run_id)
            .where(
                RunChange.guid.in_(guids),
                RunChange.action == KEEP,
                Run.directory_id == directory_id,
                ~exists().where(
                    later.guid == RunChange.guid, later.id > RunChange.id, later.error == ""
                ),
            )
        )
        kept |= {
            Guid(guid) for guid, after in rows if guid and marks[guid] == (after or {}).get("mark")
        }
    return frozenset(kept)
