"""Departments in whole runs on SQLite and PostgreSQL: import, unimport, by range."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model.directory_objects import DepartmentKind
from kerauno.database.engine import Database
from kerauno.tables.core import SeenDepartment
from syncsvc.runs import departments, plan_review
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


CLI = RunOptions("cli", wait=0.0)


def test_import_makes_department_ring_group_and_members_together(sync: Sync) -> None:
    people = sync.people(4)
    sync.fake.change_person(people[3].guid, extension=None)
    group = sync.fake.add_department("Sales", [p.guid for p in people])
    report = departments.import_department(sync.engine, CLI, group.dn.upper(), "600")
    assert (report["status"], report["created"]) == ("applied", 3)
    assert report["departments"] == {"imported": 1, "updated": 0}
    assert sync.members("Sales") == {"p1.q1", "p2.q2", "p3.q3"}
    (row,) = departments.listing(sync.engine)
    assert row == {
        "guid": str(group.guid),
        "dn": group.dn,
        "name": "Sales",
        "kind": "group",
        "members": 4,
        "state": "imported",
        "number": "600",
        "ring_group_members": ["p1.q1", "p2.q2", "p3.q3"],
        "gone": False,
        "conflicts": [],
    }
    assert sync.run()["status"] == "unchanged"


def test_a_taken_number_is_refused_saying_by_whom_and_nothing_changes(sync: Sync) -> None:
    sync.add_local("front.desk", "600")
    sync.people(2)
    group = sync.fake.add_department("Sales", [p.guid for p in sync.people(2, first=5)])
    before = sync.state()
    report = departments.import_department(sync.engine, CLI, group.dn, "600")
    assert report["status"] == "failed"
    assert "front.desk" in report["error"]
    assert sync.state() == before
    report = departments.import_department(sync.engine, CLI, group.dn, "7")
    assert report["error"] == "“7” is not a ring group number. Use 2 to 10 digits."


def test_unimport_frees_the_number_and_desyncs_those_it_alone_brought_in(sync: Sync) -> None:
    people = sync.people(3)
    sync.build(only=frozenset({str(people[0].guid)}))
    group = sync.fake.add_department("Sales", [p.guid for p in people[:2]])
    both = sync.fake.add_department("Support", [people[2].guid])
    departments.import_department(sync.engine, CLI, group.dn, "600")
    departments.import_department(sync.engine, CLI, both.dn, "601")
    before = sync.state()
    report = departments.unimport_department(sync.engine, CLI, group.dn)
    assert report["status"] == "applied"
    linked = {name for name, row in sync.users().items() if row["guid"]}
    assert linked == {"p1.q1", "p3.q3"}
    assert set(sync.users()) == {"p1.q1", "p2.q2", "p3.q3"}
    again = departments.import_department(sync.engine, CLI, both.dn, "600")
    assert "imported already" in again["error"]
    _, could_not = plan_review.undo(sync.engine, report["run"], CLI)
    assert (could_not, sync.state()) == ([], before)


def test_departments_import_themselves_by_range_and_keep_their_number(sync: Sync) -> None:
    people = sync.people(4)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="601")
    sales = sync.fake.add_department("Sales", [p.guid for p in people[:2]])
    sync.fake.add_department("Engineering", [people[2].guid], kind=DepartmentKind.OU)
    sync.fake.add_department("Training")
    report = sync.run()
    assert report["departments"] == {"imported": 2, "updated": 0}
    rows = {row["name"]: row for row in departments.listing(sync.engine)}
    assert (rows["Engineering"]["number"], rows["Sales"]["number"]) == ("600", "601")
    assert [c["code"] for c in rows["Training"]["conflicts"]] == ["number_missing"]
    sync.fake.change_department(sales.guid, name="Sales EMEA", dn="CN=Sales EMEA,OU=Moved,DC=x")
    report = sync.run()
    assert report["departments"] == {"imported": 0, "updated": 1}
    rows = {row["name"]: row for row in departments.listing(sync.engine)}
    assert rows["Sales EMEA"]["number"] == "601"
    departments.unimport_department(sync.engine, CLI, rows["Sales EMEA"]["dn"])
    assert sync.run()["departments"] == {"imported": 1, "updated": 0}  # Training has one now
    assert {r["name"]: r["state"] for r in departments.listing(sync.engine)} == {
        "Engineering": "imported",
        "Sales EMEA": "available",
        "Training": "imported",
    }


def test_a_department_deleted_and_made_again_is_two_until_the_dead_one_is_unimported(
    sync: Sync,
) -> None:
    people = [person.guid for person in sync.people(2)]
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    dead = sync.fake.add_department("Sales", people)
    sync.run()
    sync.fake.remove_department(dead.guid)
    living = sync.fake.add_department("Sales", people)
    held = sync.run()
    assert held["status"] == "held"
    plan_review.confirm(sync.engine, held["run"], CLI)

    def listed() -> dict[str, tuple[str, str, bool, int]]:
        return {
            row["guid"]: (row["state"], row["number"], row["gone"], len(row["ring_group_members"]))
            for row in departments.listing(sync.engine)
        }

    assert listed() == {
        dead.guid: ("imported", "600", True, 0),
        living.guid: ("imported", "601", False, 2),
    }
    refused = departments.unimport_department(sync.engine, CLI, living.dn)
    assert refused["status"] == "failed"
    assert refused["error"] == (
        f"2 imported departments have the DN {living.dn}. Give the GUID of the one that you mean: "
        f"{dead.guid} (600, gone from AD), {living.guid} (601)."
    )
    before = sync.state()
    done = departments.unimport_department(sync.engine, CLI, f"{{{dead.guid.upper()}}}")
    assert (done["status"], listed()) == (
        "applied",
        {living.guid: ("imported", "601", False, 2)},
    )
    assert sync.run()["status"] == "unchanged"
    assert departments.unimport_department(sync.engine, CLI, living.dn)["status"] == "applied"
    named = f" {living.guid.upper()} "
    assert departments.import_department(sync.engine, CLI, named, "600")["status"] == "applied"
    assert listed() == {living.guid: ("imported", "600", False, 2)}
    assert before["users"] == sync.state()["users"]


def test_a_department_made_again_takes_the_number_over_once_the_dead_one_is_unimported(
    sync: Sync,
) -> None:
    people = [person.guid for person in sync.people(2)]
    dead = sync.fake.add_department("Sales", people)
    departments.import_department(sync.engine, CLI, dead.dn, "600")
    sync.fake.remove_department(dead.guid)
    living = sync.fake.add_department("Sales", people)
    refused = departments.import_department(sync.engine, CLI, living.dn, "600")
    assert (refused["status"], refused["error"]) == (
        "failed",
        "600 is used by ring group Sales, whose group is gone from AD. Unimport that one first: "
        f"syncsvc department unimport {dead.guid}",
    )
    assert departments.unimport_department(sync.engine, CLI, living.dn)["status"] == "applied"
    taken = departments.import_department(sync.engine, CLI, living.dn, "600")
    assert (taken["status"], sync.members("Sales")) == ("applied", {"p1.q1", "p2.q2"})
    assert [row["gone"] for row in departments.listing(sync.engine)] == [False]


def test_without_auto_synchronization_synchronize_users_imports_no_department(sync: Sync) -> None:
    people = sync.people(2)
    sync.set(auto_sync=False, ring_group_first="600", ring_group_last="699")
    sync.fake.add_department("Sales", [p.guid for p in people])
    report = sync.build()
    assert (report["created"], report["departments"]) == (2, {"imported": 0, "updated": 0})
    (sales,) = departments.listing(sync.engine)
    assert (sales["state"], sales["number"], sales["conflicts"]) == ("available", None, [])


# One user by hand


def test_an_imported_department_without_recognized_members_is_not_gone(sync: Sync) -> None:
    """Advanced lists only departments with somebody in them; this one is still in AD."""
    person, colleague = sync.people(2)
    group = sync.fake.add_department("Sales", [person.guid])
    other = sync.fake.add_department("Support", [colleague.guid])
    sync.build()
    departments.import_department(sync.engine, CLI, group.dn, "600")
    sync.fake.advanced = True
    sync.fake.set_scope(person.guid, in_scope=False)
    plan_review.confirm(sync.engine, sync.run()["run"], CLI)  # it would lose its last member
    rows = {row["name"]: row for row in departments.listing(sync.engine)}
    assert [(name, row["gone"], row["members"]) for name, row in rows.items()] == [
        *(("Sales", False, 0), ("Support", False, 1)),
    ]
    seen = {row["guid"]: row["members"] for row in sync.rows(SeenDepartment)}
    assert seen == {str(group.guid): 0, str(other.guid): 1}
    again = departments.import_department(sync.engine, CLI, str(other.guid), "600")
    assert "is used by ring group Sales" in again["error"]
    assert "gone from AD" not in again["error"]

    sync.fake.remove_department(group.guid)
    sync.run()
    gone = {row["name"]: row["gone"] for row in departments.listing(sync.engine)}
    assert gone == {"Sales": True, "Support": False}
    assert [row["guid"] for row in sync.rows(SeenDepartment)] == [str(other.guid)]
