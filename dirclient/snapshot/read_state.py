"""The state of a directory that reader and watcher keep between changes. Pure.

A `Snapshot` tells who is in which department; a `Picture` also remembers why, so that a change in
one nested group can be followed without reading the others again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dirclient.mapping.groups import Group, Nesting, Path, Unit, below
from dirclient.model.directory_objects import (
    AccountState,
    Cursor,
    DepartmentKind,
    DirectoryDepartment,
    Guid,
    Person,
    Unread,
)
from dirclient.operations.search_base import Base, BaseKind
from dirclient.wire import dn_syntax


@dataclass(slots=True)
class Picture:
    """Everything read that matters: recognized people, groups with direct members, containers.

    `groups` are those of the Department Search DN, the user group, and all nested in them.
    `units` are the OUs of the Department Search DN; `places` the DNs of all containers, to notice
    when one moves. `primary` holds people by the RID of their primary group, `expires` the
    accounts whose end is still to come. `by_dn`: members are known by DN, not by GUID.
    `unread`: the Department Search DN is gone; `departments` is then None.
    """

    users: Base
    departments: Base | None
    advanced: bool
    by_dn: bool = False
    unread: Unread | None = None
    people: dict[Guid, Person] = field(default_factory=dict)
    primary: dict[int, set[Guid]] = field(default_factory=dict)
    groups: dict[Guid, Group] = field(default_factory=dict)
    units: dict[Guid, Unit] = field(default_factory=dict)
    places: dict[Guid, str] = field(default_factory=dict)
    expires: dict[Guid, datetime] = field(default_factory=dict)
    hidden: frozenset[Guid] = frozenset()
    swept: Cursor | None = None  # when it was last made sure that nobody is gone
    _index: dict[str, Guid] | None = None
    _departments: dict[Guid, DirectoryDepartment] | None = None
    _found: dict[Guid, DirectoryDepartment] = field(default_factory=dict)

    def copy(self) -> Picture:
        """A picture to change while this one stays."""
        return dataclasses.replace(
            self,
            people=dict(self.people),
            primary={rid: set(people) for rid, people in self.primary.items()},
            groups=dict(self.groups),
            units=dict(self.units),
            places=dict(self.places),
            expires=dict(self.expires),
        )

    def reshaped(self) -> None:
        """Forget the departments: memberships may have changed. They are worked out again when
        asked for."""
        self._index = self._departments = None

    def regrouped(self) -> None:
        """The same, where no person came, went or moved."""
        self._departments = None

    # -- people

    def admit(self, person: Person, rid: int, expires: datetime | None) -> None:
        """Take a person in, or take note of their change."""
        guid = person.guid
        known = self.people.get(guid)
        moved = known is None or known.dn != person.dn
        if moved or (rid and guid not in self.primary.get(rid, ())):
            self.reshaped()
            if known is not None:
                self._leave_primary(guid)
            if rid:
                self.primary.setdefault(rid, set()).add(guid)
        self.people[guid] = person
        if expires is None:
            self.expires.pop(guid, None)
        else:
            self.expires[guid] = expires

    def dismiss(self, guid: Guid) -> bool:
        """Forget a person; whether they were known."""
        if self.people.pop(guid, None) is None:
            return False
        self._leave_primary(guid)
        self.expires.pop(guid, None)
        self.reshaped()
        return True

    def _leave_primary(self, guid: Guid) -> None:
        for people in self.primary.values():
            people.discard(guid)

    def due(self, now: datetime) -> bool:
        """Return whether an account's end has come since."""
        return any(end <= now for end in self.expires.values())

    def expire(self, now: datetime) -> bool:
        """Mark the accounts whose end has come since; whether there were any."""
        due = [guid for guid, end in self.expires.items() if end <= now]
        for guid in due:
            del self.expires[guid]
            person = self.people[guid]
            if person.state is AccountState.ACTIVE:
                self.people[guid] = dataclasses.replace(person, state=AccountState.EXPIRED)
        return bool(due)

    def person_of(self, reference: str) -> Guid | None:
        """The recognized person behind a member reference."""
        if self.by_dn:
            return self._people_by_dn().get(reference)
        person = self.people.get(reference)  # type: ignore[call-overload]
        return person.guid if person else None

    def references_to_people(self) -> Iterable[str]:
        """By what groups name the recognized people."""
        return self._people_by_dn() if self.by_dn else self.people

    def _people_by_dn(self) -> dict[str, Guid]:
        if self._index is None:
            self._index = {dn_syntax.key(person.dn): person.guid for person in self.people.values()}
        return self._index

    # -- groups

    def nesting(self) -> Nesting:
        """The graph of groups as it stands."""
        return Nesting(self.groups, self.person_of, self.group_index().get, self.primary)

    def group_index(self) -> dict[str, Guid]:
        """Known groups by member reference."""
        return {
            dn_syntax.key(group.dn) if self.by_dn else group.guid: group.guid
            for group in self.groups.values()
        }

    def scope_groups(self) -> frozenset[Guid]:
        """The groups whose members are the recognized people; none where that is an OU's matter."""
        if self.users.kind is not BaseKind.GROUP or self.users.guid not in self.groups:
            return frozenset()
        return self.nesting().closure(self.users.guid)

    def references(self, groups: Iterable[Guid]) -> set[str]:
        """Everything these groups name as direct members, groups included."""
        named: set[str] = set()
        for guid in groups:
            named |= self.groups[guid].members
        return named

    def out_of_scope_guids(self) -> set[Guid]:
        """People whom no group of the user group's nesting holds any more."""
        if self.users.kind is not BaseKind.GROUP:
            return set()
        scope = self.scope_groups()
        inside = set(map(self.person_of, self.references(scope)))
        for rid in {self.groups[guid].rid for guid in scope} - {0}:
            inside |= self.primary.get(rid, set())
        return self.people.keys() - inside

    # -- what is told to the outside

    def directory_departments(self) -> dict[Guid, DirectoryDepartment]:
        """Every directory department with its effective, recognized members.

        The Department Search DN itself counts when it is an OU that people lie below, or when
        nothing else is there: an OU that only keeps groups is a shelf, not a department.
        """
        if self._departments is None:
            self._departments = self._work_out_departments()
        return self._departments

    def unlisted_departments(self) -> dict[Guid, DirectoryDepartment]:
        """Those without a recognized person, which Advanced leaves out of the list."""
        listed = self.directory_departments()
        return {guid: department for guid, department in self._found.items() if guid not in listed}

    def _work_out_departments(self) -> dict[Guid, DirectoryDepartment]:
        nesting = self.nesting()
        departments = {
            group.guid: _department(group, DepartmentKind.GROUP, *nesting.effective(group.guid))
            for group in self.groups.values()
            if group.department
        }
        people = ((person.guid, person.dn) for person in self.people.values())
        inside = below(people, self.units.values())
        for unit in self.units.values():
            departments[unit.guid] = _department(unit, DepartmentKind.OU, *inside[unit.guid])
        if self.departments is not None and len(departments) > 1:
            base = departments.get(self.departments.guid)
            if base is not None and base.kind is DepartmentKind.OU and not base.members:
                del departments[base.guid]
        self._found = departments
        if not self.advanced:
            return departments
        return {guid: department for guid, department in departments.items() if department.members}


def _department(
    source: Group | Unit,
    kind: DepartmentKind,
    members: frozenset[Guid],
    via: Mapping[Guid, Path],
) -> DirectoryDepartment:
    return DirectoryDepartment(
        guid=source.guid,
        dn=source.dn,
        name=source.name,
        kind=kind,
        members=members,
        via=via,
        path=dn_syntax.path(source.dn),
        changed=source.changed,
    )
