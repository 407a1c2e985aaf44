"""The throttle: no arrangement of attempts gets more guesses through than the budget holds."""

from __future__ import annotations

import ipaddress
import itertools
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerauno.base.errors import Throttled
from kerauno.database.engine import Database
from kerauno.signin import throttle, throttle_list
from kerauno.signin.throttle import (
    Budget,
    Reservation,
    account_budget,
    address_budget,
    address_key,
    name_key,
    person_key,
)
from tests.properties import examples
from tests.records import NOW

ACCOUNT = Budget(3, timedelta(minutes=30), rolling=True)
ADDRESS = address_budget(100, timedelta(minutes=10))
SECOND = timedelta(seconds=1)


def take(
    database: Database, now: datetime = NOW, account: str = "user:1", address: str = "addr:1"
) -> Reservation:
    return throttle.reserve(database, account, address, ACCOUNT, ADDRESS, now)


def fail(database: Database, slot: Reservation, now=NOW) -> None:  # type: ignore[no-untyped-def]
    with database.fast_write() as hot:
        throttle.fail(hot, slot, now)


def succeed(database: Database, slot: Reservation) -> None:
    with database.fast_write() as hot:
        throttle.succeed(hot, slot)


def refused(call: Callable[[], object]) -> Throttled:
    with pytest.raises(Throttled) as raised:
        call()
    return raised.value


def test_three_failures_and_no_fourth_attempt(database: Database) -> None:
    for _ in range(3):
        fail(database, take(database))
    error = refused(lambda: take(database))
    assert (error.retry_after, error.scope) == (1800, "account")
    take(database, account="user:2")


def test_attempts_under_way_count_like_failures(database: Database) -> None:
    slots = [take(database) for _ in range(3)]
    refused(lambda: take(database))
    with database.fast_write() as hot:
        throttle.cancel(hot, slots.pop())
    take(database)


def test_a_right_password_forgives_what_came_before(database: Database) -> None:
    for _ in range(2):
        fail(database, take(database))
    succeed(database, take(database))
    for _ in range(3):
        fail(database, take(database))
    refused(lambda: take(database))


def test_a_right_password_does_not_forgive_what_came_meanwhile(database: Database) -> None:
    """AD may have counted those after it reset: ours must not be the lower count."""
    owner = take(database)
    guesses = [take(database), take(database)]
    for guess in guesses:
        fail(database, guess)
    succeed(database, owner)
    take(database)
    refused(lambda: take(database))


def test_two_right_passwords_at_once_forgive_once(database: Database) -> None:
    fail(database, take(database))
    first, second = take(database), take(database)
    succeed(database, first)
    fail(database, take(database))
    succeed(database, second)
    fail(database, take(database))
    fail(database, take(database))
    refused(lambda: take(database))


def test_the_window_runs_from_the_last_attempt_as_in_the_directory(database: Database) -> None:
    moment = NOW
    for _ in range(3):
        fail(database, take(database, moment), moment)
        moment += timedelta(minutes=20)
    last = moment - timedelta(minutes=20)
    error = refused(lambda: take(database, last + timedelta(minutes=30) - SECOND))
    assert error.retry_after == 1
    take(database, last + timedelta(minutes=30))


def test_refused_attempts_do_not_prolong_the_wait(database: Database) -> None:
    for _ in range(3):
        fail(database, take(database))
    assert refused(lambda: take(database, NOW + timedelta(minutes=29))).retry_after == 60
    assert refused(lambda: take(database, NOW + timedelta(minutes=29))).retry_after == 60


def test_an_attempt_that_was_never_settled_is_forgotten_with_its_window(
    database: Database,
) -> None:
    lost = [take(database) for _ in range(3)]
    later = NOW + ACCOUNT.window
    slot = take(database, later)
    fail(database, lost[0], later)  # late, of a window that is over: counts, never below zero
    fail(database, slot, later)
    fail(database, lost[1], later)
    take(database, later)


def test_an_address_has_a_budget_of_its_own(database: Database) -> None:
    narrow = address_budget(5, timedelta(minutes=10))

    def attempt(index: int) -> Reservation:
        return throttle.reserve(database, f"user:{index}", "addr:1", ACCOUNT, narrow, NOW)

    for index in range(5):
        fail(database, attempt(index))
    error = refused(lambda: attempt(5))
    assert (error.retry_after, error.scope) == (600, "address")
    for _ in range(3):  # refused by the address, it cost the account nothing
        take(database, account="user:5", address="addr:2")
    later = NOW + timedelta(minutes=10)
    throttle.reserve(database, "user:6", "addr:1", ACCOUNT, narrow, later)


def test_right_passwords_cost_an_address_nothing(database: Database) -> None:
    narrow = address_budget(2, timedelta(minutes=10))
    for index in range(10):
        slot = throttle.reserve(database, f"user:{index}", "addr:1", ACCOUNT, narrow, NOW)
        succeed(database, slot)


def test_an_administrator_lets_an_account_start_anew(database: Database) -> None:
    for _ in range(3):
        fail(database, take(database))
    with database.write() as s:
        throttle_list.clear_keys(s, ["user:1"])
    take(database)


def test_old_counts_are_forgotten(database: Database) -> None:
    take(database)
    with database.write() as s:
        assert throttle.prune(s, NOW) == 0
        assert throttle.prune(s, NOW + timedelta(days=2)) == 2


def test_parallel_guesses_never_pass_the_limit(database: Database) -> None:
    gate = threading.Barrier(16)
    passed: list[Reservation] = []

    def guess() -> None:
        gate.wait()
        for _ in range(5):
            try:
                passed.append(take(database))
            except Throttled:
                continue
            fail(database, passed[-1])

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == ACCOUNT.limit


def _guess_in_a_process(url: str, gate, results) -> None:  # type: ignore[no-untyped-def]
    database = Database(url)
    gate.wait()
    passed = 0
    for _ in range(20):
        try:
            fail(database, take(database))
            passed += 1
        except Throttled:
            pass
    results.put(passed)
    database.close()


def test_parallel_processes_share_the_limit(database: Database, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=_guess_in_a_process, args=(database_url, gate, results))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    assert sum(results.get(timeout=60) for _ in workers) == ACCOUNT.limit
    for worker in workers:
        worker.join()


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["start", "wrong", "right", "lost", "killed", "wait"]), st.integers(0, 3)
    ),
    max_size=40,
)


@settings(max_examples=examples(60))
@given(events=_EVENTS, case=st.uuids())
def test_the_directory_never_counts_to_its_threshold(
    module_database: Database, events: list[tuple[str, int]], case: object
) -> None:
    """A model of AD's own counter sees the binds in an order that ours does not control."""
    budget = account_budget(4, 29 * 60)
    threshold, window = 4, timedelta(minutes=29)
    now = NOW
    counted, counted_at = 0, NOW
    under_way: list[Reservation] = []
    person = person_key(guid=str(case))

    def start(name: int, known: int) -> Reservation:
        return throttle.reserve(
            module_database,
            f"case:{case} {name}",
            "addr:1",
            budget.with_reserve() if known else budget,
            address_budget(10_000, timedelta(minutes=10)),
            now,
            person=person,
        )

    for event, pick in events:
        if event == "wait":
            if not under_way:  # a bind ends within seconds, not within half a window
                now += timedelta(minutes=(1, 15, 29, 31)[pick])
            continue
        if event == "start":
            name, known = divmod(pick, 2)  # two names, in a known browser or another
            try:
                under_way.append(start(name, known))
            except Throttled as full:
                if full.scope == "person":
                    settle(
                        module_database, person, counted if now - counted_at < window else 0, now
                    )
                    with suppress(Throttled):
                        under_way.append(start(name, known))
            continue
        if not under_way:
            continue
        slot = under_way.pop(pick % len(under_way))
        if event == "right":
            counted = 0
            succeed(module_database, slot)
        else:
            counted = 1 if now - counted_at >= window else counted + 1
            counted_at = now
            if event == "wrong":
                fail(module_database, slot, now)
            elif event == "lost":
                lose(module_database, slot, now)
        assert counted < threshold


def lose(database: Database, slot: Reservation, now: datetime = NOW) -> None:
    with database.fast_write() as hot:
        throttle.lose(hot, slot, now)


def settle(database: Database, person: str, wrong: int, now: datetime) -> bool:
    """Return what a sign-in does whose person is throttled. Return whether anything was
    unsettled."""
    with database.fast() as hot:
        unsettled = throttle.is_unsettled(hot, person, now)
    with database.fast_write() as hot:
        throttle.settle(hot, person, wrong, now)
    return unsettled


PERSON = person_key(guid="8f6b4b6c-0000-4000-8000-000000000001")


def try_person(database: Database, now: datetime = NOW) -> Reservation:
    """An attempt under another name each time, so that the person's key alone decides."""
    name = f"name:{next(_names)}"
    return throttle.reserve(database, name, "addr:1", ACCOUNT, ADDRESS, now, person=PERSON)


_names = itertools.count()


def test_of_a_name_what_nobody_settled_lapses_after_a_minute(database: Database) -> None:
    for _ in range(3):
        take(database)
    assert refused(lambda: take(database, NOW + 59 * SECOND)).scope == "account"
    later = NOW + 60 * SECOND
    for _ in range(3):
        fail(database, take(database, later), later)
    assert refused(lambda: take(database, later)).scope == "account"


def test_of_an_address_what_nobody_settled_lapses_after_a_minute(database: Database) -> None:
    two = address_budget(2, timedelta(minutes=10))

    def from_there(name: str, now: datetime) -> Reservation:
        return throttle.reserve(database, name, "addr:2", ACCOUNT, two, now)

    for name in ("user:1", "user:2"):
        from_there(name, NOW)
    assert refused(lambda: from_there("user:3", NOW)).scope == "address"
    from_there("user:3", NOW + 60 * SECOND)


@pytest.mark.parametrize(("wrong", "left"), [(0, 3), (1, 2), (2, 1), (3, 0), (9, 0)])
def test_the_directory_says_how_lost_attempts_ended(
    database: Database, wrong: int, left: int
) -> None:
    for _ in range(3):
        lose(database, try_person(database))
    assert refused(lambda: try_person(database)).scope == "person"
    assert settle(database, PERSON, wrong, NOW)
    for _ in range(left):
        fail(database, try_person(database))
    assert refused(lambda: try_person(database)).scope == "person"
    assert not settle(database, PERSON, 0, NOW)  # nothing is doubtful any more
    refused(lambda: try_person(database))


def test_what_is_known_to_be_wrong_stays_so_whatever_the_directory_says(
    database: Database,
) -> None:
    """Another server counted it; this one knows of nothing."""
    for _ in range(2):
        fail(database, try_person(database))
    lose(database, try_person(database))
    settle(database, PERSON, 0, NOW)
    fail(database, try_person(database))
    refused(lambda: try_person(database))


def test_a_killed_worker_s_attempts_are_settled_by_the_directory(database: Database) -> None:
    for _ in range(3):
        try_person(database)
    assert not settle(database, PERSON, 0, NOW + 59 * SECOND)  # they may still be answered
    refused(lambda: try_person(database, NOW + 59 * SECOND))
    later = NOW + 60 * SECOND
    refused(lambda: try_person(database, later))  # of a person nothing lapses by itself
    assert settle(database, PERSON, 1, later)
    for _ in range(2):
        fail(database, try_person(database, later), later)
    refused(lambda: try_person(database, later))


def test_a_late_answer_forgives_nothing_that_the_directory_has_settled(database: Database) -> None:
    late = try_person(database)
    for _ in range(2):
        lose(database, try_person(database))
    settle(database, PERSON, 2, NOW)
    succeed(database, late)  # saw no failures before it
    fail(database, try_person(database))
    refused(lambda: try_person(database))


def test_a_right_password_ends_all_doubt(database: Database) -> None:
    for _ in range(2):
        lose(database, try_person(database))
    succeed(database, try_person(database))
    assert not settle(database, PERSON, 9, NOW)
    for _ in range(3):
        fail(database, try_person(database))
    refused(lambda: try_person(database))


@pytest.fixture(name="module_database", scope="module")
def _module_database(_sqlite_databases):  # type: ignore[no-untyped-def]
    with _sqlite_databases.url() as url:
        database = Database(url)
        yield database
        database.close()


HALF_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("threshold", "limit", "reserved"),
    [
        *((0, 5, 3), (1, 1, 0), (2, 1, 0), (3, 1, 1), (4, 2, 1), (None, 2, 1), (5, 3, 1)),
        *((6, 4, 1), (7, 4, 2), (8, 5, 2), (10, 5, 3), (50, 5, 3)),
    ],
)
def test_budgets_stay_below_the_directorys_threshold(
    threshold: int | None, limit: int, reserved: int
) -> None:
    budget = account_budget(threshold, 120)
    assert (budget.limit, budget.reserved) == (limit, reserved)
    assert threshold in (None, 0, 1) or limit + reserved < threshold
    assert budget.with_reserve().limit == limit + reserved


def test_a_budget_lasts_longer_than_the_directorys_window() -> None:
    minute = timedelta(minutes=1)
    assert account_budget(None, None) == Budget(2, HALF_HOUR + minute, rolling=True, reserved=1)
    assert account_budget(0, None) == Budget(5, HALF_HOUR, rolling=True, reserved=3)
    assert account_budget(3, 120).window == timedelta(minutes=3)
    assert account_budget(50, 120, most=8).limit == 8


def test_every_spelling_of_a_name_shares_one_key() -> None:
    assert person_key(guid="g", user_id=1) == "guid:g"
    assert person_key(user_id=1) == "user:1"
    assert name_key(" ZOË ") == name_key("zoe\u0308")
    for typed in ("", "x" * 10_000, "\ud800", "\0"):
        assert len(name_key(typed)) <= 96


def test_addresses() -> None:
    assert address_key("192.0.2.7") == address_key("::ffff:192.0.2.7") == "addr:192.0.2.7"
    assert address_key("2001:db8:1:2:3::4") == address_key("2001:db8:1:2:ffff::1%eth0")
    assert address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1")
    assert address_key("") == "addr:"
    assert len(address_key("x" * 1000)) <= 96


_OCTETS = st.sampled_from(["0", "1", "25", "99", "255", "256", "00", "01", "-1", " 7", "x", ""])


@given(st.lists(_OCTETS, min_size=3, max_size=5).map(".".join))
def test_addresses_are_told_apart_as_the_standard_library_does(text: str) -> None:
    try:
        expected = f"addr:{ipaddress.IPv4Address(text)}"
    except ValueError:
        expected = f"addr:{text}"
    assert address_key(text) == expected
