"""Planning departments: import by range, rename, move, members, and what would empty one."""

from __future__ import annotations

from dataclasses import replace

from dirclient.model.directory_objects import DepartmentKind
from provisioning.deletion_threshold import Limits, reasons_to_hold
from provisioning.plan import Mode, Rules, make_plan
from provisioning.plan_departments import Import
from provisioning.records import DepartmentRecord
from tests.syncing import (
    BUILD,
    KEEP,
    LATER,
    NOW,
    codes,
    department,
    disabled,
    guid,
    kinds,
    linked,
    person,
    plan,
    records,
    snapshot,
    user,
)

RANGE = replace(BUILD, numbers=("600", "602"))
SALES = DepartmentRecord(
    1,
    str(guid(101)),
    "Sales",
    "CN=Sales,OU=Departments,DC=goodcompany,DC=local",
    "group",
    1,
    "600",
    frozenset({1, 2}),
    frozenset({1, 2}),
)
IMPORTED = {"departments": {SALES.guid: SALES}, "ring_numbers": {"600": "ring group Sales"}}


def test_new_departments_import_themselves_with_free_numbers_of_the_range() -> None:
    groups = [department(101, "Sales", [1]), department(102, "Engineering", [2])]
    made = plan([person(1), person(2, extension="600")], groups, rules=RANGE)
    assert [(a.name, a.number, a.add_people) for a in made.departments] == [
        ("Engineering", "601", frozenset({guid(2)})),
        ("Sales", "602", frozenset({guid(1)})),
    ]


def test_without_a_range_or_in_keep_nothing_imports_itself() -> None:
    groups = [department(101, "Sales", [1])]
    assert plan([person(1)], groups).departments == ()
    assert plan([person(1)], groups, rules=replace(KEEP, numbers=("600", "699"))).empty


def test_without_a_free_number_a_department_shows_a_conflict() -> None:
    groups = [department(100 + n, f"D{n}") for n in range(4)]
    made = plan([], groups, rules=RANGE)
    assert [a.number for a in made.departments] == ["600", "601", "602"]
    (conflict,) = made.department_conflicts
    assert (conflict.code.value, conflict.person) == ("number_missing", "D3")
    assert made.conflicts == ()


def test_numbers_kept_for_leavers_are_not_given_to_ring_groups() -> None:
    left = linked(1, active=False, extension="600", reserved_until=LATER)
    made = plan([], [department(101, "Sales")], records(left), RANGE)
    assert [a.number for a in made.departments] == ["601"]


def test_an_unimported_department_is_not_imported_again_by_itself() -> None:
    known = records(held_out=frozenset({str(guid(101))}))
    assert plan([], [department(101, "Sales")], known, RANGE).empty


def test_rename_and_move_keep_number_and_identity() -> None:
    """A renamed or moved group is the same department: identity is the GUID."""
    moved = department(101, "Sales EMEA", [1, 2], dn="CN=Sales EMEA,OU=Other,DC=x")
    made = plan([person(1), person(2)], [moved], records(linked(1), linked(2), **IMPORTED), KEEP)
    (action,) = made.departments
    assert (action.name, action.dn, action.number) == (moved.name, moved.dn, "600")
    assert (action.add, action.remove) == (frozenset(), frozenset())


def test_members_follow_the_directory() -> None:
    known = records(linked(1), linked(2), linked(3), **IMPORTED)
    people = [person(1), person(2), person(3)]
    made = plan(people, [department(101, "Sales", [2, 3])], known, KEEP)
    (action,) = made.departments
    assert (set(action.add), set(action.remove)) == ({3}, {1})


def test_members_put_in_by_hand_stay() -> None:
    record = SALES._replace(members=frozenset({1, 2, 9}), static=frozenset({1, 2}))
    known = records(linked(1), linked(2), user(9), departments={SALES.guid: record})
    made = plan([person(1), person(2)], [department(101, "Sales", [1])], known, KEEP)
    (action,) = made.departments
    assert (set(action.add), set(action.remove)) == (set(), {2})


def test_leavers_go_and_newcomers_come_with_the_person() -> None:
    """User, extension, ring group and phone book change together, in one transaction."""
    known = records(linked(1), linked(2), **IMPORTED)
    people = [person(1), disabled(person(2)), person(3)]
    made = plan(people, [department(101, "Sales", [1, 2, 3])], known)
    assert kinds(made) == {guid(2): "deactivate", guid(3): "create"}
    assert {a.guid: (a.joins, a.leaves) for a in made.actions} == {
        guid(2): ((), (1,)),
        guid(3): ((1,), ()),
    }
    assert made.departments == ()


def test_a_group_that_loses_everyone_is_told_apart() -> None:
    known = records(linked(1), linked(2), **IMPORTED)
    people = [person(1), person(2)]
    emptied = plan(people, [department(101, "Sales")], known, KEEP)
    assert emptied.emptied == ("Sales",)
    gone = plan(people, [], known, KEEP)
    assert gone.emptied == ("Sales",)
    reasons = reasons_to_hold(gone, known, snapshot(people), Limits(5, 10))
    assert reasons == ("Ring group Sales would lose its last member.",)


def test_an_empty_group_is_legal() -> None:
    """An empty AD group must neither crash the run nor be held."""
    made = plan([], [department(101, "Sales")], rules=RANGE)
    assert [a.name for a in made.departments] == ["Sales"]
    assert made.emptied == ()


def test_departments_may_be_units_and_contain_each_other() -> None:
    inner = department(102, "EMEA", [1], kind=DepartmentKind.OU)
    outer = department(101, "Sales", [1, 2], kind=DepartmentKind.OU)
    made = plan([person(1), person(2)], [outer, inner], rules=RANGE)
    assert [(a.name, a.kind, len(a.add_people)) for a in made.departments] == [
        ("EMEA", "ou", 1),
        ("Sales", "ou", 2),
    ]


def test_an_import_by_hand_brings_its_members_and_nothing_else() -> None:
    people = [person(1), person(2), person(3), person(4, first_name="New")]
    groups = [department(101, "Sales", [1, 2, 4])]
    rules = Rules(Mode.IMPORT, NOW, imports=Import(guid(101), "600"))
    known = records(linked(4), linked(5))
    made = plan(people, groups, known, rules)
    assert kinds(made) == {guid(1): "create", guid(2): "create"}
    assert {a.want.origin for a in made.actions if a.want} == {"department"}
    (action,) = made.departments
    assert (action.number, set(action.add)) == ("600", {4})
    assert set(action.add_people) == {guid(1), guid(2)}


def test_a_member_may_not_claim_the_number_of_the_import() -> None:
    rules = Rules(Mode.IMPORT, NOW, imports=Import(guid(101), "1001"))
    made = plan([person(1)], [department(101, "Sales", [1])], rules=rules)
    assert codes(made) == {guid(1): ["extension_taken"]}


def test_guard_counts_and_percents() -> None:
    """A shrunken result must not wipe users: by count and by share, whichever is more."""
    known = records(*(linked(n) for n in range(1, 101)))

    def held(leaving: int) -> bool:
        people = [person(n) for n in range(leaving + 1, 101)]
        made = plan(people, known=known)
        return bool(reasons_to_hold(made, known, snapshot(people), Limits(5, 10)))

    assert [held(n) for n in (0, 5, 10, 11, 99)] == [False, False, False, True, True]
    few = records(*(linked(n) for n in range(1, 11)))
    made = plan([person(n) for n in range(6, 11)], known=few)
    assert not reasons_to_hold(made, few, snapshot([person(6)]), Limits(5, 10))


def test_an_empty_result_is_held_however_few_there_are() -> None:
    """A valid but empty result must not deactivate anybody unseen."""
    known = records(linked(1))
    made = plan([], known=known)
    assert reasons_to_hold(made, known, snapshot(), Limits(5, 10))


def test_whom_the_service_account_may_not_see_has_not_left() -> None:
    """Lost read rights on half the tree must remove nobody: not seeing is not leaving."""
    known = records(linked(1), linked(2), held_out=frozenset({str(guid(3))}), **IMPORTED)
    seen = replace(
        snapshot([person(1)], [department(101, "Sales", [1])]),
        hidden=frozenset({guid(2), guid(3)}),
    )
    made = make_plan(seen, known, KEEP)
    assert (made.empty, made.holds_ended) == (True, ())
    no_group = replace(snapshot([person(1), person(2)]), hidden=frozenset({guid(101)}))
    assert make_plan(no_group, known, KEEP).empty
