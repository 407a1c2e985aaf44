"""Follows a directory's changes after a complete read: cheap looks, catching up, sweeping."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime

from dirclient.config import presets
from dirclient.config.ports import ChangeSignal
from dirclient.config.profile import Profile
from dirclient.connection.ldap_connection import Connection
from dirclient.connection.pool import Pool
from dirclient.model.deadline import answer_limit, time_limit
from dirclient.model.directory_objects import Cursor, Guid, Knowledge, Snapshot
from dirclient.model.errors import Incomplete
from dirclient.operations.replication_state import read_vector
from dirclient.operations.rootdse import RootDse, Roots
from dirclient.operations.search_base import BaseKind, DirectoryResolver
from dirclient.snapshot.bulk_search import Scan
from dirclient.snapshot.change_follower import follow
from dirclient.snapshot.read_state import Picture
from dirclient.snapshot.reader import utc_now
from dirclient.wire.filters import any_of

RING_SECONDS = 5.0
"""How long the doorbell may take: one that is silent longer is no reason to wait, but to look for
another server and to raise the alarm."""
LOOK_SECONDS = 10.0
"""How long each answer may take when changes are looked for: small answers, of indexed searches."""

UNCOUNTED_EVERY = 60
"""Seconds after which a server that does not count its changes is taken to have changed."""


class DirectoryWatcher:
    """`ports.Watcher` over LDAP. Everything it needs to remember is in the snapshot."""

    def __init__(
        self,
        profile: Profile,
        pool: Pool,
        roots: Roots,
        resolver: DirectoryResolver,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._profile = profile
        self._pool = pool
        self._roots = roots
        self._resolver = resolver
        self._clock = clock
        self._preset = presets.of(profile)

    def ring(self, cursor: Cursor) -> ChangeSignal:
        """See `ports.Watcher`. On a new connection it costs one or two more reads."""
        with time_limit(RING_SECONDS):
            seen = self._pool.ask(self._roots.read_cursor)
        if seen.usn or seen.cookie:
            return ChangeSignal(seen != cursor, seen.server_id, seen.usn)
        age = self._clock().timestamp() - cursor.usn
        changed = seen.server_id != cursor.server_id or age >= UNCOUNTED_EVERY
        return ChangeSignal(changed, seen.server_id, cursor.usn)

    def knowledge(self) -> Knowledge:
        """See `dirclient.config.ports.Watcher`."""
        with time_limit(RING_SECONDS):
            return self._pool.ask(self._knowledge)

    def _knowledge(self, connection: Connection) -> Knowledge:
        root = self._roots.look(connection)
        vector = read_vector(connection, root.domain) if self._preset.is_ad else {}
        return Knowledge(root.cursor_at(self._clock()), vector, connection.server)

    def catch_up(self, snapshot: Snapshot) -> Snapshot | None:
        """See `dirclient.config.ports.Watcher`."""
        picture = snapshot.memory
        if not isinstance(picture, Picture):
            return None
        with answer_limit(LOOK_SECONDS):
            return self._pool.ask(lambda connection: self._catch_up(connection, snapshot, picture))

    def _catch_up(
        self, connection: Connection, snapshot: Snapshot, picture: Picture
    ) -> Snapshot | None:
        before, now = connection.operations, self._clock()
        root = self._roots.look(connection)
        if not self._follows(root, snapshot.cursor) or self._found_again(connection, root, picture):
            return None
        if root.cursor == snapshot.cursor and not picture.due(now):
            return snapshot
        scan = Scan(self._profile, connection, root, now)
        vector = read_vector(connection, root.domain) if root.read_only else snapshot.vector
        current = follow(scan, picture, snapshot.cursor)
        if current is None:
            return None
        return dataclasses.replace(
            snapshot,
            people=current.people,
            departments=current.directory_departments(),
            unlisted=current.unlisted_departments(),
            cursor=root.cursor_at(now),
            read_at=now,
            operations=connection.operations - before,
            clock_offset=root.offset or 0.0,
            hidden=current.hidden,
            vector=vector,
            sources=read_vector(connection, root.domain) if root.read_only else {},
            memory=current,
        )

    def sweep(self, snapshot: Snapshot) -> Snapshot:
        """See `dirclient.config.ports.Watcher`. Costs one look where nothing changed since the
        last.

        What is not found with its like is looked for once more wherever it may be. An account
        that groups still name is hidden, not gone: AD takes a deleted one out of its groups.
        """
        picture = snapshot.memory
        if not isinstance(picture, Picture):
            raise Incomplete("Only a snapshot that was read by this process can be swept.")
        with answer_limit(LOOK_SECONDS):
            return self._pool.ask(lambda connection: self._sweep(connection, snapshot, picture))

    def _sweep(self, connection: Connection, snapshot: Snapshot, picture: Picture) -> Snapshot:
        before, now = connection.operations, self._clock()
        root = self._roots.look(connection)
        if not self._follows(root, snapshot.cursor):
            raise Incomplete("Another server answers than the one that was read.")
        if root.trackable and root.cursor == picture.swept:
            return snapshot
        swept = without_the_gone(Scan(self._profile, connection, root, now), picture)
        swept.swept = root.cursor
        return dataclasses.replace(
            snapshot,
            people=swept.people,
            departments=swept.directory_departments(),
            unlisted=swept.unlisted_departments(),
            operations=connection.operations - before,
            hidden=swept.hidden,
            memory=swept,
        )

    def _found_again(self, connection: Connection, root: RootDse, picture: Picture) -> bool:
        """Return whether a search DN that was gone is there again. Asks only while one is gone."""
        if picture.unread is None:
            return False
        text = self._profile.department_search_dn
        return self._resolver.exists(connection, root, text, picture.unread.field)

    def _follows(self, root: RootDse, cursor: Cursor) -> bool:
        """Return whether the server is the one that the cursor is of, and not as an old backup left
        it."""
        if root.server_id != cursor.server_id:
            return False
        return not self._preset.is_ad or 0 < cursor.usn <= root.usn


def without_the_gone(scan: Scan, before: Picture) -> Picture:
    """The picture without people, groups and OUs that exist no more."""
    picture = before.copy()
    seen = _everyone(scan, picture)
    others = any_of((scan.preset.any_group_filter, scan.preset.ou_filter))
    seen_others = scan.identities(picture, others)
    missing = picture.people.keys() - seen
    missing |= (picture.groups.keys() | picture.units.keys()) - seen_others
    bases = [base for base in (picture.users, picture.departments) if base is not None]
    if missing:
        missing |= {base.guid for base in bases}
    gone = missing - scan.still_there(picture, missing)
    for base in bases:
        if base.guid in gone:
            raise Incomplete(f"{base.dn} is gone.")
    hidden = _still_named(scan, picture, gone)
    picture.hidden |= hidden
    for guid in gone - hidden:
        picture.dismiss(guid)
        if picture.groups.pop(guid, None) or picture.units.pop(guid, None):
            picture.reshaped()
    for guid in picture.out_of_scope_guids():
        picture.dismiss(guid)
    return picture


def _everyone(scan: Scan, picture: Picture) -> set[str]:
    """Identities of the people whom the User Search DN may still hold."""
    if picture.users.kind is not BaseKind.GROUP:
        identities: set[str] = set()
        for entries in scan.pages(picture.users.dn, scan.preset.person_filter, scan.identity_alone):
            identities.update(filter(None, map(scan.preset.guid, entries)))
        return identities
    groups = [picture.groups[guid] for guid in sorted(picture.scope_groups())]
    identities = set()
    for search in scan.member_searches(groups):
        identities |= scan.identities(picture, scan.preset.person_filter & search)
    return identities


def _still_named(scan: Scan, picture: Picture, gone: set[Guid]) -> frozenset[Guid]:
    """Which of them AD still lists as members: they exist, and may only not be seen."""
    if not gone or picture.by_dn:
        return frozenset()
    naming = {
        guid for guid, group in picture.groups.items() if guid not in gone and group.members & gone
    }
    groups = scan.groups_with(picture.copy(), naming)
    return frozenset(guid for guid in gone if any(guid in group.members for group in groups))
