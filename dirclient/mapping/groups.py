"""Members of groups and OUs: nested groups, cycles, primary groups, whole subtrees. Pure.

Membership is computed here, from each group's own list of direct members, because no server
does: AD leaves the primary group out of `member` (MS-ADTS 3.1.1.4.5.11), its in-chain rule costs
a query for each group, and OpenLDAP knows no nesting at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from dirclient.model.directory_objects import Guid
from dirclient.model.errors import Incomplete
from dirclient.wire import dn_syntax
from dirclient.wire.decode import Entry

Path = tuple[str, ...]
"""Names of nested groups or OUs, outermost first, that lead to a member who is not direct."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group with its direct members, as it was read.

    `members` are references as the directory gives them: GUIDs (AD) or DN keys (elsewhere).
    `rid` is the last part of its SID within the domain, 0 where it has none that could be a
    primary group. `department` says that it lies in the Department Search DN and may be imported.
    """

    guid: Guid
    dn: str
    name: str
    members: frozenset[str] = frozenset()
    rid: int = 0
    department: bool = False
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """One OU (`department`), or another container that people may lie in."""

    guid: Guid
    dn: str
    name: str
    department: bool = False
    changed: datetime | None = None


class Nesting:
    """The graph of groups. Build it once from everything read; ask for each group.

    `person_of` finds the recognized person behind a reference and `group_of` the group; what
    neither knows (computers, contacts, people out of scope) is no member. `primary` holds the
    people whose primary group has this RID.
    """

    def __init__(
        self,
        groups: Mapping[Guid, Group],
        person_of: Callable[[str], Guid | None],
        group_of: Callable[[str], Guid | None],
        primary: Mapping[int, Iterable[Guid]],
    ) -> None:
        self._groups = groups
        self._person_of = person_of
        self._group_of = group_of
        self._primary = primary
        self._known: dict[Guid, tuple[frozenset[Guid], tuple[Guid, ...]]] = {}

    def _direct(self, group: Guid) -> tuple[frozenset[Guid], tuple[Guid, ...]]:
        """The people and the groups that are members without going through another group."""
        members = self._known.get(group)
        if members is None:
            record = self._groups[group]
            people: set[Guid] = set()
            inner: set[Guid] = set()
            for reference in record.members:
                person = self._person_of(reference)
                if person is not None:
                    people.add(person)
                elif (nested := self._group_of(reference)) is not None:
                    inner.add(nested)
            if record.rid:
                people.update(self._primary.get(record.rid, ()))
            members = self._known[group] = (frozenset(people), tuple(inner))
        return members

    def effective(self, root: Guid) -> tuple[frozenset[Guid], dict[Guid, Path]]:
        """All members of a group, and for each who is not direct the shortest path to them.

        Of several shortest paths the first in alphabetical order is told, so that the order in
        which a server lists members changes nothing. Cycles end where they began.
        """
        people, inner = self._direct(root)
        if not inner:
            return people, {}
        members = set(people)
        via: dict[Guid, Path] = {}
        for path, group in self._levels(root):
            for person in self._direct(group)[0]:
                if person not in members:
                    members.add(person)
                    via[person] = path
        return frozenset(members), via

    def closure(self, root: Guid) -> frozenset[Guid]:
        """The group and every group nested in it."""
        return frozenset((root, *(group for _, group in self._levels(root))))

    def _levels(self, root: Guid) -> Iterable[tuple[Path, Guid]]:
        """Nested groups, nearest first, then by path: each once, with its path."""
        seen = {root}
        frontier: list[tuple[Path, Guid]] = [((), root)]
        while frontier:
            paths: dict[Guid, Path] = {}
            for path, group in frontier:
                for nested in self._direct(group)[1]:
                    if nested not in seen:
                        longer = (*path, self._groups[nested].name)
                        if nested not in paths or longer < paths[nested]:
                            paths[nested] = longer
            seen.update(paths)
            frontier = sorted((path, group) for group, path in paths.items())
            yield from frontier


def below(
    people: Iterable[tuple[Guid, str]], units: Iterable[Unit]
) -> dict[Guid, tuple[frozenset[Guid], dict[Guid, Path]]]:
    """For each OU the people anywhere below it, and the names of the OUs in between.

    `people` are identities with their DNs.
    """
    by_key = {dn_syntax.key(unit.dn): unit.guid for unit in units}
    members: dict[Guid, set[Guid]] = {guid: set() for guid in by_key.values()}
    via: dict[Guid, dict[Guid, Path]] = {guid: {} for guid in by_key.values()}
    places: dict[str, tuple[tuple[Guid, Path], ...]] = {}
    for person, dn in people:
        parent = dn_syntax.split(dn)[1]
        place = places.get(parent)
        if place is None:
            place = places[parent] = _containing(parent, by_key)
        for unit, path in place:
            members[unit].add(person)
            if path:
                via[unit][person] = path
    return {unit: (frozenset(members[unit]), via[unit]) for unit in members}


def _containing(place: str, by_key: Mapping[str, Guid]) -> tuple[tuple[Guid, Path], ...]:
    """The OUs at or above a place, each with the names of the containers that lead down to it."""
    paths: list[tuple[Guid, Path]] = []
    path: Path = ()
    while place:
        unit = by_key.get(dn_syntax.key(place))
        if unit is not None:
            paths.append((unit, path))
        path = (dn_syntax.name(place), *path)
        place = dn_syntax.split(place)[1]
    return tuple(paths)


# ---- reading member lists ----------------------------------------------------------------------

_RANGE = re.compile(r"(?P<name>[^;]+);range=(?P<first>\d+)-(?P<last>\d+|\*)")
_GUID = b"<GUID="


@dataclass(frozen=True, slots=True)
class MemberPart:
    """Values of a member attribute from one answer. `more` is where to go on; -1: it ended."""

    values: list[bytes]
    more: int = -1


def member_part(entry: Entry, attribute: str, expected: int = 0) -> MemberPart:
    """Return what an entry holds of a member attribute, and whether the server cut it.

    Windows gives at most 1,500 values at once, as `member;range=0-1499`, and an empty `member`
    beside it (MS-ADTS 3.1.1.3.1.3.3). `expected` is where this part must begin. Raises
    `Incomplete` for a part that begins elsewhere or does not advance.
    """
    plain = entry.attributes.get(attribute)
    if plain:
        return MemberPart(plain)
    for name, values in entry.attributes.items():
        match = _RANGE.fullmatch(name)
        if match is None or match["name"] != attribute:
            continue
        first, last = int(match["first"]), match["last"]
        if first != expected:
            raise Incomplete(f"{entry.dn}: members from {expected} on were asked, {first} came.")
        if last == "*":
            return MemberPart(values)
        if int(last) - first + 1 != len(values) or not values:
            raise Incomplete(f"{entry.dn}: members {first} to {last} are {len(values)} values.")
        return MemberPart(values, int(last) + 1)
    return MemberPart([])


def reference(value: bytes) -> str:
    """The reference in a member value: a GUID of an extended DN (MS-ADTS 3.1.1.3.4.1.5), else
    the DN's key."""
    if value.startswith(_GUID):
        return value[6:42].decode("ascii", "replace").lower()
    return dn_syntax.key(value.decode("utf-8", "replace"))


def plain_dn(text: str) -> str:
    """A DN without the `<GUID=...>;<SID=...>;` that the extended DN control puts before it."""
    while text.startswith("<"):
        _, end, rest = text.partition(">;")
        if not end:
            break
        text = rest
    return text


def rid_of(sid: bytes | None) -> int:
    """The last part of a domain's SID, S-1-5-21-a-b-c-RID (MS-DTYP 2.4.2.2); else 0.

    Built-in groups (S-1-5-32-…) have RIDs of their own that mean nobody's primary group.
    """
    if sid is None or len(sid) != 28 or sid[:2] != b"\x01\x05" or sid[8:12] != b"\x15\0\0\0":
        return 0
    return int.from_bytes(sid[24:28], "little")
