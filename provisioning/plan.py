"""The plan of a run: snapshot × records × rules → plan. Pure, and the same for every caller.

Every recognized person ends as exactly one of: an action, a conflict, unchanged. Linked people
whom AD no longer has, or no longer lets in, become leavers; that conclusion is allowed because the
people of a `Snapshot` are complete. Its departments may be unread: then they wait.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from dirclient.model.directory_objects import AccountState, Guid, Person, Snapshot
from kerauno.base.lookup_keys import lookup_key
from provisioning.actions import ActionKind, PersonAction, Plan, Want, without_names
from provisioning.mapping_rules import (
    Code,
    Conflict,
    Desired,
    account_conflict,
    described,
    desire,
    shown,
    storable,
)
from provisioning.plan_departments import (
    DepartmentPlan,
    Import,
    People,
    importing,
    plan_department_updates,
    plan_imports,
)
from provisioning.records import Records, UserRecord
from provisioning.roles import Roles
from provisioning.unique_values import Claim, settle

Standing = tuple[str, tuple[Conflict, ...]]
_SYNCED: Standing = ("synced", ())
_READY: Standing = ("ready", ())
_LEFT: Standing = ("left", ())
LEAVING: Standing = ("leaving", ())


class Mode(enum.StrEnum):
    """The rights of a run.

    KEEP: what is linked stays true. BUILD: users and departments are made as well. IMPORT: one
    department by hand, with those of its members who are not users yet, and nothing else.
    """

    KEEP = "keep"
    BUILD = "build"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that an administrator set. `only` limits a run to these people; None: everyone.

    `numbers` is the range for departments that import themselves, first and last inclusive.
    `role_groups` maps the identity of a directory group to a role. `imports` goes with IMPORT.

    `known` is set where the snapshot may be older than what was acted on before: it holds the
    people who were seen before, and only who is new may be added. Nobody else is touched.
    """

    mode: Mode
    now: datetime
    only: frozenset[str] | None = None
    numbers: tuple[str, str] | None = None
    role_groups: Mapping[str, str] = field(default_factory=dict)
    imports: Import | None = None
    known: frozenset[str] | None = None

    @property
    def whole(self) -> bool:
        """Return whether the run is about everyone, so that it may conclude who is no longer
        there."""
        return self.mode is not Mode.IMPORT and self.only is None and not self.adding_only

    @property
    def adding_only(self) -> bool:
        """Return whether the run may add new people and nothing else."""
        return self.known is not None


def make_plan(snapshot: Snapshot, records: Records, rules: Rules) -> Plan:
    """The plan. Deterministic; independent of the order of people, departments and records."""
    return _Planner(snapshot, records, rules).plan()


class _Planner:
    """One planning: the inputs, and what has been found out so far."""

    def __init__(self, snapshot: Snapshot, records: Records, rules: Rules) -> None:
        self.snapshot = snapshot
        self.records = records
        self.rules = rules
        self.roles = Roles(snapshot, rules.role_groups, records)
        self.only = rules.only
        if rules.imports is not None:
            self.only = snapshot.departments[rules.imports.guid].members
        self.claims: dict[Guid, Claim] = {}
        self.new: list[Claim] = []
        self.conflicts: dict[Guid, tuple[Conflict, ...]] = {}
        self.proposals: dict[str, int] = dict(records.proposals) if rules.adding_only else {}
        self.leavers = {
            user.id: Guid(guid)
            for guid, user in records.by_guid.items()
            if user.role != "admin"
            and not rules.adding_only
            and (rules.whole or not user.active)
            and self._has_left(Guid(guid))
        }
        self.giving_up: set[Guid] = set()
        self.actions: dict[Guid, PersonAction] = {}
        self.standing: dict[Guid, Standing] = {}

    def plan(self) -> Plan:
        """Look at people one by one, settle their claims together, then the departments."""
        for person in self.snapshot.people.values():
            self._look_at(person)
        self._match()
        settled = settle(self.claims, self.records, self._reserved(), self.leavers, self.rules.now)
        self.conflicts.update(settled.conflicts)
        for guid, claim in self.claims.items():
            if guid not in settled.conflicts:
                self._act(claim, settled.takes_from.get(guid, ()))
        if self.rules.whole:
            self._find_leavers()
        self._give_up_names()
        return self._finished(self._departments())

    # People, one by one

    def _look_at(self, person: Person) -> None:
        guid = person.guid
        user = self.records.by_guid.get(guid)
        held_out = user is None and guid in self.records.held_out
        if self.rules.known is not None and (user is not None or guid in self.rules.known):
            left = user is not None and not user.active
            self.standing[guid] = _LEFT if left else _READY if user is None else _SYNCED
            return
        if user is not None and person.state is not AccountState.ACTIVE:
            self.standing[guid] = _LEFT  # nothing to mend: the directory's own word
            return
        if person.state is not AccountState.ACTIVE or held_out:
            conflict = account_conflict(person, held_out=held_out)
            assert conflict is not None
            self.conflicts[guid] = (conflict,)
            return
        if user is None:
            want = desire(person)
            if isinstance(want, Desired):
                self.new.append(Claim(guid, person, want, None, False, self._may_build(guid)))
            else:
                self.conflicts[guid] = want
            return
        want = self._desire_of_linked(person, user)
        if not isinstance(want, Desired):
            self.conflicts[guid] = want
            return
        claim = Claim(guid, person, want, user, True, self._may_keep(guid))
        if user.active and _same(user, self._want(claim)):
            self.standing[guid] = _SYNCED  # claims nothing that is not this user's already
        else:
            self.claims[guid] = claim

    def _desire_of_linked(self, person: Person, user: UserRecord) -> Desired | tuple[Conflict, ...]:
        """A link made by signing in grows to a full one when an administrator builds."""
        if user.scope == "full":
            return desire(person)
        if (
            user.origin == "sign-in"
            and self.rules.mode is Mode.BUILD
            and self._may_keep(person.guid)
        ):
            want = desire(person)
            if isinstance(want, Desired):
                return want
        return desire(person, full=False)

    def _may_build(self, guid: Guid) -> bool:
        if self.rules.mode is Mode.KEEP:
            return False
        return self.only is None or guid in self.only

    def _may_keep(self, guid: Guid) -> bool:
        return self.rules.mode is not Mode.IMPORT and (self.only is None or guid in self.only)

    # People who are not linked: which user, if any, is theirs

    def _match(self) -> None:
        by_user: dict[int, list[Claim]] = {}
        for claim in self.new:
            user = self._namesake(claim.want)
            if user is None:
                self.claims[claim.guid] = claim
            else:
                by_user.setdefault(user.id, []).append(claim)
        for user_id, claims in by_user.items():
            self._match_user(self.records.users[user_id], sorted(claims, key=lambda c: c.guid))

    def _namesake(self, want: Desired) -> UserRecord | None:
        """The unlinked user with this email, or the unlinked administrator with this username."""
        user = self.records.by_email.get(want.email_key)
        if user is None:
            user = self.records.by_username.get(want.username_key)
            if user is not None and user.role != "admin":
                return None
        return user if user is not None and user.guid is None and user.active else None

    def _match_user(self, user: UserRecord, claims: list[Claim]) -> None:
        if len(claims) > 1:
            for claim in claims:
                other = claims[0] if claim is not claims[0] else claims[1]
                self.conflicts[claim.guid] = (_ambiguous(claim, user, other),)
            return
        (claim,) = claims
        if user.role == "admin":
            self.proposals[claim.guid] = user.id
        else:
            claim.own = user
        self.claims[claim.guid] = claim

    def _reserved(self) -> dict[str, str]:
        """Numbers that no person may claim, and whose they are."""
        reserved = dict(self.records.ring_numbers)
        if self.rules.imports is not None:
            department = self.snapshot.departments[self.rules.imports.guid]
            reserved[self.rules.imports.number] = f"ring group {department.name}"
        return reserved

    # What happens to each

    def _act(self, claim: Claim, takes_from: tuple[Guid, ...]) -> None:
        guid = claim.guid
        if not claim.acts:
            self.standing[guid] = _SYNCED if claim.linked else _READY
            return
        self.standing[guid] = _SYNCED
        self.giving_up.update(takes_from)
        user = claim.own
        want = self._want(claim)
        if user is None:
            kind = ActionKind.CREATE
        elif not claim.linked:
            kind = ActionKind.LINK
        elif not user.active:
            kind = ActionKind.REACTIVATE
        else:
            kind = ActionKind.UPDATE
        self.actions[guid] = PersonAction(kind, guid, user, want, takes_from=takes_from)

    def _want(self, claim: Claim) -> Want:
        person, want, user = claim.person, claim.want, claim.own
        full = want.first_name is not None
        if user is not None and claim.linked:
            origin = user.origin or "sync"
            if full and user.scope != "full":
                origin = "sync"
        else:
            origin = "department" if self.rules.mode is Mode.IMPORT else "sync"
        role = user.role if user is not None else "user"
        if full:
            first, last, extension = want.first_name, want.last_name, want.extension
            role = self.roles.of(person.guid, role)
        else:
            assert user is not None
            first, last, extension = user.first_name, user.last_name, user.extension
        assert first is not None
        assert last is not None
        return Want(
            want.username,
            want.username_key,
            want.email,
            want.email_key,
            first,
            last,
            extension,
            role,
            storable(person.dn),
            _key(person.principal_name, 320),
            _key(person.account_name, 255),
            "full" if full else "login",
            origin,
        )

    def _find_leavers(self) -> None:
        for guid, user in self.records.by_guid.items():
            if not user.active or not self._has_left(Guid(guid)):
                continue
            person = self.snapshot.people.get(Guid(guid))
            reason = "out_of_scope" if person is None else person.state.value
            identity = Guid(guid)
            self.actions[identity] = PersonAction(
                ActionKind.DEACTIVATE, identity, user, None, reason=reason
            )

    def _has_left(self, guid: Guid) -> bool:
        """Return whether AD no longer has this person, or no longer lets them in."""
        if guid in self.snapshot.hidden:
            return False  # not being let see somebody is not their leaving
        person = self.snapshot.people.get(guid)
        return person is None or person.state is not AccountState.ACTIVE

    def _give_up_names(self) -> None:
        """Rename the leavers whose username or email AD has given to somebody else."""
        for guid in self.giving_up.intersection(self.leavers.values()):
            user = self.records.by_guid[guid]
            action = self.actions.get(guid) or PersonAction(ActionKind.UPDATE, guid, user, None)
            self.actions[guid] = replace(action, want=without_names(user), gives_up=True)

    # Departments, and the end

    def _departments(self) -> DepartmentPlan:
        if self.rules.imports is not None:
            plan = DepartmentPlan()
            department = self.snapshot.departments[self.rules.imports.guid]
            people = People(self.records, self.actions)
            plan.actions.append(importing(department, self.rules.imports.number, people))
            return plan
        if self.only is not None or self.rules.adding_only:
            return self._joins_alone()
        plan = plan_department_updates(self.snapshot, self.records, self.actions)
        building = self.rules.mode is Mode.BUILD and self.snapshot.unread is None
        if building and self.rules.numbers is not None:
            plan_imports(
                plan,
                self.snapshot,
                self.records,
                self.actions,
                numbers=self.rules.numbers,
                claimed=(claim.want.extension for claim in self.claims.values()),
                now=self.rules.now,
            )
        return plan

    def _joins_alone(self) -> DepartmentPlan:
        """Return who comes enters their departments; nobody else's membership is touched."""
        whole = plan_department_updates(self.snapshot, self.records, self.actions)
        return DepartmentPlan(joins=whole.joins)

    def _finished(self, departments: DepartmentPlan) -> Plan:
        for guid in departments.joins.keys() | departments.leaves.keys():
            self.actions[guid] = replace(
                self.actions[guid],
                joins=tuple(sorted(departments.joins.get(guid, ()))),
                leaves=tuple(sorted(departments.leaves.get(guid, ()))),
            )
        for guid, conflicts in self.conflicts.items():
            is_excluded = conflicts[0].code is Code.HELD_OUT
            self.standing[guid] = ("held-out" if is_excluded else "conflict", conflicts)
        people = self.snapshot.people
        return Plan(
            actions=tuple(self.actions[guid] for guid in sorted(self.actions)),
            conflicts=tuple(
                conflict
                for guid in sorted(self.conflicts)
                if guid not in self.actions
                for conflict in self.conflicts[guid]
            ),
            departments=tuple(departments.actions),
            department_conflicts=tuple(departments.conflicts),
            unchanged=frozenset(people.keys() - self.actions.keys() - self.conflicts.keys()),
            holds_ended=self._holds_ended(),
            proposals=self.proposals,
            standing=self.standing,
            emptied=tuple(departments.emptied),
        )

    def _holds_ended(self) -> tuple[str, ...]:
        """Return who was held out and has left the scope since: coming back, they count as new."""
        if not self.rules.whole or self.snapshot.unread is not None:
            return ()
        seen = self.snapshot
        return tuple(
            sorted(
                guid
                for guid in self.records.held_out
                if not (guid in seen.people or guid in seen.departments or guid in seen.hidden)
            )
        )


def _same(user: UserRecord, want: Want) -> bool:
    """Return whether the record already is as wanted; by far the most frequent question here."""
    return (
        user.username == want.username
        and user.email == want.email
        and user.first_name == want.first_name
        and user.last_name == want.last_name
        and user.extension == want.extension
        and user.dn == want.dn
        and user.role == want.role
        and user.principal_key == want.principal_key
        and user.account_key == want.account_key
        and user.scope == want.scope
        and user.origin == want.origin
        and user.reserved_until is None
    )


def _key(name: str | None, length: int) -> str | None:
    if not name:
        return None
    key = lookup_key(storable(name))
    return key if len(key) <= length else None


def _ambiguous(claim: Claim, user: UserRecord, other: Claim) -> Conflict:
    return Conflict(
        claim.guid,
        shown(claim.person),
        Code.LINK_AMBIGUOUS,
        "email",
        claim.want.email,
        described(other.person),
        f"Two AD accounts claim {user.words}: change the address of one of them in AD.",
    )
