"""A clock that is set back by an hour: nothing is believed, refused or put off for an hour more."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from kerauno.base.clock import elapsed
from kerauno.base.errors import Throttled
from kerauno.database.engine import Database
from kerauno.oauth import clients, devices, logout_queue
from kerauno.oauth.registration import DEVICE, Registration
from kerauno.signin import sessions, throttle
from kerauno.signin.sessions import Lifetime
from kerauno.signin.throttle import Budget, Reservation, address_budget
from kerauno.sync import directory_settings
from kerauno.tables.core import DirectoryState
from kerauno.tables.oauth import LogoutDelivery
from tests.records import NOW, add_user

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ACCOUNT = Budget(3, timedelta(minutes=30), rolling=True)
ADDRESS = address_budget(100, timedelta(minutes=10))


def take(database: Database, now: datetime, person: str = "") -> Reservation:
    return throttle.reserve(database, "name:1", "addr:1", ACCOUNT, ADDRESS, now, person=person)


def wait(database: Database, now: datetime) -> int:
    """The seconds that one is told to wait."""
    with pytest.raises(Throttled) as raised:
        take(database, now)
    return raised.value.retry_after


def test_wrong_passwords_count_no_longer_than_their_window(database: Database) -> None:
    for _ in range(3):
        slot = take(database, NOW + HOUR)
        with database.fast_write() as hot:
            throttle.fail(hot, slot, NOW + HOUR)
    assert wait(database, NOW) == 1800
    assert wait(database, NOW + 29 * MINUTE) == 60
    take(database, NOW + 30 * MINUTE)


def test_attempts_that_nobody_settled_lapse(database: Database) -> None:
    for _ in range(3):
        take(database, NOW + HOUR)
    assert wait(database, NOW) == 60
    take(database, NOW + MINUTE)


def test_of_a_person_the_directory_may_settle_them(database: Database) -> None:
    for number in range(3):
        throttle.reserve(
            *(database, f"name:{number}", "addr:1", ACCOUNT, ADDRESS, NOW + HOUR), person="guid:1"
        )
    with pytest.raises(Throttled):
        take(database, NOW, person="guid:1")
    with database.fast() as hot:
        assert not throttle.is_unsettled(hot, "guid:1", NOW)
        assert throttle.is_unsettled(hot, "guid:1", NOW + MINUTE)


def test_a_clock_that_wanders_by_seconds_shortens_no_window(database: Database) -> None:
    for _ in range(3):
        slot = take(database, NOW + 20 * SECOND)
        with database.fast_write() as hot:
            throttle.fail(hot, slot, NOW + 20 * SECOND)
    wait(database, NOW)
    assert wait(database, NOW + 30 * MINUTE) == 20


def test_a_sync_service_that_ended_then_is_told_of() -> None:
    state = DirectoryState(directory_id=1, heard_at=NOW + HOUR, looked_at=NOW + HOUR, error="")
    assert directory_settings.is_deaf(state, NOW)
    assert not directory_settings.is_deaf(state, NOW + HOUR - SECOND)


@pytest.mark.parametrize(
    ("since", "length"),
    [
        (NOW - MINUTE, MINUTE),
        (NOW + SECOND, timedelta(0)),
        (NOW + HOUR, timedelta.max),
    ],
)
def test_what_lies_ahead_was_long_ago(since: datetime, length: timedelta) -> None:
    assert elapsed(since, NOW) == length


def test_a_sign_out_that_apps_are_to_be_told_of_is_not_put_off(database: Database) -> None:
    with database.write() as s:
        wish = Registration(
            "Wiki",
            redirect_uris=("https://wiki.company.com/callback",),
            backchannel_logout_uri="https://wiki.company.com/logout",
        )
        app, _ = clients.create(s, wish, NOW)
        s.add(
            LogoutDelivery(
                client_id=app.id, subject="s", queued_at=NOW + HOUR, due_at=NOW + HOUR, attempts=0
            )
        )
    with database.fast() as hot:
        assert logout_queue.waiting(hot, NOW)
    with database.write() as s:
        assert len(logout_queue.claim(s, NOW)) == 1
        assert logout_queue.claim(s, NOW) == []  # it is under way


def test_a_device_that_asks_again_need_not_wait_for_an_hour(database: Database) -> None:
    with database.write() as s:
        wish = Registration("Display", redirect_uris=(), grant_types=(DEVICE,))
        app, _ = clients.create(s, wish, NOW)
    with database.fast_write() as hot:
        began = devices.start(hot, NOW + HOUR, client_id=app.id, scope="openid", address="")
        code = began.device_code
        first = devices.poll(hot, NOW + HOUR, code, client_id=app.id)
        again = devices.poll(hot, NOW, code, client_id=app.id)
    assert (first, again) == (devices.Waiting.PENDING, devices.Waiting.PENDING)


def test_a_new_session_is_not_taken_for_the_oldest(database: Database) -> None:
    lifetime = Lifetime()
    with database.write() as s:
        user_id = add_user(s, "user.one").id
    with database.fast_write() as hot:
        for seconds in range(3):
            moment = NOW + HOUR + seconds * SECOND
            sessions.create(hot, user_id, method="form", now=moment, lifetime=lifetime)
        new = sessions.create(hot, user_id, method="form", now=NOW, lifetime=lifetime)
    assert sessions.keep_newest(database, NOW, most=2) == 2
    assert sessions.check(database, new.cookie, NOW, lifetime) is not None
