"""The searches of a complete read, each on one connection and each to its proven end.

Every method costs a number of operations that depends on pages and on large groups, never on a
query for each person or group. Anything but a clean end raises `Incomplete`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from datetime import datetime

from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.mapping.groups import (
    Group,
    MemberPart,
    Unit,
    member_part,
    plain_dn,
    reference,
    rid_of,
)
from dirclient.mapping.person_mapping import UAC_LOCKED, filetime, generalized_time
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import Incomplete
from dirclient.operations.rootdse import RootDse
from dirclient.snapshot import profile_searches
from dirclient.snapshot.read_state import Picture
from dirclient.wire import dn_syntax
from dirclient.wire.decode import Entry
from dirclient.wire.filters import EVERYTHING, Filter, any_of, eq, ge, present

GROUP_PAGE = 100
"""Groups asked for at once: each may bring 1,500 members along."""
CHUNK = 100
"""Objects named in one filter."""

_NEVER = (0, 0x7FFFFFFFFFFFFFFF)

Count = Callable[[int], None]
"""Told how many there are so far."""


def uncounted(_: int) -> None:
    """Nobody wants to know."""


class Scan(profile_searches.Searches):
    """Reads of one profile on one connection."""

    def __init__(
        self, profile: Profile, connection: Connection, root: RootDse, now: datetime
    ) -> None:
        super().__init__(profile, connection, root, now)
        self.foreign: set[str] = set()  # members that live in another domain
        self.strangers: set[str] = set()  # members below the search DNs who are nobody known
        self._nested: dict[str, Guid] | None = None
        self._same: dict[str, str] = {}  # one string for each reference, however often it occurs
        self._suffix = root.domain.lower().encode()

    # -- people

    def people_below(self, picture: Picture, base: str, count: Count = uncounted) -> None:
        """Admit everyone below a place."""
        for entries in self.pages(base, self.person_filter(), self.person_attributes):
            for entry in entries:
                self.admit(picture, entry)
            count(len(picture.people))

    def people_of(
        self, picture: Picture, groups: Iterable[Group], count: Count = uncounted
    ) -> set[Guid]:
        """Admit the people whom these groups name; return whom the directory says they have.

        AD finds them by the back link `memberOf` and by primary group; elsewhere everyone is
        looked at. Who is found without being named is returned only: the caller must explain it.
        """
        groups = list(groups)
        named = set().union(*(group.members for group in groups)) if groups else set()
        rids = {group.rid for group in groups if group.rid}
        guids: set[Guid] = set()
        for search in self.member_searches(groups):
            filter_ = self.person_filter() & search
            for entry in self.everywhere(picture, filter_, self.person_attributes):
                guid = self.identity(entry)
                by_primary = entry.integer("primarygroupid") in rids
                if by_primary or guid in named or dn_syntax.key(entry.dn) in named:
                    self.admit(picture, entry)
                    guids.add(guid)
                elif self.preset.is_ad:
                    guids.add(guid)
                if len(guids) % profile_searches.PEOPLE_PAGE == 0:
                    count(len(picture.people))
        return guids

    def people_with(self, picture: Picture, references: Sequence[str]) -> None:
        """Admit the people behind these member references, as far as they are people."""
        if picture.by_dn:
            search = any_of(eq("entryDN", reference) for reference in references)
        else:
            search = any_of(self.preset.by_guid(Guid(reference)) for reference in references)
        filter_ = self.person_filter() & search
        for entry in self.everywhere(picture, filter_, self.person_attributes):
            self.admit(picture, entry)

    def member_searches(self, groups: Sequence[Group]) -> Iterator[Filter]:
        """Filters that find whoever is a direct member of one of the groups."""
        if not self.preset.is_ad:
            yield EVERYTHING
            return
        for part in profile_searches.chunks(groups, CHUNK):
            yield any_of(
                clause
                for group in part
                for clause in (
                    eq("memberOf", group.dn),
                    *([eq("primaryGroupID", group.rid)] if group.rid else []),
                )
            )

    def visible_members(self, picture: Picture, groups: Iterable[Group]) -> set[str]:
        """Identities of everything, people or not, that is shown as a direct member (AD)."""
        seen: set[str] = set()
        for part in profile_searches.chunks(list(groups), CHUNK):
            search = any_of(eq("memberOf", group.dn) for group in part)
            seen |= self.identities(picture, search)
        return seen

    def admit(self, picture: Picture, entry: Entry) -> Guid:
        """Take in one person's entry. Raises `Incomplete` where essentials cannot be read."""
        person = self.reader.person(entry, self.now)
        if person is None:
            raise self.unreadable(entry, self.preset.identity_attribute)
        rid, end = 0, None
        if self.preset.is_ad:
            # It is never absent: an account whose state is hidden cannot be told from a leaver's.
            if "useraccountcontrol" not in entry.attributes:
                raise self.unreadable(entry, "userAccountControl")
            rid = entry.integer("primarygroupid")
            ticks = entry.integer("accountexpires")
            if ticks not in _NEVER and (when := filetime(ticks)) > self.now:
                end = when
        picture.admit(person, rid, end)
        return person.guid

    def refresh_lock_state(self, picture: Picture, guids: Iterable[Guid]) -> None:
        """Clear `locked` of people whose AD lockout has ended.

        The server computes the bits that tell, half a millisecond for each person. So one search
        asks for them only for people whose lockoutTime is set; mostly there are none.
        """
        doubtful = [guid for guid in guids if picture.people[guid].locked]
        if not doubtful or not self.preset.is_ad:
            return
        (computed,) = self.preset.exact_state
        filter_ = self.person_filter() & ge("lockoutTime", "1")
        attributes = (*self.identity_alone, computed)
        locked = {
            self.identity(entry)
            for entry in self.everywhere(picture, filter_, attributes)
            if entry.integer(computed) & UAC_LOCKED
        }
        for guid in doubtful:
            if guid not in locked:
                picture.people[guid] = replace(picture.people[guid], locked=False)

    # -- groups and OUs

    def recognize(self, picture: Picture) -> None:
        """Intern the references by which groups name these people: saves memory and look-ups."""
        self._same = {name: name for name in picture.references_to_people()}

    def departments_below(
        self,
        picture: Picture,
        base: str,
        count: Count = uncounted,
        also: Filter | None = None,
    ) -> list[Group]:
        """Take in the groups and OUs below a place, itself included; return the groups.

        `also` narrows them further.
        """
        filter_ = self.department_filter()
        if also is not None:
            filter_ &= also
        groups = []
        for entries in self.pages(base, filter_, self.group_attributes, GROUP_PAGE, self.controls):
            for entry in entries:
                group = self.take_department(picture, entry)
                if group is not None:
                    groups.append(group)
            count(len(picture.units) + len(picture.groups))
        return groups

    def take_department(self, picture: Picture, entry: Entry) -> Group | None:
        """Take in one directory department; return it where it is a group."""
        classes = {value.lower() for value in entry.attributes.get("objectclass", ())}
        if b"organizationalunit" not in classes:
            return self.add_group(picture, entry, department=True)
        dn = plain_dn(entry.dn)
        guid = self.identity(entry)
        changed = generalized_time(entry.text(self.preset.changed))
        picture.units[guid] = Unit(guid, dn, dn_syntax.name(dn), True, changed)
        picture.regrouped()
        return None

    def add_group(self, picture: Picture, entry: Entry, *, department: bool) -> Group:
        """Take in one group with all its direct members, however many answers that takes."""
        dn = plain_dn(entry.dn)
        guid = self.identity(entry)
        members: set[str] = set()
        same = self._same
        for attribute in self.preset.members:
            for value in self._member_values(entry, dn, attribute):
                name = same.get(value.decode("utf-8", "replace")) or reference(value)
                if value.startswith(b"<GUID="):
                    self._note_stranger(picture, name, value)
                else:
                    picture.by_dn = True
                members.add(same.setdefault(name, name))
        group = Group(
            guid=guid,
            dn=dn,
            name=dn_syntax.name(dn),
            members=frozenset(members),
            rid=rid_of(entry.octets("objectsid")),
            department=department,
            changed=generalized_time(entry.text(self.preset.changed)),
        )
        picture.groups[guid] = group
        picture.regrouped()
        return group

    def _member_values(self, entry: Entry, dn: str, attribute: str) -> Iterator[bytes]:
        """All values, following ranges to their end (MS-ADTS 3.1.1.3.1.3.3)."""
        part = member_part(entry, attribute)
        yield from part.values
        while part.more >= 0:
            part = self._next_part(dn, attribute, part.more)
            yield from part.values

    def _note_stranger(self, picture: Picture, name: str, value: bytes) -> None:
        """Remember a member who is nobody known, by where their DN says that they are."""
        if name in picture.people:
            return
        place = value.lower()
        if not place.endswith(self._suffix):
            self.foreign.add(name)
        elif any(
            place.endswith(b"," + base.dn.lower().encode())
            for base in (picture.users, picture.departments)
            if base is not None
        ):
            self.strangers.add(name)

    def _next_part(self, dn: str, attribute: str, at: int) -> MemberPart:
        ranged = f"{attribute};range={at}-*"
        answer = self.connection.search(
            dn, EVERYTHING, (ranged,), "base", self.controls, expecting=result_codes.HIDDEN
        )
        if len(answer.entries) != 1:
            raise Incomplete(
                f"The members of {dn} from number {at} on could not be read "
                f"(result code {answer.code}). {answer.message}".rstrip()
            )
        part = member_part(answer.entries[0], attribute, at)
        if not part.values:
            raise Incomplete(f"The members of {dn} end at number {at} without having ended.")
        return part

    def group_at(self, picture: Picture, dn: str) -> Group:
        """Take in the group with this DN, which must be there."""
        answer = self.connection.search(
            dn,
            EVERYTHING,
            self.group_attributes,
            "base",
            self.controls,
            expecting=result_codes.HIDDEN,
        )
        if len(answer.entries) != 1:
            raise Incomplete(
                f"The group {dn} vanished while it was read. {answer.message}".rstrip()
            )
        return self.add_group(picture, answer.entries[0], department=False)

    def groups_with(self, picture: Picture, guids: Iterable[Guid]) -> list[Group]:
        """Take in the groups with these identities, wherever they are in the domain."""
        groups = []
        for part in profile_searches.chunks(sorted(guids), CHUNK):
            filter_ = self.preset.any_group_filter & any_of(map(self.preset.by_guid, part))
            for entry in self.everywhere(
                picture, filter_, self.group_attributes, GROUP_PAGE, self.controls
            ):
                groups.append(self.add_group(picture, entry, department=False))
        return groups

    def nested_groups(self, picture: Picture) -> dict[str, Guid]:
        """Every group of the domain that may be nested in another, by member reference."""
        filter_ = self.preset.any_group_filter
        if self.preset.is_ad:
            filter_ &= present("memberOf")
        guids: dict[str, Guid] = {}
        for entry in self.everywhere(picture, filter_, self.identity_alone):
            guid = self.preset.guid(entry)
            if guid is not None:
                guids[dn_syntax.key(entry.dn) if picture.by_dn else guid] = guid
        return guids

    def close_nesting(
        self, picture: Picture, groups: Iterable[Group], known: Set[str] = frozenset()
    ) -> None:
        """Take in every group nested in these, level by level, cycles included.

        What `known` names was looked at before.
        """
        level = list(groups)
        while level:
            index = picture.group_index()
            named = set().union(*(group.members for group in level)) - known
            open_ends = [r for r in named if r not in index and picture.person_of(r) is None]
            if not open_ends:
                return
            if self._nested is None:
                self._nested = self.nested_groups(picture)
            guids = {self._nested[r] for r in open_ends if r in self._nested}
            level = self.groups_with(picture, guids)
            if len(level) != len(guids):
                raise Incomplete("Nested groups changed while they were read.")

    def places(self, picture: Picture) -> None:
        """Note where every container is, to notice later when one moves."""
        for entry in self.everywhere(picture, self.place_filter(), self.identity_alone):
            guid = self.preset.guid(entry)
            if guid is not None:
                picture.places[guid] = dn_syntax.key(entry.dn)
