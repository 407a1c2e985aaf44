"""Properties of every plan, whatever the directory and the records hold."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dirclient.model.directory_objects import AccountState, DirectoryDepartment, Person
from provisioning.actions import ActionKind
from provisioning.plan import Mode, Rules, make_plan
from provisioning.records import DepartmentRecord, Records, UserRecord
from tests.properties import examples
from tests.syncing import (
    LATER,
    NOW,
    applied,
    department,
    guid,
    linked,
    person,
    records,
    snapshot,
    user,
)

SMALL = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
PEOPLE = st.integers(1, 9)
NAMES = st.sampled_from(["ann.lee", "Ann.Lee", "bob.ray", "cy.fox", "di.orr", "ed.poe"])
LOGINS = st.one_of(
    st.none(),
    st.just("broken"),
    st.builds("{}@{}".format, NAMES, st.sampled_from(["a.com", "b.com"])),
)
NUMBERS = st.sampled_from([None, "7", "100", "101", "102", "103", "104", "600", "601"])
HELD_NUMBERS = st.sampled_from([None, "100", "101", "102", "103", "104"])


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    found = []
    for number in draw(st.lists(PEOPLE, unique=True, max_size=8)):
        found.append(
            person(
                number,
                draw(NAMES),
                login=draw(LOGINS),
                extension=draw(NUMBERS),
                first_name=draw(st.sampled_from(["A", "B", None])),
                state=draw(st.sampled_from([AccountState.ACTIVE] * 4 + [AccountState.DISABLED])),
            )
        )
    return found


@st.composite
def departments(draw: st.DrawFn) -> list[DirectoryDepartment]:
    found = []
    for number in draw(st.lists(st.integers(101, 104), unique=True, max_size=3)):
        found.append(department(number, f"D{number}", draw(st.sets(PEOPLE))))
    return found


@st.composite
def known(draw: st.DrawFn) -> Records:
    users: list[UserRecord] = []
    names: set[str] = set()
    numbers: set[str] = set()
    for number in draw(st.lists(PEOPLE, unique=True, max_size=7)):
        name = draw(NAMES).lower()
        if name in names:
            continue
        names.add(name)
        extension = draw(HELD_NUMBERS)
        if extension in numbers:
            extension = None
        if extension:
            numbers.add(extension)
        active = draw(st.booleans())
        fields = {
            "extension": extension,
            "email": f"{name}@a.com",
            "email_key": f"{name}@a.com",
            "active": active,
            "role": draw(st.sampled_from(["user", "user", "admin"])),
            "reserved_until": None
            if active or not extension
            else draw(st.sampled_from([LATER, NOW])),
        }
        if draw(st.booleans()):
            scope = draw(st.sampled_from(["full", "full", "login"]))
            origin = draw(st.sampled_from(["sync", "sign-in", "admin"]))
            users.append(linked(number, name, scope=scope, origin=origin, **fields))
        else:
            users.append(user(number, name, **fields))
    found: dict[str, DepartmentRecord] = {}
    rings: dict[str, str] = {}
    ids = [one.id for one in users if one.active]
    for number in draw(st.lists(st.integers(101, 103), unique=True, max_size=2)):
        inside = frozenset(draw(st.sets(st.sampled_from(ids)))) if ids else frozenset()
        key, ring = str(guid(number)), str(600 + number - 101)
        found[key] = DepartmentRecord(
            number, key, f"D{number}", "", "group", number, ring, inside, inside
        )
        rings[ring] = f"ring group D{number}"
    held = draw(st.sets(PEOPLE, max_size=2))
    links = {one.guid for one in users}
    return records(
        *users,
        departments=found,
        ring_numbers=rings,
        held_out=frozenset(str(guid(n)) for n in held) - links,
    )


RULES = st.builds(
    Rules,
    st.sampled_from([Mode.KEEP, Mode.BUILD]),
    st.just(NOW),
    numbers=st.sampled_from([None, ("600", "602")]),
    role_groups=st.sampled_from([{}, {str(guid(101)): "manager"}, {str(guid(102)): "admin"}]),
)


@SMALL
@given(people(), departments(), known(), RULES)
def test_planning_after_applying_is_empty(
    who: list[Person], groups: list[DirectoryDepartment], before: Records, rules: Rules
) -> None:
    seen = snapshot(who, groups)
    first = make_plan(seen, before, rules)
    assert make_plan(seen, applied(first, before), rules).empty


@SMALL
@given(people(), departments(), known(), RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    who: list[Person],
    groups: list[DirectoryDepartment],
    before: Records,
    rules: Rules,
    luck: random.Random,
) -> None:
    plan = make_plan(snapshot(who, groups), before, rules)
    users, imported = list(before.users.values()), list(before.departments.items())
    for shuffled in (who, groups, users, imported):
        luck.shuffle(shuffled)
    again = records(
        *users,
        departments=dict(imported),
        ring_numbers=before.ring_numbers,
        held_out=before.held_out,
    )
    assert make_plan(snapshot(who, groups), again, rules) == plan


@SMALL
@given(people(), departments(), known(), RULES)
def test_each_person_ends_as_exactly_one_of_action_conflict_unchanged(
    who: list[Person], groups: list[DirectoryDepartment], before: Records, rules: Rules
) -> None:
    plan = make_plan(snapshot(who, groups), before, rules)
    actions = {action.guid for action in plan.actions}
    conflicts = {conflict.guid for conflict in plan.conflicts}
    everyone = {one.guid for one in who}
    assert not actions & conflicts
    assert not plan.unchanged & (actions | conflicts)
    assert everyone <= actions | conflicts | plan.unchanged
    assert plan.unchanged | conflicts <= everyone
    gone = {action.guid for action in plan.actions} - everyone
    leaving = [action for action in plan.actions if action.guid in gone]
    assert all(a.kind is ActionKind.DEACTIVATE or a.gives_up for a in leaving)
    assert plan.standing.keys() == everyone


@SMALL
@given(people(), departments(), known(), RULES)
def test_no_number_and_no_name_is_ever_held_twice(
    who: list[Person], groups: list[DirectoryDepartment], before: Records, rules: Rules
) -> None:
    after = applied(make_plan(snapshot(who, groups), before, rules), before)
    users = after.users.values()
    extensions = [one.extension for one in users if one.extension]
    taken = Counter([*extensions, *after.ring_numbers])
    assert {number: n for number, n in taken.items() if n > 1} == {}
    assert len({one.username_key for one in users}) == len(users)
    assert len({one.email_key for one in users}) == len(users)


@SMALL
@given(people(), departments(), known(), RULES)
def test_nobody_who_holds_a_number_and_stays_loses_it(
    who: list[Person], groups: list[DirectoryDepartment], before: Records, rules: Rules
) -> None:
    plan = make_plan(snapshot(who, groups), before, rules)
    after = applied(plan, before)
    changed = {a.user.id for a in plan.actions if a.user is not None}
    for one in before.users.values():
        over = one.reserved_until is not None and one.reserved_until <= NOW
        if one.id not in changed and not over:
            assert after.users[one.id] == one


@SMALL
@given(people(), departments(), known(), RULES)
def test_only_linked_users_whom_ad_no_longer_lets_in_are_deactivated(
    who: list[Person], groups: list[DirectoryDepartment], before: Records, rules: Rules
) -> None:
    active = {one.guid for one in who if one.state is AccountState.ACTIVE}
    plan = make_plan(snapshot(who, groups), before, rules)
    for action in plan.actions:
        if action.kind is ActionKind.DEACTIVATE:
            assert action.user is not None
            assert action.user.guid == action.guid
            assert action.guid not in active
