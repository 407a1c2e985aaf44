"""The contract of every `Reader` and `Watcher`: complete snapshots, and changes that lead to
them."""

from __future__ import annotations

from typing import Any

from dirclient.config.ports import Identity
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import Cursor, Snapshot
from dirclient.operations.replication_state import covers
from tests.contracts.backends import Backend, FakeBackend


def current(backend: Backend, before: Snapshot) -> Snapshot:
    """Return what following changes leads to, deletions included; a complete read where that must
    be."""
    client = backend.client
    followed = client.catch_up(before)
    if followed is None:
        return client.read()  # type: ignore[no-any-return]
    return followed if followed.deletions_visible else client.sweep(followed)  # type: ignore[no-any-return]


def shown(snapshot: Snapshot) -> tuple[Any, Any]:
    """Return what a snapshot tells about the directory."""
    return dict(snapshot.people), dict(snapshot.departments)


def three(backend: Backend) -> list[Identity]:
    """Three people in scope."""
    return [backend.add(stem, extension=f"100{n}") for n, stem in enumerate(("amy", "ben", "cleo"))]


def test_everyone_in_scope_is_read_and_nobody_else(backend: Backend) -> None:
    inside = three(backend)
    backend.add("dan", in_scope=False)
    snapshot = backend.client.read()
    assert snapshot.people.keys() == {one.guid for one in inside}
    assert all(snapshot.people[one].guid == one for one in snapshot.people)
    assert snapshot.operations > 0
    assert snapshot.warnings == ()
    assert snapshot.hidden == frozenset()


def test_a_read_says_of_a_person_what_a_look_up_says(backend: Backend) -> None:
    for one in three(backend):
        assert backend.client.read().people[one.guid] == backend.client.find_guid(one.guid)


def test_departments_hold_recognized_people_only(backend: Backend) -> None:
    amy, ben, _ = three(backend)
    dan = backend.add("dan", in_scope=False)
    sales = backend.add_department("sales", [amy, ben, dan])
    empty = backend.add_department("empty", [])
    departments = backend.client.read().departments
    assert {guid: one.members for guid, one in departments.items() if guid in (sales, empty)} == {
        sales: frozenset({amy.guid, ben.guid}),
        empty: frozenset(),
    }
    assert departments[sales].name == backend.unique("sales")
    assert departments[sales].via == {}


def test_progress_is_told(backend: Backend) -> None:
    three(backend)
    told: list[tuple[str, int, int]] = []
    backend.client.read(lambda *step: told.append(step))
    assert ("people", 3, 3) in told


def test_reading_twice_shows_the_same(backend: Backend) -> None:
    backend.add_department("sales", three(backend))
    assert shown(backend.client.read()) == shown(backend.client.read())


def test_nothing_changed_is_itself(backend: Backend) -> None:
    three(backend)
    snapshot = backend.client.read()
    assert not backend.client.ring(snapshot.cursor).changed
    followed = backend.client.catch_up(snapshot)
    assert shown(followed) == shown(snapshot)
    assert followed.cursor.server_id == snapshot.cursor.server_id


def test_every_kind_of_change_arrives(backend: Backend) -> None:
    amy, ben, cleo = three(backend)
    sales = backend.add_department("sales", [amy, ben])
    known = backend.client.read()

    edits = (
        lambda: backend.change(amy, first="Amelia"),
        lambda: backend.add("dora"),
        lambda: backend.add_member(sales, cleo),
        lambda: backend.leave(ben),
        lambda: backend.add_department("support", [amy]),
        lambda: backend.delete(cleo),
    )
    for edit in edits:
        edit()
        before, known = known, current(backend, known)
        assert shown(known) == shown(backend.client.read())
        assert shown(known) != shown(before)
    assert known.people.keys() >= {amy.guid}
    assert not known.people.keys() & {ben.guid, cleo.guid}
    assert known.departments[sales].members == {amy.guid}


def test_a_sweep_finds_who_is_gone_and_touches_nobody_else(backend: Backend) -> None:
    amy, ben, cleo = three(backend)
    sales = backend.add_department("sales", [amy, ben])
    before = backend.client.read()
    backend.delete(ben)
    backend.add("dora")
    swept = backend.client.sweep(before)
    assert swept.people == {guid: before.people[guid] for guid in (amy.guid, cleo.guid)}
    assert swept.departments[sales].members == {amy.guid}


def test_what_a_server_knows_covers_what_was_read_of_it(backend: Backend) -> None:
    three(backend)
    snapshot = backend.client.read(after={"another server"})
    assert covers(snapshot.knowledge, snapshot.cursor)
    backend.add("dora")
    later = backend.client.read().cursor
    assert covers(backend.client.knowledge(), later)
    if backend.name != "slapd":  # which here counts by the clock alone
        assert not covers(snapshot.knowledge, later)
    assert not covers(backend.client.knowledge(), Cursor("another server", 1))


def test_another_server_means_a_complete_read() -> None:
    backend = FakeBackend()
    directory: FakeDirectory = backend.client
    three(backend)
    snapshot = directory.read()
    directory.restore_database()
    assert directory.ring(snapshot.cursor).changed
    assert directory.catch_up(snapshot) is None
