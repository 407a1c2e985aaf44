"""Departments: whole or not at all, and AD's members stay AD's."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kerauno.accounts import departments, dial_plan, links
from kerauno.accounts.departments import Source
from kerauno.base.errors import InvalidValue, NotFound, NumberTaken, ReadOnly
from kerauno.database.engine import Database
from kerauno.tables.core import Department, Membership, Number, RingGroup
from tests.records import NOW, add_directory, add_linked, add_user, new_guid


def source(directory_id: int, name: str = "Sales", guid: str | None = None) -> Source:
    return Source(directory_id, guid or new_guid(), f"CN={name},OU=Groups", name, "group")


def rows(s: Session) -> list[int]:
    tables = (Department, RingGroup, Membership, Number)
    return [s.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_an_import_is_whole(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        ids = [add_user(s, f"user.n{index}").id for index in range(3)]
        made = departments.import_(s, source(directory.id), "600", [*ids, ids[0]], NOW)
    with database.read() as s:
        assert rows(s) == [1, 1, 3, 1]
        line = departments.listed(s, made.id)
        assert (line.name, line.number, line.members, line.kind) == ("Sales", "600", 3, "group")
        assert [m.user_id for m in departments.members(s, made.id)] == ids
        assert all(m.static for m in departments.members(s, made.id))
        assert dial_plan.holder(s, "600") == dial_plan.NumberHolder(
            "600", "ring group Sales", ring_group_id=line.ring_group_id
        )


@pytest.mark.parametrize("number", ["1234", "1", "12345678901", "six", ""])
def test_a_refused_number_imports_nothing(sqlite_database: Database, number: str) -> None:
    database = sqlite_database
    with database.write() as s:
        directory = add_directory(s)
        user = add_user(s, "john.doe", "1234")
    with pytest.raises(InvalidValue) as refused, database.write() as s:
        departments.import_(s, source(directory.id), number, [user.id], NOW)
    assert refused.value.field == "ring group number"
    assert isinstance(refused.value, NumberTaken) == (number == "1234")
    with database.read() as s:
        assert rows(s) == [0, 0, 0, 1]


def test_the_same_object_is_imported_once(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        where = source(directory.id)
        departments.import_(s, where, "600", [], NOW)
        with pytest.raises(InvalidValue, match="imported already"):
            departments.import_(s, where, "601", [], NOW)


def test_a_rename_keeps_number_and_identity(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        where = source(directory.id)
        made = departments.import_(s, where, "600", [], NOW)
        departments.rename(s, made.id, "Sales\nand\0 Marketing ", "CN=Sales and Marketing")
    with database.read() as s:
        found = departments.by_guid(s, directory.id, where.guid)
        assert found is not None
        assert (found.id, found.name, found.dn) == (
            *(made.id, "Sales\nand Marketing"),
            "CN=Sales and Marketing",
        )
        assert dial_plan.holder(s, "600").words == "ring group Sales\nand Marketing"  # type: ignore[union-attr]


def test_another_number(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        add_user(s, "john.doe", "601")
        made = departments.import_(s, source(directory.id), "600", [], NOW)
        with pytest.raises(NumberTaken):
            departments.set_number(s, made.id, "601", NOW)
        departments.set_number(s, made.id, "602", NOW)
        assert departments.number_of(s, made.id) == "602"
        assert dial_plan.holder(s, "600") is None
        with pytest.raises(NotFound):
            departments.set_number(s, 10**6, "603", NOW)


def test_members_that_ad_put_there_stay(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        john, jane = add_user(s, "john.doe").id, add_user(s, "jane.doe").id
        made = departments.import_(s, source(directory.id), "600", [john], NOW)
        departments.add_members(s, made.id, [john, jane], static=False)
        with pytest.raises(ReadOnly) as refused:
            departments.remove_member(s, made.id, john)
        assert refused.value.field == "membership"
        departments.remove_member(s, made.id, jane)
        with pytest.raises(NotFound):
            departments.remove_member(s, made.id, jane)
        departments.add_members(s, made.id, [jane], static=False)
        departments.add_members(s, made.id, [jane])
        with pytest.raises(ReadOnly):
            departments.remove_member(s, made.id, jane)
        departments.drop_members(s, made.id, [john, jane])
        assert departments.member_ids(s, made.id) == []


def test_an_unimport_says_what_it_removed_and_holds_it_out(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        where = source(directory.id)
        synced = add_linked(s, directory, "synced", origin="sync").id
        alone = add_linked(s, directory, "alone", origin="department").id
        twice = add_linked(s, directory, "twice", origin="department").id
        local = add_user(s, "local").id
        made = departments.import_(s, where, "600", [synced, alone, twice, local], NOW)
        departments.import_(s, source(directory.id, "Support"), "601", [twice], NOW)
    with database.write() as s:
        gone = departments.unimport(s, made.id, by="admin", now=NOW)
        assert (gone.name, gone.number, gone.only_here) == ("Sales", "600", (alone,))
        assert gone.user_ids == (synced, alone, twice, local)
    with database.write() as s:
        assert rows(s) == [1, 1, 1, 1]
        assert dial_plan.is_free(s, "600", NOW)
        assert list(links.held_out(s, directory.id)) == [where.guid]
        with pytest.raises(NotFound):
            departments.unimport(s, made.id, by="admin", now=NOW)
        again = departments.import_(s, where, "600", [], NOW)
        assert again.id != made.id
        assert links.held_out(s, directory.id) == {}


def test_an_empty_department_is_legal_and_inactive_members_do_not_ring(
    database: Database,
) -> None:
    with database.write() as s:
        directory = add_directory(s)
        user = add_user(s, "john.doe")
        made = departments.import_(s, source(directory.id), "600", [user.id], NOW)
        departments.import_(s, source(directory.id, "Empty"), "601", [], NOW)
        user.active = False
    with database.read() as s:
        assert [(line.name, line.members) for line in departments.listing(s)] == [
            ("Empty", 0),
            ("Sales", 0),
        ]
        with pytest.raises(NotFound):
            departments.listed(s, made.id + 100)


def test_names_of_directory_objects_are_stored_as_they_are() -> None:
    assert departments.clean_name("  Sales\t\0EMEA\n") == "Sales\tEMEA"
    assert departments.clean_name("\u202eSales\u200b") == "\u202eSales\u200b"
    assert departments.clean_name("\ud800") == "?"
    assert departments.clean_name("\0") == "(no name)"
    assert len(departments.clean_name("x" * 999)) == 255
