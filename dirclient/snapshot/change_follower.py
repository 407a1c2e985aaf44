"""Brings a picture up to date by reading only what changed since a cursor.

What changed is asked of the whole domain, not of the search DN: somebody who moved out of it is
seen nowhere else. Membership is followed from the group's side, for a new member's own entry does
not change. Whatever cannot be followed exactly is not guessed: `follow` returns None, and a
complete read finds out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Set
from datetime import UTC, datetime, timedelta

from dirclient.mapping.groups import Group
from dirclient.mapping.person_mapping import generalized_time
from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.directory_objects import Cursor, Guid
from dirclient.operations.search_base import BaseKind, kind_of
from dirclient.snapshot.bulk_search import CHUNK, Scan
from dirclient.snapshot.profile_searches import chunks
from dirclient.snapshot.read_state import Picture
from dirclient.wire import decode, dn_syntax
from dirclient.wire.decode import Control, Entry
from dirclient.wire.filters import Filter, any_of, eq, ge

SHOW_DELETED = Control(decode.SHOW_DELETED)
"""Deleted objects too, where the service account may see them (MS-ADTS 3.1.1.3.4.1.14)."""
MOST_NEWCOMERS = 2000
"""New members of the user group that are looked up one by one in chunks; more: complete read."""
OVERLAP = timedelta(seconds=60)
"""Looked at again where several OpenLDAP servers write: a replicated change may come late."""
CLOCKS_APART = timedelta(minutes=5)
"""How far a server's clock may be from ours where only the clock tells what changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Since:
    """The changes after a cursor. `filter` finds it; `made` tells whether an entry is newer."""

    filter: Filter
    made: Callable[[Entry], bool]

    @classmethod
    def of(cls, cursor: Cursor, is_ad: bool) -> Since | None:
        """For a cursor; None where it does not say."""
        if is_ad:
            usn = cursor.usn
            return cls(ge("uSNChanged", usn + 1), lambda entry: entry.integer("usncreated") > usn)
        start = _instant_of(cursor)
        if start is None:
            return None
        stamp = start.strftime("%Y%m%d%H%M%SZ")
        return cls(
            ge("modifyTimestamp", stamp),
            lambda entry: (entry.text("createtimestamp") or "") >= stamp,
        )


def _instant_of(cursor: Cursor) -> datetime | None:
    """From when on OpenLDAP's entries are looked at again."""
    stamps = [csn.partition(b"#")[0].decode("ascii", "replace") for csn in cursor.cookie.split()]
    instants = [instant for stamp in stamps if (instant := generalized_time(stamp))]
    if len(instants) != len(stamps):
        return None
    if instants:
        return max(instants) - (OVERLAP if len(instants) > 1 else timedelta())
    return datetime.fromtimestamp(cursor.usn, UTC) - CLOCKS_APART if cursor.usn else None


def follow(scan: Scan, before: Picture, cursor: Cursor) -> Picture | None:
    """The picture as it is now; the same one where nothing in it changed; None: read completely.

    Raises `Incomplete`. Costs one search, and with changes a few more.
    """
    since = Since.of(cursor, scan.preset.is_ad)
    return None if since is None else _Following(scan, before, since).run()


class _Following:
    """One pass of catching up. It changes `now`; `before` stays as it was."""

    def __init__(self, scan: Scan, before: Picture, since: Since) -> None:
        self.scan = scan
        self.before = before
        self.now = before.copy()
        self.since = since
        self.people: dict[Guid, Entry] = {}
        self.groups: dict[Guid, str] = {}
        self.units: dict[Guid, str] = {}
        self.gone: set[Guid] = set()
        self.touched = False

    def run(self) -> Picture | None:
        self.touched = self.now.expire(self.scan.now)
        containers: dict[Guid, Entry] = {}
        shown = (SHOW_DELETED,) if self.scan.preset.is_ad else ()
        for entry in self.scan.everywhere(
            self.now, self._changed_filter(), self._attributes(), controls=shown, all_there_is=True
        ):
            self._sort(entry, containers)
        if self._base_changed() or not self._move(containers):
            return None
        self._drop_gone()
        if not self._follow_groups():
            return None
        self._follow_people()
        return self.now if self.touched else self.before

    # -- what changed

    def _changed_filter(self) -> Filter:
        scan = self.scan
        kinds = [scan.preset.person_filter, scan.preset.any_group_filter, scan.place_filter()]
        if scan.preset.is_ad:
            kinds.append(eq("isDeleted", "TRUE"))
        return self.since.filter & any_of(kinds)

    def _attributes(self) -> tuple[str, ...]:
        """Of people everything; of a group not yet its members, for it may not matter."""
        extra = ("isdeleted", "usncreated") if self.scan.preset.is_ad else ("createtimestamp",)
        return ("objectclass", *self.scan.person_attributes, *extra)

    def _sort(self, entry: Entry, containers: dict[Guid, Entry]) -> None:
        guid = self.scan.preset.guid(entry)
        if guid is None:
            return  # hidden; where that matters, the complete read says so
        if (entry.text("isdeleted") or "").upper() == "TRUE":
            self.gone.add(guid)
            return
        kind = kind_of(entry)
        if self.scan.preset.is_ad and in_conflict(entry.dn):
            if kind in (None, BaseKind.GROUP):
                self.gone.add(guid)
            elif guid in self.now.places:
                containers[guid] = entry  # what lies below it went with it
            return
        if kind is None:
            self.people[guid] = entry
        elif kind is BaseKind.GROUP:
            self.groups[guid] = entry.dn
        else:
            containers[guid] = entry
            if kind is BaseKind.OU:
                self.units[guid] = entry.dn

    def _base_changed(self) -> bool:
        """Return whether a search DN itself was deleted, renamed or moved."""
        for base in (self.now.users, self.now.departments):
            if base is None:
                continue
            if base.guid in self.gone:
                return True
            dn = self.groups.get(base.guid)
            if dn is not None and dn_syntax.key(dn) != base.key:
                return True
        return False

    # -- containers: what lies below moves without being reported

    def _move(self, containers: dict[Guid, Entry]) -> bool:
        """Follow containers; whether that was possible."""
        moved: list[tuple[Guid, str]] = []
        for guid, entry in containers.items():
            key, known = dn_syntax.key(entry.dn), self.now.places.get(guid)
            if known is None and not self.since.made(entry):
                return False
            if known is None:
                self.now.places[guid] = key
            elif known != key:
                moved.append((guid, entry.dn))
        if not moved:
            return True
        return len(moved) == 1 and not self.now.by_dn and self._relocate(*moved[0])

    def _relocate(self, guid: Guid, dn: str) -> bool:
        """Rewrite the DNs of all that lies below a moved container.

        Only where it stays within the same search DNs; else there is something to be read.
        """
        picture = self.now
        if in_conflict(dn):
            return False
        old, new = picture.places[guid], dn_syntax.key(dn)
        for base in (picture.users, picture.departments):
            if base is None:
                continue
            if dn_syntax.is_under(base.key, old):
                return False
            if dn_syntax.is_under(old, base.key) != dn_syntax.is_under(new, base.key):
                return False
        depth = len(dn_syntax.parse(old))
        for place, key in picture.places.items():
            if dn_syntax.is_under(key, old):
                picture.places[place] = dn_syntax.key(_moved(key, depth, dn))
        for person in list(picture.people.values()):
            if dn_syntax.is_under(dn_syntax.key(person.dn), old):
                moved = dataclasses.replace(person, dn=_moved(person.dn, depth, dn))
                picture.people[person.guid] = moved
        for group in list(picture.groups.values()):
            if dn_syntax.is_under(dn_syntax.key(group.dn), old):
                moved_group = dataclasses.replace(group, dn=_moved(group.dn, depth, dn))
                picture.groups[group.guid] = moved_group
        for unit in list(picture.units.values()):
            if dn_syntax.is_under(dn_syntax.key(unit.dn), old):
                moved_dn = _moved(unit.dn, depth, dn)
                picture.units[unit.guid] = dataclasses.replace(
                    unit, dn=moved_dn, name=dn_syntax.name(moved_dn)
                )
        picture.reshaped()
        self.touched = True
        return True

    def _drop_gone(self) -> None:
        picture = self.now
        for guid in self.gone:
            known = picture.dismiss(guid)
            known = picture.groups.pop(guid, None) is not None or known
            known = picture.units.pop(guid, None) is not None or known
            picture.places.pop(guid, None)
            if known:
                picture.reshaped()
                self.touched = True

    # -- groups and OUs

    def _follow_groups(self) -> bool:
        """Read again the groups that changed and matter; whether that was possible."""
        picture, scan = self.now, self.scan
        refreshed = self._refresh_departments()
        others = self._relevant() - refreshed.keys()
        if others:
            guids = scan.groups_with(picture, others)
            refreshed |= {group.guid: group for group in guids}
            for guid in others - refreshed.keys():
                picture.groups.pop(guid, None)
            picture.reshaped()
            self.touched = True
        if refreshed:
            known = self.before.groups.keys() & refreshed.keys()
            seen = self.before.references(known)
            scan.close_nesting(picture, refreshed.values(), seen)
            self.touched = True
        if picture.users.kind is not BaseKind.GROUP:
            return True
        return self._follow_scope()

    def _refresh_departments(self) -> dict[Guid, Group]:
        """Departments that changed, read whole; those that are none any more, dropped."""
        picture, base = self.now, self.now.departments
        if base is None:
            return {}
        candidates = {
            guid
            for guid, dn in (self.groups | self.units).items()
            if dn_syntax.is_under(dn_syntax.key(dn), base.key)
        }
        groups_by_guid: dict[Guid, Group] = {}
        units_before = dict(picture.units)
        if candidates:
            groups = self.scan.departments_below(picture, base.dn, also=self.since.filter)
            groups_by_guid = {group.guid: group for group in groups}
            self.touched = True
        changed_units = {
            guid for guid, unit in picture.units.items() if units_before.get(guid) is not unit
        }
        for guid in (
            (self.groups.keys() | self.units.keys()) - groups_by_guid.keys() - changed_units
        ):
            unit, group = picture.units.pop(guid, None), picture.groups.get(guid)
            if group is not None and group.department:
                picture.groups[guid] = dataclasses.replace(group, department=False)
            if unit is not None or group is not None:
                picture.reshaped()
                self.touched = True
        return groups_by_guid

    def _relevant(self) -> set[Guid]:
        """Changed groups that are known, or that a known group names."""
        picture = self.now
        relevant = self.groups.keys() & picture.groups.keys()
        unknown = self.groups.keys() - relevant
        if unknown:
            named = picture.references(picture.groups)
            relevant |= {
                guid
                for guid in unknown
                if (dn_syntax.key(self.groups[guid]) if picture.by_dn else guid) in named
            }
        return relevant

    # -- a group as User Search DN

    def _follow_scope(self) -> bool:
        """Dismiss who left the user group, find who came; whether that was possible."""
        picture, scan = self.now, self.scan
        scope_before, scope = self.before.scope_groups(), picture.scope_groups()
        named_before = self.before.references(scope_before)
        named = picture.references(scope)
        if scope == scope_before and named == named_before:
            return True
        for guid in picture.out_of_scope_guids():
            picture.dismiss(guid)
            self.touched = True
        joined = [picture.groups[guid] for guid in sorted(scope - scope_before)]
        newcomers = named - named_before - self._known_references(joined)
        if len(newcomers) > MOST_NEWCOMERS:
            return False
        count = len(picture.people)
        if joined:
            scan.people_of(picture, joined)
        for part in chunks(sorted(newcomers), CHUNK):
            scan.people_with(picture, part)
        self.touched = self.touched or len(picture.people) != count
        return True

    def _known_references(self, joined: Iterable[Group]) -> set[str]:
        """References that need not be looked up: groups, and whoever comes with a whole group."""
        known = set(self.now.group_index())
        return known.union(*(group.members for group in joined))

    # -- people

    def _follow_people(self) -> None:
        """Take in changed people who are in scope, dismiss those who are not any more."""
        if not self.people:
            return
        picture, scan = self.now, self.scan
        accepted = self._accepted()
        scope = picture.scope_groups()
        named = picture.references(scope)
        rids = {picture.groups[guid].rid for guid in scope} - {0}
        for guid, entry in self.people.items():
            key = dn_syntax.key(entry.dn)
            if picture.users.kind is BaseKind.GROUP:
                inside = guid in named or key in named or entry.integer("primarygroupid") in rids
            else:
                inside = dn_syntax.is_under(key, picture.users.key)
            if inside and guid in accepted:
                scan.admit(picture, entry)
                self.touched = True
            elif picture.dismiss(guid):
                self.touched = True
        scan.refresh_lock_state(picture, [guid for guid in self.people if guid in picture.people])

    def _accepted(self) -> Set[str]:
        """Which of the changed people the directory counts as people by the whole filter."""
        scan = self.scan
        if not scan.profile.advanced:
            return self.people.keys()
        return scan.identities(self.now, self.since.filter & scan.person_filter())


def _moved(dn: str, depth: int, place: str) -> str:
    """A DN whose last `depth` RDNs were those of a container that is now at `place`."""
    rest, rdns = dn, []
    while rest:
        first, rest = dn_syntax.split(rest)
        rdns.append(first)
    return ",".join((*rdns[: len(rdns) - depth], place))
