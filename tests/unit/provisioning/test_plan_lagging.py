"""Planning on a snapshot that may be old: who is new is added, and nobody else is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirclient.model.directory_objects import AccountState, Person
from provisioning.actions import ActionKind, Plan
from provisioning.plan import Rules
from provisioning.records import DepartmentRecord
from tests.syncing import (
    BUILD,
    KEEP,
    codes,
    department,
    disabled,
    guid,
    kinds,
    linked,
    person,
    plan,
    records,
    user,
)


def lagging(*known: int, rules: Rules = BUILD) -> Rules:
    """Rules for an old snapshot, where these people had been seen."""
    return replace(rules, known=frozenset(str(guid(number)) for number in known))


OLD = {
    "enabled, whom the records have as left": person(1),
    "disabled": disabled(person(1)),
    "another name": person(1, last_name="Old"),
    "another number": person(1, extension="1999"),
    "another address": person(1, login="old@company.com"),
    "another place": person(1, dn="CN=old,OU=Old,DC=goodcompany,DC=local"),
}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("old", OLD.values(), ids=OLD)
def test_a_linked_user_stays_as_they_are(old: Person, active: bool) -> None:
    known = records(linked(1, active=active))
    made = plan([old], known=known, rules=lagging(1))
    assert made.empty
    assert made.standing[guid(1)] == ("synced" if active else "left", ())


def test_nobody_leaves_who_is_not_there() -> None:
    made = plan([person(2)], known=records(linked(1), linked(2)), rules=lagging(1, 2))
    assert made.empty


def test_whoever_was_seen_and_is_no_user_waits() -> None:
    """They may have been disabled since, or be in a conflict that the old state does not have."""
    assert plan([person(1)], rules=lagging(1)).empty
    assert kinds(plan([person(1)], rules=lagging())) == {guid(1): "create"}


def test_who_is_new_is_created_or_linked_and_enters_departments() -> None:
    sales = DepartmentRecord(9, str(guid(50)), "Sales", "CN=Sales", "group", 9, "600")
    known = records(
        linked(1), user(2), departments={sales.guid: sales._replace(members=frozenset({1}))}
    )
    made = plan([person(2), person(3)], [department(50, "Sales", [2, 3])], known, rules=lagging(1))
    assert kinds(made) == {guid(2): "link", guid(3): "create"}
    assert all(action.joins == (9,) and not action.leaves for action in made.actions)
    assert made.departments == ()
    assert made.emptied == ()


def test_who_is_new_takes_nothing_that_others_have() -> None:
    """In the old state p1 had 1999, and so 1001 was free; a leaver's names stay theirs, too."""
    known = records(linked(1), linked(2, active=False))
    newcomers = [
        person(3, extension="1001"),
        person(4, login="first.last1@company.com"),
        person(5, login="first.last2@company.com"),
    ]
    made = plan([person(1, extension="1999"), *newcomers], known=known, rules=lagging(1, 2))
    assert made.empty
    assert codes(made) == {
        guid(3): ["extension_taken"],
        guid(4): ["email_taken"],
        guid(5): ["email_taken"],
    }


def test_new_departments_wait_and_holds_do_not_end() -> None:
    known = records(held_out=frozenset({str(guid(7)), str(guid(8))}), proposals={str(guid(6)): 1})
    rules = replace(lagging(), numbers=("600", "699"))
    made = plan([person(7)], [department(50, "Sales")], known, rules)
    assert made.departments == ()
    assert made.holds_ended == ()
    assert made.proposals == {str(guid(6)): 1}
    assert codes(made) == {guid(7): ["held_out"]}


STATES = st.sampled_from(AccountState)


@given(
    st.dictionaries(st.integers(1, 8), st.tuples(STATES, st.integers(1, 9)), max_size=8),
    st.dictionaries(st.integers(1, 5), st.booleans(), max_size=5),
    st.sets(st.integers(1, 8)),
    st.booleans(),
)
def test_whatever_the_old_state_is(
    old: dict[int, tuple[AccountState, int]], users: dict[int, bool], inside: set[int], build: bool
) -> None:
    people = [
        person(number, state=state, extension=str(1000 + extension))
        for number, (state, extension) in old.items()
    ]
    sales = DepartmentRecord(9, str(guid(50)), "Sales", "CN=Sales", "group", 9, "600")
    members = frozenset(number for number, active in users.items() if active)
    known = records(
        *(linked(number, active=active) for number, active in users.items()),
        departments={sales.guid: sales._replace(members=members, static=members)},
    )
    rules = lagging(*users, rules=BUILD if build else KEEP)
    made: Plan = plan(people, [department(50, "Sales", inside)], known, rules)
    assert {action.kind for action in made.actions} <= {ActionKind.CREATE}
    assert all(action.user is None and not action.takes_from for action in made.actions)
    assert made.departments == ()
    assert made.standing.keys() == {one.guid for one in people}
