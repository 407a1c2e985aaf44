"""Undo a run: records, links, numbers and memberships as they were before it.

Everything is in the journal. What has changed again since is left alone and said, so that an
undo never takes back what somebody did later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from kerauno.accounts import departments
from kerauno.accounts.access_revocation import end_access
from kerauno.base.errors import RecordError
from kerauno.base.lookup_keys import lookup_key
from kerauno.database.bulk import RowRefused, insert_rows, parts, update_rows
from kerauno.sync import runs
from kerauno.tables.core import Department, Link, Membership, Number, RunChange, User
from provisioning.actions import SHOWN_FIELDS, ActionKind
from provisioning.partial_confirmation import KEEP
from provisioning.records import Records, UserRecord, load

_OF_LINK = ("dn", "principal_key", "account_key", "scope", "origin")
_OF_USER = ("username", "email", "first_name", "last_name", "role")
_COMPARED = (*SHOWN_FIELDS, "active")


def undo_run(
    s: Session, directory_id: int, undone_run: int, run_id: int, now: datetime
) -> tuple[int, list[str]]:
    """Restore what `undone_run` changed, in the caller's transaction, journalled under `run_id`.

    Gives how many subjects were restored, and a sentence for each that could not be.
    """
    return _Undo(s, directory_id, run_id, now).undo(runs.changes(s, undone_run))


class _Undo:
    def __init__(self, s: Session, directory_id: int, run_id: int, now: datetime) -> None:
        self.s = s
        self.run_id = run_id
        self.now = now
        self.records: Records = load(s, directory_id)
        self.directory_id = directory_id
        self.restored = 0
        self.could_not: list[str] = []

    def undo(self, changes: Sequence[RunChange]) -> tuple[int, list[str]]:
        """Departments first, so that memberships find theirs; then people."""
        done = [change for change in changes if not change.error and change.action != KEEP]
        for change in reversed(done):
            if change.subject == "department" and change.action != "import":
                self._department(change)
        people = [change for change in done if change.subject == "user"]
        standing = [change for change in people if self._unchanged_since(change)]
        self._remove([c for c in standing if c.action == ActionKind.CREATE])
        self._restore([c for c in standing if c.action != ActionKind.CREATE])
        for change in reversed(done):
            if change.subject == "department" and change.action == "import":
                self._department(change)
        return self.restored, self.could_not

    def _unchanged_since(self, change: RunChange) -> bool:
        user = self.records.users.get(change.subject_id or 0)
        if user is None:
            self.could_not.append(f"{change.name} is no longer a user.")
            return False
        after = change.after or {}
        moved = [
            name.replace("_", " ")
            for name in _COMPARED
            if name in after and getattr(user, name) != after[name]
        ]
        if change.action == ActionKind.LINK and user.guid != change.guid:
            moved.append("link")
        if moved:
            self.could_not.append(f"{change.name} was changed since ({', '.join(moved)}).")
        return not moved

    # People

    def _remove(self, changes: Sequence[RunChange]) -> None:
        for part in parts(changes):
            ids = [change.subject_id for change in part if change.subject_id]
            end_access(self.s, ids)
            self.s.execute(delete(User).where(User.id.in_(ids)))
        self._note(changes)

    def _restore(self, changes: Sequence[RunChange]) -> None:
        changes = self._without_collisions(changes)
        self._step_aside(changes)
        for change in changes:
            self._restore_one(change, self.records.users[change.subject_id or 0])
        self._note(changes)

    def _without_collisions(self, changes: Sequence[RunChange]) -> list[RunChange]:
        """Leave out whoever would get back a value that somebody else has by now."""
        staying = list(changes)
        while True:
            moving = {change.subject_id for change in staying}
            blocked = [c for c in staying if (why := self._blocked(c, moving)) and self._say(why)]
            if not blocked:
                return staying
            staying = [change for change in staying if change not in blocked]

    def _blocked(self, change: RunChange, moving: set[int | None]) -> str:
        before = change.before or {}
        records = self.records
        for name, index, value in (
            ("username", records.by_username, lookup_key(before.get("username") or "")),
            ("email", records.by_email, lookup_key(before.get("email") or "")),
            ("extension", records.by_extension, before.get("extension") or ""),
        ):
            holder = index.get(value)
            if holder is not None and holder.id != change.subject_id and holder.id not in moving:
                return f"{change.name}: the former {name} {value} is used by {holder.words}."
        if before.get("extension") in records.ring_numbers:
            extension = before["extension"]
            holder_words = records.ring_numbers[extension]
            return f"{change.name}: the former extension {extension} is used by {holder_words}."
        return ""

    def _say(self, sentence: str) -> bool:
        self.could_not.append(sentence)
        return True

    def _step_aside(self, changes: Iterable[RunChange]) -> None:
        """Two people may get each other's values back: all give up theirs before any takes."""
        names = [c.subject_id for c in changes if {"username", "email"} & (c.before or {}).keys()]
        parked = [(f"\x7f{id}", f"\x7f{id}", id) for id in names]
        update_rows(self.s, (User.username_key, User.email_key), (User.id,), parked)
        for ids in parts(c.subject_id for c in changes if "extension" in (c.before or {})):
            self.s.execute(delete(Number).where(Number.user_id.in_(ids)))

    def _restore_one(self, change: RunChange, user: UserRecord) -> None:
        before = change.before or {}
        values: dict[str, Any] = {name: before[name] for name in _OF_USER if name in before}
        values["username_key"] = lookup_key(before.get("username", user.username))
        values["email_key"] = lookup_key(before.get("email", user.email))
        if "active" in before:
            values["active"] = before["active"]
            values["deactivated_at"] = None if before["active"] else self.now
        self.s.execute(
            update(User)
            .where(User.id == user.id)
            .values(**values, updated_at=self.now, version=User.version + 1)
        )
        self._restore_number(change, user, before)
        self._restore_link(change, user, before)
        self._restore_memberships(change, user, before)
        if before.get("active") is False:
            end_access(self.s, [user.id])

    def _restore_number(
        self, change: RunChange, user: UserRecord, before: Mapping[str, Any]
    ) -> None:
        until = before.get("reserved_until")
        kept = datetime.fromisoformat(until) if until else None
        if before.get("extension"):
            row = (before["extension"], user.id, kept)
            insert_rows(self.s, (Number.number, Number.user_id, Number.reserved_until), [row])
        elif "reserved_until" in before:
            self.s.execute(
                update(Number).where(Number.user_id == user.id).values(reserved_until=kept)
            )
            if change.action == ActionKind.DEACTIVATE and user.extension is None:
                self.could_not.append(f"{change.name} has no number any more: give them one.")

    def _restore_link(self, change: RunChange, user: UserRecord, before: Mapping[str, Any]) -> None:
        if change.action == "desync":
            values = {"user_id": user.id, "directory_id": self.directory_id, **before["link"]}
            self.s.execute(insert(Link).values(**values, linked_at=self.now))
            return
        if change.action == ActionKind.LINK:
            self.s.execute(delete(Link).where(Link.user_id == user.id))
            end_access(self.s, [user.id])
            self.could_not.append(
                f"{change.name}: a local password, if there was one, is gone; set a new one."
            )
            return
        values = {name: before[name] for name in _OF_LINK if name in before}
        if values:
            self.s.execute(update(Link).where(Link.user_id == user.id).values(**values))

    def _restore_memberships(
        self, change: RunChange, user: UserRecord, before: Mapping[str, Any]
    ) -> None:
        joined = (change.after or {}).get("joined", [])
        if joined:
            self.s.execute(
                delete(Membership).where(
                    Membership.user_id == user.id, Membership.department_id.in_(joined)
                )
            )
        for department_id, static in before.get("memberships", []):
            if self.s.get(Department, department_id) is None:
                self.could_not.append(f"{change.name} was in a department that is gone.")
            else:
                departments.add_members(self.s, department_id, [user.id], static=static)

    # Departments

    def _department(self, change: RunChange) -> None:
        try:
            with self.s.begin_nested():
                self._undo_department(change)
        except (RecordError, RowRefused) as error:
            self.could_not.append(f"{change.name}: {error}")
        else:
            self._note([change])

    def _undo_department(self, change: RunChange) -> None:
        before, after = change.before or {}, change.after or {}
        department_id = change.subject_id or 0
        if change.action == "import":
            departments.unimport(self.s, department_id, by="undo", now=self.now)
        elif change.action == "unimport":
            source = departments.Source(
                self.directory_id, change.guid or "", before["dn"], before["name"], before["kind"]
            )
            members = self._existing(before["members"])
            departments.import_(self.s, source, before["number"], members, self.now)
        else:
            if "name" in before:
                departments.rename(self.s, department_id, before["name"], before["dn"])
            departments.get(self.s, department_id)
            departments.drop_members(self.s, department_id, after.get("added", []))
            departments.add_members(
                self.s, department_id, self._existing(before.get("removed", []))
            )

    def _existing(self, user_ids: Iterable[int]) -> list[int]:
        return [
            user_id
            for user_id in user_ids
            if (user := self.records.users.get(user_id)) is not None and user.active
        ]

    def _note(self, changes: Iterable[RunChange]) -> None:
        entries: list[Mapping[str, Any]] = [
            {
                "action": "undo",
                "subject": change.subject,
                "guid": change.guid,
                "subject_id": change.subject_id,
                "name": change.name,
                "before": change.after,
                "after": change.before,
            }
            for change in changes
        ]
        runs.journal(self.s, self.run_id, entries)
        self.restored += len(entries)


def undone_lately(s: Session, directory_id: int) -> frozenset[tuple[str, str]]:
    """(guid, action) of the run that was undone, while that undo is the last thing that happened.

    An automatic run that would do the same again waits for an administrator.
    """
    last = next(
        (run for run in runs.history(s, directory_id, limit=200) if run.status == "applied"), None
    )
    if last is None or last.undo_of is None:
        return frozenset()
    rows = s.execute(
        select(RunChange.guid, RunChange.action).where(
            RunChange.run_id == last.undo_of, RunChange.error == ""
        )
    )
    return frozenset((guid or "", action) for guid, action in rows)
