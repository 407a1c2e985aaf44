"""Leavers give username and email up to those to whom AD gives them, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dirclient.model.directory_objects import Person
from provisioning.actions import Plan
from provisioning.plan import make_plan
from provisioning.records import Records, UserRecord
from tests.syncing import (
    BUILD,
    KEEP,
    LATER,
    applied,
    codes,
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


def names(known: Records) -> dict[int, tuple[str, str, str | None, bool]]:
    """Username, email, extension and whether active, of each user."""
    return {
        user.id: (user.username, user.email, user.extension, user.active)
        for user in known.users.values()
    }


def staff(count: int) -> list[UserRecord]:
    """Linked users who are emp00, emp01 and so on."""
    return [linked(n, f"emp{n:02}") for n in range(count)]


def given(number: int, name: str) -> Person:
    """The person of this number, whose address AD has changed to this one's."""
    return person(number, f"emp{number:02}", login=f"{name}@company.com")


def test_a_chain_of_addresses_moves_up_in_the_run_that_deactivates_the_leaver() -> None:
    known = records(*staff(20))
    others = [person(n, f"emp{n:02}") for n in range(3, 20)]
    made = make_plan(snapshot([given(1, "emp00"), given(2, "emp01"), *others]), known, KEEP)
    assert (codes(made), kinds(made)) == (
        {},
        {guid(0): "deactivate", guid(1): "update", guid(2): "update"},
    )
    after = applied(made, known)
    assert {n: names(after)[n] for n in range(3)} == {
        0: ("emp00 (left 0)", "emp00@company.com (left 0)", "1000", False),
        1: ("emp00", "emp00@company.com", "1001", True),
        2: ("emp01", "emp01@company.com", "1002", True),
    }
    again = make_plan(snapshot([given(1, "emp00"), given(2, "emp01"), *others]), after, KEEP)
    assert (again.empty, codes(again)) == (True, {})


def test_a_leaver_of_long_ago_gives_up_the_names_and_keeps_the_number() -> None:
    left = linked(1, "john.doe", active=False, reserved_until=LATER)
    known = records(left)
    made = plan([person(2, "john.doe", extension="55")], known=known)
    assert kinds(made) == {guid(1): "update", guid(2): "create"}
    (renamed,) = (action for action in made.actions if action.gives_up)
    assert renamed.as_json()["username"] == "john.doe"
    after = applied(made, known)
    assert after.users[1] == left._replace(
        username="john.doe (left 1)",
        username_key="john.doe (left 1)",
        email="john.doe@company.com (left 1)",
        email_key="john.doe@company.com (left 1)",
        principal_key=None,
        account_key=None,
        version=2,
    )


@pytest.mark.parametrize("state", ["disabled", "out of scope"])
def test_somebody_disabled_or_out_of_scope_gives_up_too(state: str) -> None:
    known = records(*staff(20))
    people = [person(n, f"emp{n:02}") for n in range(2, 20)]
    if state == "disabled":
        people.append(disabled(person(0, "emp00")))
    made = make_plan(snapshot([given(1, "emp00"), *people]), known, KEEP)
    assert kinds(made) == {guid(0): "deactivate", guid(1): "update"}


@pytest.mark.parametrize(
    ("holder", "code"),
    [
        (user(1, "john.doe", active=False), "email_taken"),
        (linked(1, "john.doe", active=False, role="admin"), "email_taken"),
        (linked(1, "john.doe", role="admin"), "email_taken"),
        (user(1, "john.doe", email="jd@other.com", active=False), "username_taken"),
        (user(1, "john.doe", email="jd@other.com", role="admin"), "username_taken"),
    ],
    ids=["local", "administrator who left", "administrator leaving", "username", "local admin"],
)
def test_local_users_and_administrators_never_lose_theirs(holder: UserRecord, code: str) -> None:
    made = plan([person(2, "john.doe", extension="55")], known=records(holder))
    assert codes(made) == {guid(2): [code]}
    assert not any(action.gives_up for action in made.actions)


def test_somebody_who_may_only_not_be_seen_keeps_theirs() -> None:
    seen = replace(snapshot([person(2, "john.doe", extension="55")]), hidden=frozenset({guid(1)}))
    made = make_plan(seen, records(linked(1, "john.doe", active=False)), BUILD)
    assert (kinds(made), codes(made)) == ({}, {guid(2): ["email_taken"]})


def test_a_run_that_deactivates_nobody_takes_nothing_from_the_active() -> None:
    rules = replace(BUILD, only=frozenset({guid(2)}))
    newcomer = [person(2, "john.doe", extension="55")]
    assert codes(plan(newcomer, known=records(linked(1, "john.doe")), rules=rules)) == {
        guid(2): ["email_taken"]
    }


def test_whoever_is_refused_takes_nothing() -> None:
    left = linked(1, "john.doe", active=False, reserved_until=LATER)
    made = plan([person(2, "john.doe", extension="1001")], known=records(left))
    assert (kinds(made), codes(made)) == ({}, {guid(2): ["extension_taken"]})
    assert made.conflicts[0].remedy == (
        "If both are the same person, who came back with a new account: De-Sync john.doe, then "
        "Sync with AD. Otherwise give this person another extension in AD, or free 1001 in Kerauno."
    )


def come_back(*people: Person) -> tuple[Plan, Records]:
    """emp00 left, emp01 got the address; these people are in AD now."""
    known = records(linked(0, "emp00", active=False, reserved_until=LATER), linked(1, "emp01"))
    known = applied(make_plan(snapshot([given(1, "emp00")]), known, KEEP), known)
    made = make_plan(snapshot(people), known, KEEP)
    return made, applied(made, known)


def test_coming_back_they_get_theirs_again_if_ad_gives_it_to_them() -> None:
    made, after = come_back(person(0, "emp00"), person(1, "emp01"))
    assert kinds(made) == {guid(0): "reactivate", guid(1): "update"}
    assert names(after) == {
        0: ("emp00", "emp00@company.com", "1000", True),
        1: ("emp01", "emp01@company.com", "1001", True),
    }


def test_coming_back_with_an_address_that_is_also_somebody_elses_is_a_conflict() -> None:
    made, _ = come_back(person(0, "emp00"), given(1, "emp00"))
    assert (kinds(made), codes(made)) == ({}, {guid(0): ["email_taken"]})
    made, after = come_back(given(0, "emp09"), given(1, "emp00"))
    assert kinds(made) == {guid(0): "reactivate"}
    assert names(after)[0] == ("emp09", "emp09@company.com", "1000", True)
