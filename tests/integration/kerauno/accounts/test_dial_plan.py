"""The number space: one holder each, across extensions and ring groups, whatever happens."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kerauno.accounts import departments, dial_plan, users
from kerauno.base.errors import InvalidValue, NumberTaken
from kerauno.database.engine import Database
from kerauno.tables.base import Base
from kerauno.tables.core import Number
from tests.properties import examples
from tests.records import NOW, add_directory, add_user, new_guid


def add_department(s: Session, directory_id: int, name: str, number: str) -> int:
    source = departments.Source(directory_id, new_guid(), f"CN={name}", name, "group")
    return departments.import_(s, source, number, [], NOW).id


def test_the_database_itself_holds_the_space_true(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        john, jane = add_user(s, "john.doe", "1234"), add_user(s, "jane.doe")
        add_department(s, directory.id, "Sales", "600")
        ring_group_id = departments.listing(s)[0].ring_group_id
    for row in (
        {"number": "1234", "user_id": jane.id},  # taken by a user
        {"number": "600", "user_id": jane.id},  # taken by a ring group
        {"number": "1235", "user_id": john.id},  # a second number
        {"number": "601", "ring_group_id": ring_group_id},
        {"number": "1", "user_id": jane.id},
        {"number": "12345678901", "user_id": jane.id},
        {"number": "12a4", "user_id": jane.id},
        {"number": "1299"},  # nobody's
        {"number": "1299", "user_id": jane.id, "ring_group_id": ring_group_id},
    ):
        with pytest.raises(Exception) as refused, database.write() as s:
            s.execute(insert(Number), row)
        assert isinstance(refused.value, IntegrityError) or "too long" in str(refused.value)


def test_a_taken_number_says_by_whom(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        john, jane = add_user(s, "john.doe", "1234"), add_user(s, "jane.doe")
        sales = add_department(s, directory.id, "Sales", "600")
        with pytest.raises(NumberTaken) as taken:
            dial_plan.give_user(s, jane.id, "600", NOW)
        assert (taken.value.number, taken.value.holder) == ("600", "ring group Sales")
        with pytest.raises(NumberTaken, match=r"John Doe \(john.doe\)"):
            departments.set_number(s, sales, "1234", NOW)
        users.deactivate(s, [john.id], NOW, reserve_until=NOW + timedelta(days=30))
        with pytest.raises(NumberTaken, match="who left"):
            dial_plan.give_user(s, jane.id, "1234", NOW)


def test_a_reservation_ends(database: Database) -> None:
    until = NOW + timedelta(days=30)
    with database.write() as s:
        john, jane = add_user(s, "john.doe", "1234"), add_user(s, "jane.doe")
        users.deactivate(s, [john.id], NOW, reserve_until=until)
        assert [(n.number, u.id) for n, u in dial_plan.reservations(s)] == [("1234", john.id)]
        assert not dial_plan.is_free(s, "1234", until - timedelta(seconds=1))
        assert dial_plan.is_free(s, "1234", until)
        assert dial_plan.is_free(s, "1234", NOW, user_id=john.id)
        dial_plan.give_user(s, jane.id, "1234", until)
        assert users.reactivate(s, john.id, until) is None
        dial_plan.give_user(s, john.id, "1235", until)


def test_the_next_free_number(database: Database) -> None:
    with database.write() as s:
        directory = add_directory(s)
        john = add_user(s, "john.doe", "601")
        add_user(s, "jane.doe", "0600")
        for name, number in (("Sales", "600"), ("Support", "603")):
            add_department(s, directory.id, name, number)
        assert dial_plan.next_free(s, "600", "699", NOW) == "602"
        assert dial_plan.next_free(s, "0600", "0699", NOW) == "0601"
        assert dial_plan.next_free(s, "600", "601", NOW) is None
        users.deactivate(s, [john.id], NOW, reserve_until=NOW + timedelta(days=1))
        assert dial_plan.next_free(s, "600", "601", NOW) is None
        assert dial_plan.next_free(s, "600", "601", NOW + timedelta(days=1)) == "601"


def test_giving_the_same_number_again_changes_nothing(database: Database) -> None:
    with database.write() as s:
        john = add_user(s, "john.doe", "1234")
        dial_plan.give_user(s, john.id, "1234", NOW)
        rows = s.execute(select(Number.number, Number.user_id)).all()
        assert [tuple(row) for row in rows] == [("1234", john.id)]


def test_one_of_many_who_want_a_number_gets_it(database: Database) -> None:
    with database.write() as s:
        ids = [add_user(s, f"user.n{index}").id for index in range(6)]
    gate = threading.Barrier(len(ids))
    outcomes: list[str] = []

    def want(user_id: int) -> None:
        gate.wait()
        try:
            with database.write() as s:
                dial_plan.give_user(s, user_id, "1234", NOW)
            outcomes.append("got")
        except NumberTaken:
            outcomes.append("taken")

    threads = [threading.Thread(target=want, args=(user_id,)) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["got"] + ["taken"] * 5


_DIGITS = st.sampled_from(["10", "11", "12", "0010"])
_WHO = st.integers(0, 3)


class NumberSpace(RuleBasedStateMachine):
    """Users and ring groups give, take, leave and return; a plain dict knows who has what."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.holders: dict[str, tuple[str, int]] = {}
        self.until: dict[str, object] = {}
        with self.database.write() as s:
            for table in ("number", "membership", "ring_group", "department", "user"):
                s.execute(Base.metadata.tables[table].delete())
            self.users = [add_user(s, f"user.n{index}").id for index in range(4)]
            directory = add_directory(s)
            self.groups = []
            for index in range(2):
                department_id = add_department(s, directory.id, f"G{index}", f"99{index}")
                row = departments.listed(s, department_id)
                self.groups.append(row.ring_group_id)
                self.holders[f"99{index}"] = ("ring_group", row.ring_group_id)

    def _take(self, holder: tuple[str, int], number: str, done: bool) -> None:
        present = self.holders.get(number)
        expired = number in self.until and self.until[number] <= self.now  # type: ignore[operator]
        allowed = present is None or present == holder or expired
        assert done == allowed
        if done:
            for other in [key for key, value in self.holders.items() if value == holder]:
                del self.holders[other]
                self.until.pop(other, None)
            self.holders[number] = holder
            self.until.pop(number, None)

    @rule(who=_WHO, number=_DIGITS)
    def give_user(self, who: int, number: str) -> None:
        with self.database.write() as s:
            try:
                dial_plan.give_user(s, self.users[who], number, self.now)
                done = True
            except InvalidValue:
                done = False
        self._take(("user", self.users[who]), number, done)

    @rule(which=st.integers(0, 1), number=_DIGITS)
    def give_ring_group(self, which: int, number: str) -> None:
        with self.database.write() as s:
            try:
                dial_plan.give_ring_group(s, self.groups[which], number, self.now)
                done = True
            except InvalidValue:
                done = False
        self._take(("ring_group", self.groups[which]), number, done)

    @rule(who=_WHO)
    def free(self, who: int) -> None:
        with self.database.write() as s:
            dial_plan.free_user(s, self.users[who])
        for number in [n for n, h in self.holders.items() if h == ("user", self.users[who])]:
            del self.holders[number]
            self.until.pop(number, None)

    @rule(who=_WHO)
    def leave(self, who: int) -> None:
        until = self.now + timedelta(days=2)
        with self.database.write() as s:
            of_leaver = Number.user_id == self.users[who]
            s.execute(update(Number).where(of_leaver).values(reserved_until=until))
        for number, holder in self.holders.items():
            if holder == ("user", self.users[who]):
                self.until[number] = until

    @rule(who=_WHO)
    def come_back(self, who: int) -> None:
        mine = [n for n, h in self.holders.items() if h == ("user", self.users[who])]
        with self.database.write() as s:
            assert dial_plan.take_back(s, self.users[who]) == (mine[0] if mine else None)
        for number in mine:
            self.until.pop(number, None)

    @rule()
    def a_day_passes(self) -> None:
        self.now += timedelta(days=1)

    @invariant()
    def the_database_agrees(self) -> None:
        with self.database.read() as s:
            rows = s.execute(
                select(Number.number, Number.user_id, Number.ring_group_id, Number.reserved_until)
            ).all()
        assert {
            row.number: ("user", row.user_id) if row.user_id else ("ring_group", row.ring_group_id)
            for row in rows
        } == self.holders
        assert {row.number: row.reserved_until for row in rows if row.reserved_until} == self.until


@pytest.mark.hypothesis
def test_the_number_space_under_any_order_of_events(database: Database) -> None:
    NumberSpace.database = database
    case = NumberSpace.TestCase
    case.settings = settings(max_examples=examples(25), stateful_step_count=25)
    case().runTest()
