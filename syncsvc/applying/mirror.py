"""Keep the mirror: what AD was last seen to hold, for the console. Only what changed is written.

A digest stands for each person and each department, so that an unchanged one costs a comparison.
The mirror is a picture, not a record: it may be a batch behind after a crash, and heals itself.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dirclient.model.directory_objects import DirectoryDepartment, Guid, Person, Snapshot
from kerauno.base.lookup_keys import lookup_key, sort_key
from kerauno.database.bulk import delete_rows, insert_rows, parts, update_rows
from kerauno.database.engine import Database
from kerauno.tables.core import Department, SeenDepartment, SeenMember, SeenPerson
from provisioning.actions import Plan
from provisioning.mapping_rules import Conflict, storable
from provisioning.plan import LEAVING

_DEPARTMENTS_AT_ONCE = 50
_PERSON = (
    SeenPerson.dn,
    SeenPerson.first_name,
    SeenPerson.last_name,
    SeenPerson.display_name,
    SeenPerson.login,
    SeenPerson.login_attribute,
    SeenPerson.extension,
    SeenPerson.extension_attribute,
    SeenPerson.account_name,
    SeenPerson.principal_name,
    SeenPerson.account_state,
    SeenPerson.locked,
    SeenPerson.must_change_password,
    SeenPerson.changed,
    SeenPerson.state,
    SeenPerson.conflicts,
    SeenPerson.user_id,
    SeenPerson.sort_key,
    SeenPerson.search_text,
    SeenPerson.digest,
)
_PERSON_KEY = (SeenPerson.directory_id, SeenPerson.guid)
_DEPARTMENT = (
    SeenDepartment.dn,
    SeenDepartment.name,
    SeenDepartment.kind,
    SeenDepartment.path,
    SeenDepartment.members,
    SeenDepartment.conflicts,
    SeenDepartment.digest,
)
_DEPARTMENT_KEY = (SeenDepartment.directory_id, SeenDepartment.guid)
_MEMBER_KEY = (SeenMember.directory_id, SeenMember.department_guid, SeenMember.person_guid)

_DIRECT: list[Any] = []  # one object for all: it is turned into JSON once

Fence = Callable[[Session], None]
Row = tuple[Any, ...]
T = TypeVar("T")


def seen_before(s: Session, directory_id: int) -> frozenset[str]:
    """Return the identities of everyone whom the mirror holds."""
    return frozenset(
        s.scalars(select(SeenPerson.guid).where(SeenPerson.directory_id == directory_id))
    )


class _People(NamedTuple):
    """People who are new to the mirror, who differ from it, and who are only in it."""

    new: list[Person]
    changed: list[Person]
    gone: list[str]


class Mirror:
    """Brings the mirror up to a snapshot and the plan made of it."""

    def __init__(self, db: Database, directory_id: int, fence: Fence) -> None:
        self._db = db
        self._id = directory_id
        self._fence = fence

    def update(
        self,
        snapshot: Snapshot,
        plan: Plan,
        user_ids: Mapping[str, int],
        failed: Iterable[Guid] = (),
        *,
        adding_only: bool = False,
    ) -> bool:
        """Write what differs; returns whether anything did. `user_ids` maps people to their users.

        People in `failed` were not brought to where the plan wanted them: they are left out
        until a run succeeds. `adding_only`: the snapshot may be older than the mirror, and only
        who is new is taken from it.
        """

        def digest(person: Person) -> str:
            state, conflicts = plan.standing[person.guid]
            return _person_digest(person, state, conflicts, user_ids.get(person.guid))

        def row(person: Person) -> Row:
            state, conflicts = plan.standing[person.guid]
            user_id = user_ids.get(person.guid)
            values = _person_row(person, state, conflicts, user_id, digest(person))
            return (*values, self._id, str(person.guid))

        with self._db.read() as s:
            people = self._compared(s, snapshot, digest, frozenset(failed))
            known = dict(self._known(s, SeenDepartment))
        if adding_only:
            new = [person for person in people.new if plan.standing[person.guid][0] != "left"]
            return self._write_people(_People(new, [], []), row)
        wrote = self._write_people(people, row)
        if snapshot.unread is not None:
            return wrote
        return self._departments(snapshot, plan, known) or wrote

    def mark_leaving(self, guids: Iterable[Guid]) -> None:
        """Show people whose deactivation waits as what they are, until the mirror is updated."""

        def mark(s: Session, part: Sequence[str]) -> None:
            s.execute(
                update(SeenPerson)
                .where(
                    SeenPerson.directory_id == self._id,
                    SeenPerson.guid.in_(part),
                    SeenPerson.state != LEAVING[0],
                )
                .values(state=LEAVING[0], digest=""),  # which no person has: it is written again
                execution_options={"synchronize_session": False},
            )

        self._write([str(guid) for guid in guids], mark, 500)

    def _compared(
        self,
        s: Session,
        snapshot: Snapshot,
        digest: Callable[[Person], str],
        failed: frozenset[Guid],
    ) -> _People:
        """Hold the people against the mirror, one by one: it may be large."""
        unseen: dict[str, Person] = {
            guid: person for guid, person in snapshot.people.items() if guid not in failed
        }
        changed: list[Person] = []
        gone: list[str] = []
        for guid, before in self._known(s, SeenPerson):
            person = unseen.pop(guid, None)
            if person is not None:
                if digest(person) != before:
                    changed.append(person)
            elif guid not in snapshot.people and guid not in snapshot.hidden:
                gone.append(guid)
        return _People(list(unseen.values()), changed, gone)

    def _write_people(self, people: _People, row: Callable[[Person], Row]) -> bool:
        new, changed, gone = people
        keyed = (*_PERSON, *_PERSON_KEY)
        self._write(new, lambda s, part: insert_rows(s, keyed, map(row, part)))
        self._write(changed, lambda s, part: update_rows(s, _PERSON, _PERSON_KEY, map(row, part)))
        keys = [(self._id, guid) for guid in sorted(gone)]
        self._write(keys, lambda s, part: delete_rows(s, _PERSON_KEY, part))
        return bool(new or changed or gone)

    def _known(
        self, s: Session, table: type[SeenPerson | SeenDepartment]
    ) -> Iterator[tuple[str, str]]:
        """Identity and digest of each that the mirror holds, one after the other."""
        digests = select(table.guid, table.digest).where(table.directory_id == self._id)
        yield from s.connection().execute(digests)

    def _departments(self, snapshot: Snapshot, plan: Plan, known: dict[str, str]) -> bool:
        conflicts: dict[str, list[dict[str, Any]]] = {}
        for conflict in plan.department_conflicts:
            conflicts.setdefault(conflict.guid, []).append(conflict.as_json())
        digest = _DepartmentDigest(snapshot.people)
        changed: list[Row] = []
        departments = {**snapshot.departments, **self._imported(snapshot.unlisted)}
        for guid, department in departments.items():
            of_person = conflicts.get(guid, [])
            now = digest(department, of_person)
            if known.get(guid) != now:
                changed.append((department, of_person, now))

        def write(s: Session, part: Sequence[Row]) -> None:
            self._write_departments(s, part, known)

        self._write(changed, write, _DEPARTMENTS_AT_ONCE)
        vanished = known.keys() - departments.keys() - snapshot.hidden
        gone = [(self._id, guid) for guid in sorted(vanished)]
        self._write(gone, self._forget)
        return bool(changed or gone)

    def _imported(
        self, unlisted: Mapping[Guid, DirectoryDepartment]
    ) -> dict[Guid, DirectoryDepartment]:
        """Return the imported ones: only these are shown although nobody is in them."""
        if not unlisted:
            return {}
        with self._db.read() as s:
            imported = s.scalars(select(Department.guid).where(Department.directory_id == self._id))
            return {guid: unlisted[Guid(guid)] for guid in map(Guid, imported) if guid in unlisted}

    def _write_departments(self, s: Session, part: Sequence[Row], known: Mapping[str, str]) -> None:
        new: list[Row] = []
        changed: list[Row] = []
        members: list[Row] = []
        for department, conflicts, digest in part:
            row = self._department_row(department, conflicts, digest)
            if department.guid in known:
                changed.append(row)
                members += self._moved_members(s, department)
            else:
                new.append(row)
                guid, via = str(department.guid), department.via
                members += [
                    (self._id, guid, str(who), list(via[who]) if who in via else _DIRECT)
                    for who in department.members
                ]
        insert_rows(s, (*_DEPARTMENT, *_DEPARTMENT_KEY), new)
        update_rows(s, _DEPARTMENT, _DEPARTMENT_KEY, changed)
        insert_rows(s, (*_MEMBER_KEY, SeenMember.via), members)

    def _department_row(
        self, department: DirectoryDepartment, conflicts: list[dict[str, Any]], digest: str
    ) -> Row:
        return (
            _plain(department.dn),
            _plain(department.name),
            department.kind.value,
            list(department.path),
            len(department.members),
            conflicts,
            digest,
            self._id,
            str(department.guid),
        )

    def _moved_members(self, s: Session, department: DirectoryDepartment) -> list[Row]:
        """Take out who is no longer as the mirror says; give the rows of who is to be put in."""
        guid = str(department.guid)
        statement = select(SeenMember.person_guid, SeenMember.via).where(
            SeenMember.directory_id == self._id, SeenMember.department_guid == guid
        )
        known: dict[str, list[Any]] = dict(s.execute(statement).all())
        via = department.via
        paths = {str(member): list(via.get(member, ())) for member in department.members}
        stale = [g for g, path in known.items() if paths.get(g) != path]
        delete_rows(s, _MEMBER_KEY, ((self._id, guid, member) for member in stale))
        return [
            (self._id, guid, member, path)
            for member, path in paths.items()
            if known.get(member) != path
        ]

    def _forget(self, s: Session, keys: Sequence[Row]) -> None:
        delete_rows(s, _DEPARTMENT_KEY, keys)
        delete_rows(s, (SeenMember.directory_id, SeenMember.department_guid), keys)

    def _write(
        self, things: Sequence[T], work: Callable[[Session, Sequence[T]], None], size: int = 2000
    ) -> None:
        for part in parts(things, size):
            with self._db.write() as s:
                self._fence(s)
                work(s, part)


def _person_row(
    person: Person,
    state: str,
    conflicts: Sequence[Conflict],
    user_id: int | None,
    digest: str,
) -> tuple[Any, ...]:
    texts = (
        _plain(person.dn),
        _plain(person.first_name),
        _plain(person.last_name),
        _plain(person.display_name),
        _plain(person.login),
        person.login_attribute,
        _plain(person.extension),
        person.extension_attribute,
        _plain(person.account_name),
        _plain(person.principal_name),
    )
    _, first, last, display, login, _, extension, _, account, _ = texts
    searched = (first, last, display, login, account, extension)
    return (
        *texts,
        person.state.value,
        person.locked,
        person.must_change_password,
        person.changed,
        state,
        [conflict.as_json() for conflict in conflicts] if conflicts else _DIRECT,
        user_id,
        sort_key(last, first, login or texts[0] or ""),
        lookup_key(" ".join(part for part in searched if part)),
        digest,
    )


def _person_digest(
    person: Person, state: str, conflicts: Sequence[Conflict], user_id: int | None
) -> str:
    """Of all that is shown. When AD last touched the object for some other reason is not."""
    text = "\0".join(
        (
            person.dn,
            person.first_name or "",
            person.last_name or "",
            person.display_name or "",
            person.login or "",
            person.login_attribute,
            person.extension or "",
            person.extension_attribute,
            person.account_name or "",
            person.principal_name or "",
            person.state,
            "L" if person.locked else "",
            "M" if person.must_change_password else "",
            state,
            str(user_id),
            repr(conflicts) if conflicts else "",
        )
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class _DepartmentDigest:
    """A digest that does not depend on the order of members, at a few nanoseconds a member.

    Identities are random, so the sum of their numbers tells two sets of them apart.
    """

    def __init__(self, people: Mapping[Guid, Person]) -> None:
        self._numbers = {guid: int(guid.replace("-", ""), 16) for guid in people}

    def __call__(self, department: DirectoryDepartment, conflicts: list[dict[str, Any]]) -> str:
        numbers = self._numbers
        total = sum(numbers.get(guid, 1) for guid in department.members)
        ways = sum(
            numbers.get(guid, 1) * zlib.crc32("\0".join(path).encode("utf-8", "surrogatepass"))
            for guid, path in department.via.items()
        )
        parts = (department.dn, department.name, department.kind, department.path, conflicts)
        text = f"{len(department.members)} {total} {ways} {parts!r}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(text: str | None) -> str | None:
    return None if text is None else storable(text)
