"""The mirror: paging, searching and counting what the directory was last seen to hold."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from kerauno.base.lookup_keys import lookup_key, sort_key
from kerauno.database.bulk import insert_rows
from kerauno.database.engine import Database
from kerauno.sync import directory_mirror
from kerauno.sync.directory_mirror import Filter, Page, Place
from kerauno.tables.core import SeenDepartment, SeenMember, SeenPerson
from tests.records import add_directory, new_guid

FIRST = ("Anna", "Bernd", "Zoë", "Örjan", "山田", "O'Hara")
LAST = ("Müller", "Doe", "Øst", "de Boer", "100%", "Under_score")
MISSING = [{"code": "extension_missing", "field": "extension", "remedy": "Set ipPhone."}]
TAKEN = [*MISSING, {"code": "email_taken", "field": "email", "remedy": "Ask them."}]


def add_people(s: Session, directory_id: int, count: int, seed: int = 1) -> None:
    """So many people, in no order, some without a name, a login or an extension."""
    chance = random.Random(seed)
    rows = []
    for index in range(count):
        first = chance.choice((*FIRST, None))
        last = chance.choice(LAST) if first else None
        login = f"{first}.{index}@goodcompany.local" if index % 7 else None
        extension = str(1000 + index) if index % 5 else None
        state = chance.choice(directory_mirror.STATES)
        conflicts = (TAKEN if index % 2 else MISSING) if state == "conflict" else []
        words = " ".join(part for part in (first, last, login, extension) if part)
        rows.append(
            (
                *(directory_id, str(uuid.UUID(int=chance.getrandbits(128))), f"CN={index}"),
                *(first, last, login, extension, state, conflicts),
                *(sort_key(last, first, f"CN={index}"), lookup_key(words), "digest"),
                *("", "", "active", False, False),
            )
        )
    p = SeenPerson
    columns = (
        *(p.directory_id, p.guid, p.dn, p.first_name, p.last_name, p.login, p.extension),
        *(p.state, p.conflicts, p.sort_key, p.search_text, p.digest),
        *(p.login_attribute, p.extension_attribute, p.account_state),
        *(p.locked, p.must_change_password),
    )
    insert_rows(s, columns, rows)


@pytest.fixture
def directory_id(database: Database) -> int:
    with database.write() as s:
        directory_id = add_directory(s).id
        add_people(s, directory_id, 230)
        return directory_id


def walk(
    s: Session, directory_id: int, wanted: Filter, sort: str, *, descending: bool
) -> Iterator[Page]:
    """Every page from the first to the last."""
    after: Place | None = None
    while True:
        page = directory_mirror.page(
            *(s, directory_id, wanted),
            sort=sort,
            descending=descending,
            limit=17,
            after=after,
        )
        yield page
        after = page.after
        if after is None:
            return


def matching(s: Session, wanted: Filter) -> set[str]:
    """The same people, found by reading them all."""
    words = lookup_key(wanted.search).split()
    return {
        person.guid
        for person in s.execute(select(SeenPerson)).scalars()
        if all(word in person.search_text for word in words)
        and wanted.state in (None, person.state)
        and wanted.conflict in (None, *(found["code"] for found in person.conflicts))
    }


FILTERS = [
    Filter(),
    Filter(state="conflict"),
    Filter(search="müller"),
    Filter(search="MÜLLER 1"),
    Filter(search="zoë goodcompany"),
    Filter(search="100%"),
    Filter(search="r_s"),
    Filter(search="o'hara"),
    Filter(search="nobody at all"),
    Filter(conflict="email_taken"),
    Filter(search="anna", conflict="extension_missing"),
    Filter(search="doe", state="synced"),
]


def test_pages_hold_everyone_once_and_in_order(database: Database, directory_id: int) -> None:
    for wanted in FILTERS:
        for sort, descending in (("name", False), ("login", True), ("extension", False)):
            with database.read() as s:
                pages = list(walk(s, directory_id, wanted, sort, descending=descending))
                found = [person for page in pages for person in page.people]
                assert len(found) == len({person.guid for person in found})
                assert {person.guid for person in found} == matching(s, wanted)
                if sort == "name":
                    keys = [(person.sort_key, person.guid) for person in found]
                    assert keys == sorted(keys)
                if sort == "extension":
                    values = [person.extension or "" for person in found]
                    assert values == sorted(values)


def test_going_back_shows_the_same_pages(database: Database, directory_id: int) -> None:
    for sort, descending in (("name", False), ("login", False), ("extension", True)):
        with database.read() as s:
            pages = list(walk(s, directory_id, Filter(), sort, descending=descending))
            assert pages[0].before is None
            assert pages[-1].after is None
            place = pages[-1].before
            for earlier in reversed(pages[:-1]):
                assert place is not None
                page = directory_mirror.page(
                    *(s, directory_id, Filter()),
                    sort=sort,
                    descending=descending,
                    limit=17,
                    before=place,
                )
                assert [p.guid for p in page.people] == [p.guid for p in earlier.people]
                assert page.after == earlier.after
                place = page.before
            assert place is None


def test_counts_are_of_the_search_and_not_of_the_state(
    database: Database, directory_id: int
) -> None:
    with database.read() as s:
        for wanted in FILTERS:
            page = directory_mirror.page(s, directory_id, wanted)
            for state in directory_mirror.STATES:
                same = Filter(wanted.search, state, wanted.conflict)
                assert page.counts.get(state, 0) == len(matching(s, same))
        assert directory_mirror.conflict_counts(s, directory_id) == {
            code: len(matching(s, Filter(conflict=code)))
            for code in ("extension_missing", "email_taken")
        }


def test_another_directory_is_another_mirror(database: Database, directory_id: int) -> None:
    with database.read() as s:
        assert directory_mirror.page(s, directory_id + 1, Filter()).people == ()
        assert directory_mirror.conflict_counts(s, directory_id + 1) == {}


def test_hostile_searches_find_nothing_and_break_nothing(
    database: Database, directory_id: int
) -> None:
    with database.read() as s:
        everyone = len(matching(s, Filter()))
        for search in ("'; DROP TABLE user; --", "\\", "/", "x" * 10_000, "*", "[a-z]", "\ud800~"):
            assert directory_mirror.page(s, directory_id, Filter(search=search)).people == ()
        for search in ("%", "_", "100%", "under_"):
            page = directory_mirror.page(s, directory_id, Filter(search=search), limit=500)
            assert {p.guid for p in page.people} == matching(s, Filter(search=search))
        for search in ("\0", "\ud800", " \t "):
            assert (
                sum(directory_mirror.counts(s, directory_id, Filter(search=search)).values())
                == everyone
            )


def test_people_of_a_department_and_departments_of_a_person(
    database: Database, directory_id: int
) -> None:
    sales, support = new_guid(), new_guid()
    with database.write() as s:
        ordered = select(SeenPerson).order_by(SeenPerson.sort_key, SeenPerson.guid)
        people = list(s.execute(ordered.limit(5)).scalars())
        for guid, name in ((sales, "Sales"), (support, "Support")):
            s.add(
                SeenDepartment(
                    directory_id=directory_id,
                    guid=guid,
                    dn=f"CN={name}",
                    name=name,
                    kind="group",
                    members=5,
                    digest="x",
                )
            )
        for index, person in enumerate(people):
            via = ["Sales EMEA"] if index % 2 else []
            s.add(
                SeenMember(
                    directory_id=directory_id,
                    department_guid=sales,
                    person_guid=person.guid,
                    via=via,
                )
            )
        s.flush()
    with database.read() as s:
        inside = directory_mirror.page(s, directory_id, Filter(department=sales))
        assert {p.guid for p in inside.people} == {person.guid for person in people}
        [(found, via)] = directory_mirror.departments_of(s, directory_id, people[1].guid)
        assert (found.name, via) == ("Sales", ["Sales EMEA"])
