"""The rows of attempts to sign in have a ceiling, and persons' own counts stay."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from kerauno import audit
from kerauno.base.errors import Throttled
from kerauno.database.engine import Database
from kerauno.signin import attempt_ceilings, throttle, throttle_list
from kerauno.signin.throttle import account_budget, address_budget
from kerauno.signin.throttle_list import ThrottledKey
from kerauno.tables.core import Attempt, Audit, Base, Throttle
from tests.records import NOW, add_user

SECOND = timedelta(seconds=1)
BUDGET = account_budget(4, 1800)
BY_ADDRESS = address_budget(300, timedelta(minutes=10))


def _flood(database: Database, number: int, person: str = "") -> None:
    """Attempts from one more address at one more name, until they are refused."""
    now = NOW + number * SECOND
    name, address = throttle.name_key(f"n{number}"), f"addr:192.0.2.{number}"
    for _ in range(BUDGET.limit + 1):
        try:
            slot = throttle.reserve(database, name, address, BUDGET, BY_ADDRESS, now, person=person)
        except Throttled as error:
            with database.fast_write() as h:
                throttle_list.note(h, error, ThrottledKey("sign-in", f"n{number}"), now)
        else:
            with database.fast_write() as h:
                throttle.fail(h, slot, now)
                audit.append(h, "sign-in", now=now, outcome="wrong", actor=f"n{number}")


def _count(database: Database, table: type[Base]) -> int:
    with database.read() as s:
        return s.scalar(select(func.count()).select_from(table)) or 0


def test_the_oldest_go_and_persons_stay(database: Database) -> None:
    person = throttle.person_key(guid="5e3c")
    with database.write() as s:
        user = add_user(s, "john.doe")
        audit.append(s, "sign-in", now=NOW, outcome="wrong", user_id=user.id)
        audit.append(s, "run", now=NOW, outcome="ok")
        before = s.scalar(select(func.count()).select_from(Audit)) or 0
    _flood(database, 0, person)
    for number in range(1, 30):
        _flood(database, number)
    assert (_count(database, Attempt), _count(database, Throttle)) == (61, 30)
    assert attempt_ceilings.keep(database, counts=10, events=21) == 50 + 20 + 90 - 21
    assert (_count(database, Attempt), _count(database, Throttle)) == (11, 10)
    assert _count(database, Audit) == before + 21
    with database.read() as s:
        keys = set(s.scalars(select(Attempt.key)))
        newest = {throttle.name_key(f"n{number}") for number in range(25, 30)}
        assert keys == {person, *newest, *(f"addr:192.0.2.{number}" for number in range(25, 30))}
        events = s.execute(select(Audit.event, Audit.user_id).where(Audit.at == NOW)).all()
        assert ("sign-in", user.id) in events
        assert ("run", None) in events
    error = None
    try:
        throttle.reserve(database, "name:x", "addr:1", BUDGET, BY_ADDRESS, NOW, person=person)
    except Throttled as refused:
        error = refused.scope
    assert error == "person"


def test_below_the_ceiling_nothing_goes(database: Database) -> None:
    for number in range(5):
        _flood(database, number)
    assert attempt_ceilings.keep(database) == 0
