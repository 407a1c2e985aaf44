"""Compare two snapshots: do they differ in anything that could lead to a plan?"""

from __future__ import annotations

from operator import attrgetter

from dirclient.model.directory_objects import Guid, Person, Snapshot

_RELEVANT = attrgetter(
    *(name for name in Person.__dataclass_fields__ if name not in ("changed", "usn"))
)


def differ(before: Snapshot, after: Snapshot) -> bool:
    """Return whether anything but bookkeeping (`changed`, `usn`) is different."""
    if before.people.keys() != after.people.keys() or before.hidden != after.hidden:
        return True
    if _departments(before) != _departments(after):
        return True
    people = before.people
    return any(
        person is not people[guid] and _RELEVANT(person) != _RELEVANT(people[guid])
        for guid, person in after.people.items()
    )


def _departments(snapshot: Snapshot) -> dict[Guid, tuple[object, ...]]:
    return {
        guid: (d.dn, d.name, d.members, d.via, d.path) for guid, d in snapshot.departments.items()
    }
