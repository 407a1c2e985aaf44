"""A plan as data: what would change, and why the rest cannot. Made by `plan`, done by `apply`."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from dirclient.model.directory_objects import Guid
from kerauno.base.lookup_keys import lookup_key
from provisioning.mapping_rules import Conflict
from provisioning.records import DepartmentRecord, UserRecord


class ActionKind(enum.StrEnum):
    """The kind of a change of one user."""

    CREATE = "create"
    LINK = "link"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"


class Want(NamedTuple):
    """A user and their link as they shall be."""

    username: str
    username_key: str
    email: str
    email_key: str
    first_name: str
    last_name: str
    extension: str | None
    role: str
    dn: str
    principal_key: str | None
    account_key: str | None
    scope: str
    origin: str


def without_names(user: UserRecord) -> Want:
    """A leaver's record without the names that are somebody else's now.

    In their place stand names that nobody can have: neither an email nor a username has blanks.
    """
    left = f" (left {user.id})"
    username, email = user.username[:80] + left, user.email[:200] + left
    return Want(
        *(username, lookup_key(username), email, lookup_key(email)),
        *(user.first_name, user.last_name, user.extension, user.role),
        dn=user.dn or "",
        principal_key=None,
        account_key=None,
        scope=user.scope or "full",
        origin=user.origin or "sync",
    )


SHOWN_FIELDS = (
    "username",
    "email",
    "first_name",
    "last_name",
    "extension",
    "role",
    "dn",
    "principal_key",
    "account_key",
    "scope",
    "origin",
)
"""What a change is told in; the look-up keys of username and email follow from these."""


@dataclass(frozen=True, slots=True)
class PersonAction:
    """One user's change: wholly or not at all.

    `user` is the record as planned on (None: it does not exist yet), `want` what it becomes
    (None for a leaver, whose values stay). A leaver who `gives_up` the names that AD gave to
    somebody else is renamed to `want`, and stays or becomes inactive. `joins` and `leaves` are ids
    of departments that the user enters and leaves in the same transaction. `takes_from` names those
    whose values this one takes over: they change in the same transaction, as when two people swap
    numbers.
    """

    kind: ActionKind
    guid: Guid
    user: UserRecord | None
    want: Want | None
    joins: tuple[int, ...] = ()
    leaves: tuple[int, ...] = ()
    takes_from: tuple[Guid, ...] = ()
    reason: str = ""  # of a leaver: disabled, expired, deleted, out_of_scope
    since: datetime | None = None  # of a leaver, by the directory's own time
    gives_up: bool = False

    @property
    def name(self) -> str:
        """First and last name, as they will be."""
        shown = self.want if self.want is not None else self.user
        assert shown is not None
        return f"{shown.first_name} {shown.last_name}"

    @property
    def username(self) -> str:
        """The username as it will be; of a leaver the one they have."""
        shown = self.want if self.want is not None and not self.gives_up else self.user
        assert shown is not None
        return shown.username

    @property
    def mark(self) -> str:
        """Equal for actions that would do the same to the same person."""
        return _digest(self.kind.value, self.changes)

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """Field → before and after, for people to read."""
        changes: dict[str, dict[str, Any]] = {}
        if self.want is not None:
            for name in SHOWN_FIELDS:
                before = getattr(self.user, name) if self.user is not None else None
                after = getattr(self.want, name)
                if before != after:
                    changes[name] = {"before": before, "after": after}
        if self.kind is ActionKind.DEACTIVATE:
            changes["active"] = {"before": True, "after": False}
        elif self.kind is ActionKind.REACTIVATE:
            changes["active"] = {"before": False, "after": True}
        return changes

    def as_json(self) -> dict[str, Any]:
        """The shape of `syncsvc plan --json`."""
        shown = self.want if self.want is not None and not self.gives_up else self.user
        assert shown is not None
        document = {
            "action": self.kind.value,
            "guid": str(self.guid),
            "username": shown.username,
            "email": shown.email,
            "extension": shown.extension,
            "changes": self.changes,
        }
        if self.reason:
            document["reason"] = self.reason
        if self.since is not None:
            document |= {"since": self.since.isoformat(timespec="seconds"), "since_by": "ad"}
        return document


@dataclass(frozen=True, slots=True)
class DepartmentAction:
    """One department's change. `record` None: it is imported, with `number` for its ring group.

    `add` and `remove` are ids of users that exist; `add_people` are those who only become users
    in the same run.
    """

    guid: Guid
    record: DepartmentRecord | None
    name: str
    dn: str
    kind: str
    number: str
    add: frozenset[int] = frozenset()
    remove: frozenset[int] = frozenset()
    add_people: frozenset[Guid] = frozenset()

    @property
    def mark(self) -> str:
        """Equal for actions that would do the same to the same department."""
        return _digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """For a stored plan and its page."""
        return {
            "action": "import" if self.record is None else "update",
            "guid": str(self.guid),
            "name": self.name,
            "dn": self.dn,
            "kind": self.kind,
            "number": self.number,
            "renamed_from": self.record.name
            if self.record and self.record.name != self.name
            else "",
            "add": len(self.add) + len(self.add_people),
            "remove": len(self.remove),
            "members": _digest(sorted(self.add), sorted(self.remove), sorted(self.add_people)),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that a run would make. Equal snapshots, records and rules give equal plans.

    `standing` says of every recognized person how they stand once the plan is applied
    (one of `kerauno.sync.directory_mirror.STATES`) and with which conflicts; it becomes the mirror.
    `emptied` names imported departments whose ring group would lose its last member.
    """

    actions: tuple[PersonAction, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    departments: tuple[DepartmentAction, ...] = ()
    department_conflicts: tuple[Conflict, ...] = ()
    unchanged: frozenset[Guid] = frozenset()
    holds_ended: tuple[str, ...] = ()
    proposals: Mapping[str, int] = field(default_factory=dict)
    standing: Mapping[Guid, tuple[str, tuple[Conflict, ...]]] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to do to any user or department."""
        return not (self.actions or self.departments)

    def counts(self) -> dict[ActionKind, int]:
        """How many people would undergo each kind of action."""
        counts = dict.fromkeys(ActionKind, 0)
        for action in self.actions:
            counts[action.kind] += 1
        return counts

    def as_json(self) -> dict[str, Any]:
        """The document of `syncsvc plan --json`."""
        return {
            "actions": [action.as_json() for action in self.actions],
            "conflicts": [conflict.as_json() for conflict in self.conflicts],
        }

    def stored(self) -> dict[str, Any]:
        """The plan as it is kept while it is held or previewed: `as_json` and the departments."""
        return {
            **self.as_json(),
            "actions": [{**action.as_json(), "name": action.name} for action in self.actions],
            "departments": [action.as_json() for action in self.departments],
            "department_conflicts": [c.as_json() for c in self.department_conflicts],
            "emptied": list(self.emptied),
            "digest": self.digest(),
        }

    def digest(self) -> str:
        """Equal for plans that would do the same; conflicts, counts and times aside."""
        return _digest(
            [replace(action, since=None).as_json() for action in self.actions],
            [action.as_json() for action in self.departments],
        )


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
