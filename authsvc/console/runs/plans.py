"""A plan as a page shows it: what would be created, linked, updated, deactivated, and why not.

Plans are made, stored and applied by the sync service; here they are only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from authsvc.console import labels
from authsvc.console.runs import requests
from authsvc.console.runs.queries import FieldChange, spoken
from kerauno.base.lookup_keys import lookup_key
from kerauno.tables.core import Run

SHOWN = 200
"""How many actions of a kind a page lists; all of them are counted."""

_OF_A_NEW_USER = frozenset({"dn"})
"""What is told of a new user beside name, email and extension, which have columns of their own."""

_ORDER = ("deactivate", "create", "link", "update", "reactivate")


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action on a user or department."""

    action: str
    guid: str
    name: str
    email: str
    extension: str
    changes: tuple[FieldChange, ...]
    reason: str = ""
    since: datetime | None = None
    since_by: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """All actions of one kind: how many, and the first of them."""

    action: str
    count: int
    first: tuple[PlannedAction, ...]


@dataclass(frozen=True, slots=True)
class PlannedDepartment:
    """The planned change of one department."""

    action: str
    guid: str
    name: str
    number: str
    renamed_from: str
    add: int
    remove: int


@dataclass(frozen=True, slots=True)
class PlanView:
    """A stored plan. `digest` is what a confirmation must name, so that exactly it is applied."""

    run_id: int
    digest: str
    groups: tuple[Group, ...]
    departments: tuple[PlannedDepartment, ...]
    conflicts: int
    emptied: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not (self.groups or self.departments)

    @property
    def actions(self) -> int:
        """How many people it would change."""
        return sum(group.count for group in self.groups)

    @property
    def listed(self) -> frozenset[str]:
        """The identities of all people and departments that a page lists, each with a tick."""
        people = (person.guid for group in self.groups for person in group.first)
        return frozenset([*people, *(department.guid for department in self.departments)])

    @property
    def deactivations(self) -> int:
        """How many people would lose access."""
        return self.count("deactivate")

    def count(self, action: str) -> int:
        """How many people would undergo this."""
        return next((group.count for group in self.groups if group.action == action), 0)


def of_run(s: Session, run_id: int) -> PlanView | None:
    """The plan kept with a run, or None where none is kept any more."""
    run = s.get(Run, run_id)
    if run is None or run.plan is None:
        return None
    return view(run_id, run.plan)


def of_request(s: Session, followed: requests.Followed) -> PlanView | None:
    """The plan that a request has made, once it has."""
    if followed.state != "done":
        return None
    if followed.run is not None:
        return of_run(s, followed.run.id)
    plan = followed.result.get("plan")
    return view(0, plan) if isinstance(plan, dict) else None


def view(run_id: int, plan: Mapping[str, Any]) -> PlanView:
    """A stored plan for the page. Tolerates what an older version did not store."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for action in _list(plan, "actions"):
        by_kind.setdefault(str(action.get("action", "")), []).append(action)
    kinds = [kind for kind in _ORDER if kind in by_kind]
    kinds += sorted(kind for kind in by_kind if kind not in _ORDER)
    return PlanView(
        run_id=run_id,
        digest=str(plan.get("digest", "")),
        groups=tuple(Group(kind, len(by_kind[kind]), _first(by_kind[kind])) for kind in kinds),
        departments=tuple(map(_department, _list(plan, "departments"))),
        conflicts=len(_list(plan, "conflicts")),
        emptied=tuple(str(name) for name in plan.get("emptied") or ()),
        reasons=tuple(str(reason) for reason in plan.get("reasons") or ()),
    )


def _first(actions: list[Mapping[str, Any]]) -> tuple[PlannedAction, ...]:
    """The first of the actions by name; all of them are a page too many."""
    sorted_actions = sorted(
        map(_action, actions), key=lambda action: (lookup_key(action.name), action.guid)
    )
    return tuple(sorted_actions[:SHOWN])


def _list(plan: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = plan.get(name)
    return value if isinstance(value, list) else []


def _action(action: Mapping[str, Any]) -> PlannedAction:
    changes = action.get("changes") or {}
    name = " ".join(
        str(part) for part in (_after(changes, "first_name"), _after(changes, "last_name")) if part
    )
    return PlannedAction(
        action=str(action.get("action", "")),
        guid=str(action.get("guid", "")),
        name=str(action.get("name") or name or action.get("username") or ""),
        email=str(action.get("email") or ""),
        extension=str(action.get("extension") or ""),
        changes=tuple(
            FieldChange(labels.label(labels.FIELDS, field), *map(spoken, _pair(change)))
            for field, change in changes.items()
            if action.get("action") != "create" or field in _OF_A_NEW_USER
        ),
        reason=str(action.get("reason") or ""),
        since=datetime.fromisoformat(str(action["since"])) if action.get("since") else None,
        since_by=str(action.get("since_by") or ""),
    )


def _pair(change: object) -> tuple[object, object]:
    if isinstance(change, Mapping):
        return change.get("before"), change.get("after")
    return None, change


def _after(changes: Mapping[str, Any], field: str) -> object:
    return _pair(changes[field])[1] if field in changes else None


def _department(action: Mapping[str, Any]) -> PlannedDepartment:
    return PlannedDepartment(
        action=str(action.get("action", "")),
        guid=str(action.get("guid", "")),
        name=str(action.get("name", "")),
        number=str(action.get("number") or ""),
        renamed_from=str(action.get("renamed_from") or ""),
        add=int(action.get("add") or 0),
        remove=int(action.get("remove") or 0),
    )
