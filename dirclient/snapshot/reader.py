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
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime

from dirclient.config import presets
from dirclient.config.ports import Progress
from dirclient.config.profile import Profile
from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.pool import Pool
from dirclient.mapping.groups import plain_dn, reference
from dirclient.model.directory_objects import Cursor, Guid, Snapshot, Unread
from dirclient.model.errors import Incomplete, Misconfigured, Unavailable
from dirclient.operations.replication_state import read_vector
from dirclient.operations.rootdse import RootDse, Roots
from dirclient.operations.search_base import Base, BaseKind, DirectoryResolver
from dirclient.snapshot.bulk_search import Scan
from dirclient.snapshot.read_state import Picture
from dirclient.wire import decode
from dirclient.wire.decode import Control
from dirclient.wire.filters import EVERYTHING

SHOW_DELETED = Control(decode.SHOW_DELETED, None, critical=True)
DELETED_OBJECTS = "<WKGUID=18e2ea80684f11d2b9aa00c04f79f805,{domain}>"
"""The container of deleted objects by its well-known GUID (MS-ADTS 6.1.1.4)."""


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


Settle = Callable[[Scan, Picture, Cursor], Picture | None]
"""Brings a picture up to date with what changed since the cursor; None where it cannot."""


class DirectoryReader:
    """`dirclient.config.ports.Reader` over LDAP.

    AD's pages are not of one moment: somebody moved between two of them could be missed. So what
    changed while reading is looked at once more, by `allocate`, before the picture is complete.
    """

    def __init__(
        self,
        profile: Profile,
        pool: Pool,
        roots: Roots,
        resolver: DirectoryResolver,
        settle: Settle,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._profile = profile
        self._pool = pool
        self._roots = roots
        self._resolver = resolver
        self._settle = settle
        self._clock = clock

    def read(self, progress: Progress | None = None, after: Collection[str] = ()) -> Snapshot:
        """See `ports.Reader`. Raises `Incomplete`, `Misconfigured`, `Unavailable`."""
        with _without_collector():
            return self._pool.ask(lambda connection: self._read(connection, progress, after))

    def _read(
        self, connection: Connection, progress: Progress | None, after: Collection[str]
    ) -> Snapshot:
        reading = self.begin(connection, progress)
        try:
            reading.compare(after)
            reading.people()
            reading.departments()
            return reading.finish()
        except Unavailable as gone:
            raise Incomplete(f"The directory was lost while it was read. {gone}") from gone

    def begin(self, connection: Connection, progress: Progress | None = None) -> Reading:
        """A read on this connection, to be done part by part."""
        return Reading(
            self._profile,
            connection,
            self._roots,
            self._resolver,
            self._settle,
            self._clock(),
            progress or (lambda *_: None),
        )


class Reading:
    """One read in its parts: `people()`, then `departments()`, then `finish()`."""

    def __init__(
        self,
        profile: Profile,
        connection: Connection,
        roots: Roots,
        resolver: DirectoryResolver,
        settle: Settle,
        now: datetime,
        progress: Progress,
    ) -> None:
        self._profile = profile
        self._preset = presets.of(profile)
        self._connection = connection
        self._roots = roots
        self._resolver = resolver
        self._settle = settle
        self._now = now
        self._progress = progress
        self._operations, self._referrals = connection.operations, connection.referrals
        self.root = roots.look(connection)
        self._scan = Scan(profile, connection, self.root, now)
        self._back_links: set[Guid] = set()
        self._vector: Mapping[str, int] = {}
        self.picture: Picture

    def compare(self, after: Collection[str]) -> None:
        """Learn how far this server has followed others: first, to claim no more than is read."""
        others = self.root.read_only or any(other != self.root.server_id for other in after)
        if self._preset.is_ad and others:
            self._vector = read_vector(self._connection, self.root.domain)

    def people(self) -> Picture:
        """Everyone recognized."""
        users = self._locate("user_search_dn")
        picture = Picture(users, None, self._profile.advanced, by_dn=not self._preset.is_ad)
        self.picture = picture
        scan = self._scan
        if self.root.trackable or not self._preset.is_ad:
            scan.places(picture)  # first, so that a move during the read is noticed
        if users.kind is BaseKind.GROUP:
            scan.close_nesting(picture, [scan.group_at(picture, users.dn)])
            self._people_of_group()
        else:
            scan.people_below(picture, users.dn, lambda n: self._progress("people", n, 0))
        self._progress("people", len(picture.people), len(picture.people))
        return picture

    def departments(self) -> Picture:
        """Departments and all that is nested in them; none while their search DN is gone."""
        picture, scan = self.picture, self._scan
        if not self._profile.department_search_dn.strip():
            return picture
        try:
            picture.departments = self._locate("department_search_dn")
        except Misconfigured as gone:
            picture.unread = Unread(gone.field, str(gone), gone.remedy)
            return picture
        scan.recognize(picture)
        groups = scan.departments_below(
            picture, picture.departments.dn, lambda n: self._progress("departments", n, 0)
        )
        scan.close_nesting(picture, groups)
        return picture

    def finish(self) -> Snapshot:
        """The snapshot, once it is sure that nothing moved meanwhile."""
        picture, scan, connection = self.picture, self._scan, self._connection
        picture.hidden = self._hidden()
        picture, root = self._settled()
        self._scan.refresh_lock_state(picture, list(picture.people))
        if unexplained := self._back_links - picture.people.keys():
            raise Incomplete(
                f"{len(unexplained)} people say that they are members of {picture.users.dn}, "
                "but the group does not name them: the service account may not read its members."
            )
        picture.swept = root.cursor_at(self._now)
        return Snapshot(
            people=picture.people,
            departments=picture.directory_departments(),
            unlisted=picture.unlisted_departments(),
            cursor=picture.swept,
            read_at=self._now,
            deletions_visible=self._preset.is_ad and sees_deletions(connection, root),
            operations=connection.operations - self._operations,
            clock_offset=root.offset or 0.0,
            warnings=_warnings(scan, picture, connection.referrals - self._referrals),
            hidden=picture.hidden,
            unread=picture.unread,
            server=connection.server,
            vector=self._vector,
            sources=read_vector(connection, root.domain) if root.read_only else {},
            memory=picture,
        )

    def _locate(self, field: str) -> Base:
        text: str = getattr(self._profile, field)
        return self._resolver.locate(self._connection, self.root, text, field)

    def _people_of_group(self) -> None:
        """Admit the user group's people. Raises `Incomplete` where some cannot be seen."""
        picture, scan = self.picture, self._scan
        groups = [picture.groups[guid] for guid in sorted(picture.scope_groups())]
        guids = scan.people_of(picture, groups, lambda n: self._progress("people", n, 0))
        self._back_links = guids - picture.people.keys()
        if not self._preset.is_ad or picture.by_dn:
            return
        named = picture.references(group.guid for group in groups)
        unseen = named - picture.people.keys() - picture.groups.keys() - scan.foreign
        if unseen:
            unseen -= scan.visible_members(picture, groups)
        if unseen:
            raise _half_read(scan, picture, unseen)

    def _hidden(self) -> frozenset[Guid]:
        """Return who is named as a member and lies below the search DNs, but cannot be seen (AD).

        A deleted account leaves its groups; one that only became unreadable stays named.
        """
        picture, scan = self.picture, self._scan
        if not self._preset.is_ad or picture.by_dn:
            return frozenset()
        open_ends = scan.strangers - picture.people.keys() - picture.groups.keys()
        unseen = open_ends - scan.still_there(picture, open_ends)
        return frozenset(map(Guid, unseen))

    def _settled(self) -> tuple[Picture, RootDse]:
        """The picture with what changed during the read, and how far that is."""
        root, picture = self.root, self.picture
        if not root.trackable:
            return picture, root
        after = self._roots.look(self._connection)
        if after.cursor == root.cursor:
            return picture, root
        settled = None
        if after.server_id == root.server_id and after.usn >= root.usn:
            settled = self._settle(self._scan, picture, root.cursor)
        if settled is None:
            raise Incomplete("The directory changed too much while it was read.")
        return settled, after


def sees_deletions(connection: Connection, root: RootDse) -> bool:
    """Return whether the service account may look into Deleted Objects (AD)."""
    place = DELETED_OBJECTS.format(domain=root.domain)
    # A directory that only emulates AD may know neither the place nor the control.
    others = result_codes.HIDDEN | {result_codes.INVALID_DN_SYNTAX, result_codes.UNKNOWN_CONTROL}
    answer = connection.search(
        place, EVERYTHING, ("objectClass",), "base", (SHOW_DELETED,), expecting=others
    )
    # Everyone is shown that the container exists; who may look inside sees what it is.
    return any(entry.attributes for entry in answer.entries)


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
    if scan.conflicts:
        first = sorted(scan.conflicts)[0]
        warnings.append(
            f"{len(scan.conflicts)} replication-conflict objects (CNF) were left out, such as "
            f"{first}: merge what they hold into the real ones, and delete them in AD."
        )
    if picture.hidden:
        warnings.append(
            f"{len(picture.hidden)} members of departments lie below the search DNs, but the "
            "service account may not see them."
        )
    return tuple(warnings)
