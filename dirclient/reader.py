"""The complete read: everyone recognized and every directory department, or `Incomplete`.

Operations on AD with an OU as User Search DN: root DSE (twice), the two search DNs, pages of
people, pages of departments, the nested groups there are (only when some member is neither a known
person nor a known group), pages of containers, and whether deletions can be seen. With a group
instead, its nesting is read first and its people are found by it. Nothing is asked for each person
or group, but the rest of a member list that the server cut.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from dirclient import adcodes, presets, wire
from dirclient.errors import Incomplete, Unavailable
from dirclient.filters import EVERYTHING
from dirclient.groups import plain_dn, reference
from dirclient.model import Cursor, Guid, Snapshot
from dirclient.picture import Picture
from dirclient.pool import Pool
from dirclient.ports import Progress
from dirclient.profile import Profile
from dirclient.resolve import BaseKind, DirectoryResolver
from dirclient.rootdse import RootDse, Roots
from dirclient.scan import Scan
from dirclient.transport import Connection
from dirclient.wire import Control

SHOW_DELETED = Control(wire.SHOW_DELETED, None, critical=True)
DELETED_OBJECTS = "<WKGUID=18e2ea80684f11d2b9aa00c04f79f805,{domain}>"
"""The container of deleted objects by its well-known GUID (MS-ADTS 6.1.1.4)."""


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


class DirectoryReader:
    """`dirclient.ports.Reader` over LDAP. `settle` brings a picture up to date at the end.

    AD's pages are not of one moment: somebody moved between two of them could be missed. So what
    changed while reading is looked at once more before the picture counts as complete.
    """

    def __init__(
        self,
        profile: Profile,
        pool: Pool,
        roots: Roots,
        resolver: DirectoryResolver,
        settle: Callable[[Scan, Picture, Cursor], Picture | None],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._profile = profile
        self._pool = pool
        self._roots = roots
        self._resolver = resolver
        self._settle = settle
        self._clock = clock
        self._preset = presets.of(profile)

    def read(self, progress: Progress | None = None) -> Snapshot:
        """See `dirclient.ports.Reader`. Raises `Incomplete`, `Misconfigured`, `Unavailable`."""
        with self._pool.searching() as connection, _without_collector():
            before = connection.operations
            try:
                return self._read(connection, progress or (lambda *_: None))
            except Unavailable as gone:
                if connection.operations - before < 2:
                    raise
                raise Incomplete(f"The directory was lost while it was read. {gone}") from gone

    def _read(self, connection: Connection, progress: Progress) -> Snapshot:
        operations, referrals = connection.operations, connection.referrals
        now = self._clock()
        root = self._roots.look(connection)
        scan = Scan(self._profile, connection, root, now)
        picture = self._picture(scan)
        if root.trackable or not self._preset.is_ad:
            scan.places(picture)  # first, so that a move during the read is noticed
        extras: set[Guid] = set()
        if picture.users.kind is BaseKind.GROUP:
            self._departments(scan, picture, progress)
            extras = self._people_of_group(scan, picture, progress)
        else:
            scan.people_below(picture, picture.users.dn, lambda n: progress("people", n, 0))
            self._departments(scan, picture, progress)
        picture.hidden = self._hidden(scan, picture)
        picture, root = self._settled(scan, picture, root)
        if unexplained := extras - picture.people.keys():
            raise Incomplete(
                f"{len(unexplained)} people say that they are members of {picture.users.dn}, "
                "but the group does not name them: the service account may not read its members."
            )
        picture.swept = root.cursor_at(now)
        return Snapshot(
            people=picture.people,
            departments=picture.directory_departments(),
            cursor=root.cursor_at(now),
            read_at=now,
            deletions_visible=self._sees_deletions(connection, root),
            operations=connection.operations - operations,
            clock_offset=root.offset or 0.0,
            warnings=_warnings(scan, picture, connection.referrals - referrals),
            hidden=picture.hidden,
            memory=picture,
        )

    def _picture(self, scan: Scan) -> Picture:
        """An empty picture of what the search DNs turn out to be."""
        profile = self._profile
        connection, root = scan.connection, scan.root
        users = self._resolver.locate(connection, root, profile.user_search_dn, "user_search_dn")
        departments = None
        if profile.department_search_dn.strip():
            departments = self._resolver.locate(
                connection, root, profile.department_search_dn, "department_search_dn"
            )
        return Picture(users, departments, profile.advanced, by_dn=not self._preset.is_ad)

    def _departments(self, scan: Scan, picture: Picture, progress: Progress) -> None:
        """Departments, the user group where there is one, and all that is nested in them."""
        groups = []
        if picture.departments is not None:
            groups = scan.departments_below(
                picture, picture.departments.dn, lambda n: progress("departments", n, 0)
            )
        if picture.users.kind is BaseKind.GROUP and picture.users.guid not in picture.groups:
            groups.append(scan.group_at(picture, picture.users.dn))
        scan.close_nesting(picture, groups)

    def _people_of_group(self, scan: Scan, picture: Picture, progress: Progress) -> set[Guid]:
        """Admit the user group's people; return whom only the back links name."""
        groups = [picture.groups[guid] for guid in sorted(picture.scope_groups())]
        found = scan.people_of(picture, groups, lambda n: progress("people", n, 0))
        if self._preset.is_ad and not picture.by_dn:
            named = picture.references(group.guid for group in groups)
            unseen = named - picture.people.keys() - picture.groups.keys() - scan.foreign
            if unseen:
                unseen -= scan.visible_members(picture, groups)
            if unseen:
                raise _half_read(scan, picture, unseen)
        return found - picture.people.keys()

    def _hidden(self, scan: Scan, picture: Picture) -> frozenset[Guid]:
        """Who is named as a member and lies below the User Search DN, but cannot be seen (AD).

        A deleted account leaves its groups; one that only became unreadable stays named.
        """
        if not self._preset.is_ad or picture.by_dn:
            return frozenset()
        open_ends = scan.strangers - picture.people.keys() - picture.groups.keys()
        unseen = open_ends - scan.still_there(picture, open_ends)
        return frozenset(map(Guid, unseen))

    def _settled(self, scan: Scan, picture: Picture, root: RootDse) -> tuple[Picture, RootDse]:
        """The picture with what changed during the read, and how far that is."""
        if not root.trackable:
            return picture, root
        after = self._roots.look(scan.connection)
        if after.cursor == root.cursor:
            return picture, root
        settled = None
        if after.server_id == root.server_id and after.usn >= root.usn:
            settled = self._settle(scan, picture, root.cursor)
        if settled is None:
            raise Incomplete("The directory changed too much while it was read.")
        return settled, after

    def _sees_deletions(self, connection: Connection, root: RootDse) -> bool:
        """Whether the service account may look into Deleted Objects (AD)."""
        if not self._preset.is_ad:
            return False
        place = DELETED_OBJECTS.format(domain=root.domain)
        answer = connection.search(place, EVERYTHING, ("objectClass",), "base", (SHOW_DELETED,))
        # Everyone is shown that the container exists; who may look inside sees what it is.
        return answer.code == adcodes.SUCCESS and any(one.attributes for one in answer.entries)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Without looking for reference cycles meanwhile.

    A read makes hundreds of thousands of objects that stay and no cycles; walking over all of them
    again and again would cost a third of its time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _half_read(scan: Scan, picture: Picture, unseen: set[str]) -> Incomplete:
    """The user group names people whom the service account may not see."""
    names: list[str] = []
    for guid in picture.scope_groups():
        group = picture.groups[guid]
        if not unseen & group.members or len(names) >= 3:
            continue
        answer = scan.connection.search(
            group.dn, EVERYTHING, scan.preset.members, "base", scan.controls
        )
        for entry in answer.entries:
            values = (value for part in entry.attributes.values() for value in part)
            names += [
                plain_dn(value.decode("utf-8", "replace"))
                for value in values
                if reference(value) in unseen
            ]
    shown = ", ".join(sorted(set(names))[:3])
    return Incomplete(
        f"The service account may not see {len(unseen)} of the members of {picture.users.dn}"
        f"{f', such as {shown}' if shown else ''}: let it read them, or take them out of the group."
    )


def _warnings(scan: Scan, picture: Picture, referrals: int) -> tuple[str, ...]:
    warnings = []
    if referrals:
        warnings.append(
            f"{referrals} referrals to other servers were passed over: what lies in another domain "
            "is not read."
        )
    if scan.foreign:
        warnings.append(
            f"{len(scan.foreign)} members of groups belong to another domain and are passed over."
        )
    if picture.hidden:
        warnings.append(
            f"{len(picture.hidden)} members of departments lie below the User Search DN, but the "
            "service account may not see them."
        )
    return tuple(warnings)
