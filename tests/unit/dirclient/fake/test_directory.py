"""The directory in memory on its bad days, which the contract suite cannot show on real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dirclient.config.ports import Identity
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import DepartmentKind, LockoutPolicy
from dirclient.model.errors import (
    BadCredentials,
    HoursRestricted,
    Incomplete,
    Locked,
    Misconfigured,
    PasswordRejected,
    Unavailable,
)
from dirclient.model.login_name import parse


@pytest.fixture
def fake() -> FakeDirectory:
    """An empty directory that locks after three wrong passwords."""
    return FakeDirectory(policy=LockoutPolicy(3, 60, 60))


def who(fake: FakeDirectory, account: str = "john.doe") -> Identity:
    """A new person's identity."""
    person = fake.add_person(account)
    return Identity(person.guid, person.dn)


CALLS: dict[str, Callable[[FakeDirectory, Identity], object]] = {
    "authenticate": lambda fake, john: fake.authenticate(john, "Welcome!2026"),
    "change_password": lambda fake, john: fake.change_password(john, "Welcome!2026", "New!Pass1"),
    "find": lambda fake, john: fake.find(parse("john.doe")),
    "find_guid": lambda fake, john: fake.find_guid(john.guid),
    "lockout_policy": lambda fake, _: fake.lockout_policy(),
    "read": lambda fake, _: fake.read(),
    "resolve": lambda fake, _: fake.resolve("Staff"),
    "suggest": lambda fake, _: fake.suggest("Sta"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("switch", "asked"), [("down", False), ("hung", True)])
def test_everything_fails_while_it_is_down_or_hangs(
    fake: FakeDirectory, call: str, switch: str, asked: bool
) -> None:
    john = who(fake)
    setattr(fake, switch, True)
    with pytest.raises(Unavailable) as caught:
        CALLS[call](fake, john)
    assert caught.value.was_sent is asked
    setattr(fake, switch, False)
    CALLS[call](fake, john)


def test_wrong_passwords_lock_and_a_good_one_forgives(fake: FakeDirectory) -> None:
    john = who(fake)
    for wrong in (2, 3):
        for _ in range(wrong):
            with pytest.raises(BadCredentials):
                fake.authenticate(john, "wrong")
        if wrong == 2:
            fake.authenticate(john, "Welcome!2026")
    with pytest.raises(Locked):
        fake.authenticate(john, "Welcome!2026")
    fake.unlock(john.guid)
    fake.authenticate(john, "Welcome!2026")
    assert fake.binds == 8


def test_a_refusal_can_be_ordered(fake: FakeDirectory) -> None:
    john = who(fake)
    fake.refuse(john.guid, HoursRestricted)
    with pytest.raises(HoursRestricted):
        fake.authenticate(john, "Welcome!2026")
    with pytest.raises(BadCredentials):
        fake.authenticate(john, "wrong")
    fake.refuse(john.guid, None)
    fake.authenticate(john, "Welcome!2026")


def test_each_operation_can_be_watched(fake: FakeDirectory) -> None:
    seen: list[str] = []
    fake.on_operation = seen.append
    john = who(fake)
    fake.authenticate(john, "Welcome!2026")
    fake.find(parse("john.doe"))
    fake.change_password(john, "Welcome!2026", "New!Pass1")
    assert seen == ["bind", "search", "modify"]
    assert fake.operations == 3


def test_without_encryption_no_password_is_changed(fake: FakeDirectory) -> None:
    john = who(fake)
    fake.encrypted = False
    with pytest.raises(PasswordRejected) as caught:
        fake.change_password(john, "Welcome!2026", "New!Pass1")
    assert caught.value.reason == "insecure"


def test_a_read_that_does_not_reach_its_end_is_no_read(fake: FakeDirectory) -> None:
    snapshot = fake.read()
    fake.incomplete = True
    for read in (fake.read, lambda: fake.catch_up(snapshot), lambda: fake.sweep(snapshot)):
        with pytest.raises(Incomplete):
            read()
    assert [step.ok for step in fake.probe()] == [True, True, False]


def test_deletions_that_cannot_be_seen_take_a_sweep(fake: FakeDirectory) -> None:
    john, jane = who(fake), who(fake, "jane.roe")
    sales = fake.add_department("Sales", [john.guid, jane.guid])
    support = fake.add_department("Support", [jane.guid], kind=DepartmentKind.OU)
    fake.deletions_visible = False
    before = fake.read()
    fake.remove_person(jane.guid)
    fake.remove_department(support.guid)
    followed = fake.catch_up(before)
    assert followed is not None
    assert followed.people.keys() == {john.guid, jane.guid}
    assert followed.departments.keys() == {sales.guid, support.guid}
    swept = fake.sweep(followed)
    assert swept.people.keys() == {john.guid}
    assert swept.departments.keys() == {sales.guid}
    assert swept.departments[sales.guid].members == {john.guid}


def test_a_restored_database_is_another_server(fake: FakeDirectory) -> None:
    snapshot = fake.read()
    assert not fake.ring(snapshot.cursor).changed
    fake.restore_database()
    assert fake.ring(snapshot.cursor).changed
    assert fake.catch_up(snapshot) is None


def test_places_are_resolved_and_suggested(fake: FakeDirectory) -> None:
    sales = fake.add_department("Sales, EMEA")
    assert fake.resolve("sales, emea") == sales.dn
    assert fake.resolve(sales.dn.upper()) == sales.dn
    assert fake.suggest("emea") == (sales.dn,)
    with pytest.raises(Misconfigured) as caught:
        fake.resolve("Marketing")
    assert caught.value.field == "user_search_dn"


def test_a_probe_of_a_dead_server_stops_at_the_first_step(fake: FakeDirectory) -> None:
    assert [step.name for step in fake.probe()] == ["tcp", "bind", "people", "departments"]
    fake.down = True
    assert [(step.name, step.ok) for step in fake.probe()] == [("tcp", False)]
