"""Planning while the Department Search DN is gone: people as ever, departments not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dirclient.model.directory_objects import Snapshot, Unread
from dirclient.model.errors import Misconfigured
from provisioning.plan import Mode, Rules, make_plan
from provisioning.records import DepartmentRecord, Records
from tests.syncing import (
    BUILD,
    KEEP,
    NOW,
    department,
    disabled,
    guid,
    kinds,
    linked,
    person,
    records,
    snapshot,
)

GONE = Unread("department_search_dn", "OU=Departments does not exist.", "Enter another.")


def unread(*people: object) -> Snapshot:
    """A snapshot of these people, without the departments."""
    return replace(snapshot(people), unread=GONE)  # type: ignore[arg-type]


def imported(*members: int) -> Records:
    """Five linked users, some of them in the imported department Sales."""
    sales = DepartmentRecord(
        *(1, str(guid(100)), "Sales", "CN=Sales,OU=Departments,DC=goodcompany,DC=local", "group"),
        *(1, "600", frozenset(members), frozenset(members)),
    )
    return records(
        *(linked(n) for n in range(1, 6)),
        departments={sales.guid: sales},
        ring_numbers={"600": "ring group Sales"},
        held_out=frozenset({str(guid(101)), str(guid(50))}),
    )


@pytest.mark.parametrize("rules", [KEEP, BUILD, Rules(Mode.BUILD, NOW, numbers=("600", "699"))])
def test_nobody_leaves_a_department_and_no_hold_ends(rules: Rules) -> None:
    plan = make_plan(unread(*map(person, range(1, 6))), imported(1, 2), rules)
    assert (plan.actions, plan.departments, plan.emptied, plan.holds_ended) == ((), (), (), ())


def test_disabled_and_deleted_people_leave_all_the_same() -> None:
    people = [disabled(person(1)), *map(person, (3, 4, 5))]
    plan = make_plan(unread(*people), imported(1, 2, 3), KEEP)
    assert kinds(plan) == {guid(1): "deactivate", guid(2): "deactivate"}
    assert {action.guid: action.leaves for action in plan.actions} == {guid(1): (1,), guid(2): (1,)}
    assert (plan.departments, plan.emptied) == ((), ())


def test_a_ring_group_that_loses_its_last_member_is_held_as_ever() -> None:
    plan = make_plan(unread(*map(person, range(2, 6))), imported(1), KEEP)
    assert plan.emptied == ("Sales",)


def test_new_people_are_built_and_enter_their_departments_when_it_is_back() -> None:
    people = list(map(person, range(1, 7)))
    before = imported(1, 2)
    plan = make_plan(unread(*people), before, BUILD)
    assert kinds(plan) == {guid(6): "create"}
    assert plan.actions[0].joins == ()
    back = snapshot(people, [department(100, "Sales", [1, 2, 6])])
    assert make_plan(back, before, BUILD).actions[0].joins == (1,)


def test_a_role_given_by_a_group_that_was_not_read_stays() -> None:
    rules = replace(KEEP, role_groups={str(guid(100)): "manager"})
    known = records(linked(1, role="manager"), linked(2))
    assert make_plan(unread(person(1), person(2)), known, rules).actions == ()


def test_what_needs_departments_says_which_dn_is_gone() -> None:
    whole = snapshot([person(1)])
    assert whole.whole() is whole
    with pytest.raises(Misconfigured, match=r"^OU=Departments does not exist\.$") as caught:
        unread(person(1)).whole()
    assert (caught.value.field, caught.value.remedy) == (GONE.field, GONE.remedy)
