"""Roles from directory groups. Sync never grants or takes a role that no group is mapped to."""

from __future__ import annotations

from collections.abc import Mapping

from dirclient.model.directory_objects import AccountState, Guid, Snapshot
from provisioning.records import Records, UserRecord

RANK = {"user": 0, "manager": 1, "admin": 2}


class Roles:
    """The role of each person, by the groups that are mapped to roles.

    A mapped group that the snapshot does not show grants nothing and takes nothing: not seeing
    a group is not the same as nobody being in it.
    """

    def __init__(
        self, snapshot: Snapshot, role_groups: Mapping[str, str], records: Records
    ) -> None:
        self._members: dict[str, set[Guid]] = {}
        self._unseen: set[str] = set()
        for guid, role in role_groups.items():
            if role not in RANK:
                continue
            department = snapshot.departments.get(Guid(guid))
            members = self._members.setdefault(role, set())
            if department is None:
                self._unseen.add(role)
            else:
                members |= department.members
        self._keep_admins = bool(self._members) and not self._an_admin_stays(snapshot, records)

    def of(self, guid: Guid, current: str) -> str:
        """The role for a person who has `current_user` now (`user` for someone new)."""
        if not self._members:
            return current
        mapped = self._mapped(guid, current)
        return current if current == "admin" and self._keep_admins else mapped

    def _mapped(self, guid: Guid, current: str) -> str:
        given = [role for role, members in self._members.items() if guid in members]
        best = max(given, key=RANK.__getitem__, default="user")
        may_take = current in self._members and current not in self._unseen
        return best if RANK[best] >= RANK[current] or may_take else current

    def _an_admin_stays(self, snapshot: Snapshot, records: Records) -> bool:
        """Return whether anyone would still be an administrator: the last one is never taken
        away."""
        return any(
            self._admin_after(user, snapshot) for user in records.users.values() if user.active
        )

    def _admin_after(self, user: UserRecord, snapshot: Snapshot) -> bool:
        if user.guid is None or user.scope != "full":
            return user.role == "admin"
        person = snapshot.people.get(Guid(user.guid))
        if person is None or person.state is not AccountState.ACTIVE:
            return False
        return self._mapped(person.guid, user.role) == "admin"
