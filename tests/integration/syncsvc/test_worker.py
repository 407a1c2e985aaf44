"""The service's loop: timer, change tracking, requests, outages. Turned by hand, no waiting."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import delete, update

from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import AccountState
from dirclient.model.errors import Unavailable
from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import DirectoryState, Run, RunRequest, SeenPerson, User, WebSession
from syncsvc.service import change_watch
from syncsvc.service.worker import Worker
from tests.sync_engine import PROFILE, Sync


class Client:
    """A client of the fake directory that is of no use once it was closed."""

    def __init__(self, fake: FakeDirectory) -> None:
        self._fake = fake
        self.closed = False

    def close(self) -> None:
        """End it."""
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        if self.closed:
            raise Unavailable("The client was closed.")
        return getattr(self._fake, name)


class Turned:
    """A worker with a clock of its own."""

    def __init__(self, sync: Sync) -> None:
        self.sync = sync
        self.seconds = 1000.0
        self.worker = Worker(sync.engine, clock=lambda: self.seconds)

    def turn(self, after: float = 1.0) -> None:
        """Let time pass, and turn once."""
        self.seconds += after
        self.sync.clock.move(seconds=after)
        self.worker.turn()

    def runs(self) -> list[tuple[str, str]]:
        """Trigger and status of every run."""
        return [(row["trigger"], row["status"]) for row in self.sync.rows(Run)]


@pytest.fixture
def sync(sqlite_database: Database, tmp_path: Path) -> Sync:
    sync = Sync(sqlite_database, tmp_path)
    sync.set(auto_sync=True)
    return sync


@pytest.fixture
def loop(sync: Sync) -> Turned:
    return Turned(sync)


def ask(sync: Sync, kind: str, **payload: Any) -> int:
    """Write a request, as the console does."""
    with sync.db.write() as s:
        directory = directory_settings.load(s)
        assert directory is not None
        return runs.request(
            s, directory.id, kind, now=sync.clock(), by="boss@company.com", payload=payload
        )


def request(sync: Sync, number: int) -> dict[str, Any]:
    """The request's row."""
    return next(row for row in sync.rows(RunRequest) if row["id"] == number)


def alarm(sync: Sync) -> str:
    """Return what the console shows as the directory's state."""
    (row,) = sync.rows(DirectoryState)
    return str(row["error"])


def test_it_reads_everything_first_and_then_follows_changes(loop: Turned) -> None:
    sync = loop.sync
    people = sync.people(12)
    loop.turn()
    assert loop.runs() == [("timer", "applied")]
    loop.turn()
    assert len(sync.rows(Run)) == 1
    sync.fake.change_person(people[0].guid, last_name="Married")
    loop.turn()
    assert loop.runs()[1:] == [("change", "applied")]
    assert sync.users()["p1.q1"]["last_name"] == "Married"
    assert sync.rows(Run)[-1]["delay_seconds"] == pytest.approx(1.0, abs=0.3)
    sync.clock.move(seconds=-2.5)  # as if written two whole seconds before the last look
    sync.fake.change_person(people[1].guid, last_name="Dated")
    sync.clock.move(seconds=2.5)
    loop.turn()
    assert sync.rows(Run)[-1]["delay_seconds"] == pytest.approx(1.0, abs=0.3)


def test_what_the_database_lost_is_written_again(loop: Turned) -> None:
    """It crashed, or failed over to a standby that had not been sent the last run yet."""
    sync = loop.sync
    people = sync.people(3)
    loop.turn()
    sync.fake.change_person(people[0].guid, last_name="Married")
    loop.turn()
    with sync.db.write() as s:
        s.execute(update(User).where(User.username == "p1.q1").values(last_name="Q1"))
        s.execute(delete(Run).where(Run.id == sync.rows(Run)[-1]["id"]))
    loop.turn(3.0)
    assert sync.users()["p1.q1"]["last_name"] == "Married"
    assert loop.runs() == [("timer", "applied"), ("change", "applied")]
    loop.turn(3.0)
    assert len(loop.runs()) == 2


def test_a_request_during_which_the_database_failed_is_done_after_it(
    loop: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = loop.sync
    sync.people(3)
    loop.turn()
    number = ask(sync, "build")

    def fail(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "finish_request", fail)
        loop.turn()
    assert request(sync, number)["finished_at"] is None
    loop.turn()
    assert request(sync, number)["finished_at"] is not None


def test_a_disabled_account_s_sessions_end_with_the_next_look(loop: Turned) -> None:
    """Disabled in AD must end sessions within seconds, not at the hourly run."""
    sync = loop.sync
    people = sync.people(12)
    loop.turn()
    with sync.db.write() as s:
        sessions.create(
            s,
            sync.users()["p1.q1"]["id"],
            method="directory",
            now=sync.clock(),
            lifetime=sessions.Lifetime(timedelta(hours=12), timedelta(hours=2)),
        )
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    loop.turn()
    assert sync.rows(WebSession) == []
    assert not sync.users()["p1.q1"]["active"]


def test_a_logon_that_moves_only_bookkeeping_makes_no_run(loop: Turned) -> None:
    sync = loop.sync
    people = sync.people(3)
    loop.turn()
    before = sync.mirror()
    sync.fake.change_person(people[0].guid)
    operations = sync.fake.operations
    loop.turn()
    assert sync.fake.operations == operations + 2  # the doorbell, and what changed
    loop.turn()
    assert sync.fake.operations == operations + 3  # the doorbell alone
    assert (len(sync.rows(Run)), sync.mirror()) == (1, before)


def test_a_change_that_leads_to_nothing_still_reaches_the_mirror(loop: Turned) -> None:
    sync = loop.sync
    (person,) = sync.people(1)
    sync.fake.change_person(person.guid, extension=None)
    loop.turn()
    sync.fake.change_person(person.guid, first_name="Renamed")
    loop.turn()
    assert len(sync.rows(Run)) == 1
    assert sync.rows(SeenPerson)[0]["first_name"] == "Renamed"


def test_a_conflict_clears_by_itself_when_ad_changes(loop: Turned) -> None:
    sync = loop.sync
    (person,) = sync.people(1)
    sync.fake.change_person(person.guid, extension=None)
    loop.turn()
    assert sync.users() == {}
    sync.fake.change_person(person.guid, extension="1001")
    loop.turn()
    assert sync.users()["p1.q1"]["extension"] == "1001"


def test_deletions_that_an_ordinary_account_cannot_see_are_swept_up_within_a_minute(
    loop: Turned,
) -> None:
    """Delta sync misses deletions: a sweep of identities alone finds them."""
    sync = loop.sync
    sync.fake.deletions_visible = False
    people = sync.people(12)
    loop.turn()
    sync.fake.remove_person(people[0].guid)
    loop.turn()
    assert sync.users()["p1.q1"]["active"]
    passed = 1.0
    while sync.users()["p1.q1"]["active"]:
        loop.turn(5.0)
        passed += 5.0
        assert passed <= 60.0
    assert passed - 5.0 <= sync.rows(Run)[-1]["delay_seconds"] <= 60.0


def test_another_server_or_a_restored_database_means_a_complete_read(loop: Turned) -> None:
    """USNs belong to one server: after a restore or failover everything is read anew."""
    sync = loop.sync
    people = sync.people(12)
    loop.turn()
    sync.fake.restore_database()
    sync.fake.usn -= 5
    sync.fake.change_person(people[0].guid, last_name="Old")
    loop.turn()
    assert loop.runs()[-1] == ("change", "applied")
    assert sync.users()["p1.q1"]["last_name"] == "Old"
    loop.turn()
    assert len(sync.rows(Run)) == 2


def test_every_hour_a_complete_read_is_the_proof(loop: Turned) -> None:
    sync = loop.sync
    sync.people(2)
    loop.turn()
    loop.turn(3601.0)
    assert loop.runs() == [("timer", "applied"), ("timer", "unchanged")]


def test_changed_settings_are_taken_up_at_once(loop: Turned) -> None:
    sync = loop.sync
    sync.set(auto_sync=False)
    sync.people(2)
    loop.turn()
    assert sync.users() == {}
    sync.set(auto_sync=True)
    loop.turn()
    assert len(sync.users()) == 2


def test_a_directory_that_is_away_raises_the_alarm_and_is_tried_again(loop: Turned) -> None:
    """An outage is an alarm, never a departure."""
    sync = loop.sync
    sync.people(12)
    loop.turn()
    sync.fake.down = True
    for _ in range(5):
        loop.turn()
    assert "No directory server can be reached" in alarm(sync)
    assert len(sync.rows(Run)) == 1
    sync.fake.down = False
    sync.fake.add_person("new.one", extension="3000")
    loop.turn()
    assert alarm(sync) == ""
    assert "new.one" in sync.users()


def test_changes_that_cannot_be_read_to_their_end_mean_complete_reads_until_one_succeeds(
    loop: Turned,
) -> None:
    sync = loop.sync
    people = sync.people(12)
    loop.turn()
    sync.fake.incomplete = True
    sync.fake.remove_person(people[0].guid)
    for _ in range(10):
        loop.turn()
    assert alarm(sync) == "The read was cut short."
    assert sync.users()["p1.q1"]["active"]
    sync.fake.incomplete = False
    loop.turn(300.0)
    assert (alarm(sync), sync.users()["p1.q1"]["active"]) == ("", False)


def test_an_outage_is_one_run_and_over_within_ten_seconds(loop: Turned) -> None:
    sync = loop.sync
    sync.fake.down = True
    for _ in range(300):
        loop.turn(1.0)
    assert loop.runs() == [("timer", "failed")]
    (outage,) = sync.rows(Run)
    assert outage["finished"] - outage["started"] >= timedelta(minutes=4)
    sync.fake.down = False
    sync.people(1)
    for _ in range(9):
        loop.turn(1.0)
    assert loop.runs() == [("timer", "failed"), ("timer", "applied")]
    assert alarm(sync) == ""


def test_a_minute_without_a_look_is_told_with_its_reason(loop: Turned) -> None:
    sync = loop.sync
    sync.people(1)
    with structlog.testing.capture_logs() as logs:
        for _ in range(30):
            loop.turn(2.0)
            loop.worker.beat()
        assert not [each for each in logs if "not seen" in each["event"]]
        sync.fake.down = True
        for _ in range(60):
            loop.turn(2.0)
            loop.worker.beat()
        told = [each for each in logs if "not seen" in each["event"]]
        assert [each["reason"] for each in told] == ["No directory server can be reached."]
        assert 60 < told[0]["seconds"] < 66
        sync.fake.down = False
        for _ in range(5):
            loop.turn(2.0)
            loop.worker.beat()
    assert [each["event"] for each in logs].count("changes in the directory are seen again") == 1


def test_a_turn_that_is_stuck_is_told_of_before_it_ends(loop: Turned) -> None:
    sync = loop.sync
    people = sync.people(1)
    loop.turn()
    told: list[list[Any]] = []
    with structlog.testing.capture_logs() as logs:

        def sticks(_operation: str) -> None:
            loop.seconds += 61.0
            loop.worker.beat()
            told.append([each for each in logs if "not seen" in each["event"]])

        sync.fake.on_operation = sticks
        sync.fake.change_person(people[0].guid)
        loop.turn()
    assert [each["seconds"] for each in told[0]] == [62]
    assert len(told[-1]) == 1  # once, however long it takes


def test_a_restarted_service_says_at_once_that_it_has_looked(loop: Turned) -> None:
    sync = loop.sync
    sync.people(1)
    loop.turn()
    loop.worker.beat()
    sync.clock.move(seconds=42)
    loop.worker = Worker(sync.engine, clock=lambda: loop.seconds)
    loop.turn()
    with sync.db.read() as s:
        looked_at = directory_settings.state(s, 1).looked_at
    assert looked_at is not None
    assert sync.clock() - looked_at < timedelta(seconds=1)


def test_a_look_is_noted_apart_from_the_heartbeat(loop: Turned) -> None:
    sync = loop.sync
    sync.people(1)
    loop.turn()
    loop.turn(5.0)
    sync.fake.down = True

    def deaf(after: float) -> bool:
        """Turn once more, beat, and ask as the console does."""
        loop.turn(after)
        with sync.db.fast_write() as hot:
            directory_settings.heartbeat(hot, 1, sync.clock(), loop.worker._last_look())
        with sync.db.read() as s:
            return directory_settings.is_deaf(directory_settings.state(s, 1), sync.clock())

    assert not deaf(50.0)
    assert deaf(11.0)
    sync.clock.move(minutes=-30)  # a wall clock that is set back hides nothing
    assert deaf(1.0)
    sync.fake.down = False
    assert not deaf(10.0)


def test_requests_bind_no_service_account_that_was_refused(loop: Turned) -> None:
    """Whatever an administrator presses: one wrong password is one bind."""
    sync = loop.sync
    made = []
    loop.worker.engine.connect = lambda _profile: made.append(1) or sync.fake  # type: ignore[func-returns-value]
    sync.fake.down = True
    loop.turn()
    for _ in range(5):
        ask(sync, "keep")
        loop.turn(1.0)
    assert len(made) == 1
    ask(sync, "keep", tested=True)
    loop.turn(1.0)
    assert len(made) == 2


def test_runs_that_fail_in_different_ways_are_told_each(loop: Turned) -> None:
    sync = loop.sync
    for attribute in ("down", "incomplete", "down"):
        setattr(sync.fake, attribute, True)
        for _ in range(30):
            loop.turn(1.0)
        setattr(sync.fake, attribute, False)
    assert loop.runs() == [("timer", "failed")] * 3


def test_trying_other_settings_leaves_the_watch_its_connection(loop: Turned) -> None:
    """As when somebody looks at the effect of another User Search DN, and leaves."""
    sync = loop.sync
    people = sync.people(5)
    made: list[Client] = []

    def connect(_profile: object) -> Client:
        made.append(Client(sync.fake))
        return made[-1]

    loop.worker.engine.connect = connect
    loop.turn()
    profile = {**PROFILE, "user_search_dn": "OU=Elsewhere,DC=goodcompany,DC=local"}
    ask(sync, "plan", settings={"profile": profile})
    loop.turn()
    assert [client.closed for client in made] == [False, True]
    sync.fake.change_person(people[0].guid, first_name="Renamed")
    loop.turn(2.0)
    assert sync.users()["p1.q1"]["first_name"] == "Renamed"


@pytest.mark.parametrize("kind", ["plan", "build", "import"])
def test_a_read_that_applies_nothing_swallows_no_change(loop: Turned, kind: str) -> None:
    """An edit in AD just before a request that reads: a preview, some people, a failed import."""
    sync = loop.sync
    people = sync.people(6)
    loop.turn()
    sync.fake.change_person(people[0].guid, first_name="Renamed")
    payloads: dict[str, dict[str, Any]] = {
        "plan": {},
        "build": {"guids": [str(people[3].guid)]},
        "import": {"dn": "CN=Nowhere,DC=goodcompany,DC=local", "number": "600"},
    }
    number = ask(sync, kind, **payloads[kind])
    loop.turn(0.1)
    assert request(sync, number)["finished_at"] is not None
    for _ in range(3):
        loop.turn(1.0)
    assert sync.users()["p1.q1"]["first_name"] == "Renamed"


def test_a_database_that_goes_away_loses_no_change(
    loop: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = loop.sync
    people = sync.people(12)
    loop.turn()
    sync.fake.change_person(people[0].guid, last_name="Married")

    def gone(*_args: object, **_more: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(sync.engine.__class__, "planned", gone)
    loop.turn()
    monkeypatch.undo()
    loop.turn()
    assert sync.users()["p1.q1"]["last_name"] == "Married"


def test_an_unexpected_fault_does_not_end_the_service(
    loop: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = loop.sync
    sync.people(2)

    def broken(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sync.engine.__class__, "planned", broken)
    loop.turn()
    monkeypatch.undo()
    assert loop.runs() == [("timer", "failed")]
    loop.turn(60.0)
    assert len(sync.users()) == 2


def test_on_a_busy_domain_it_looks_less_often(loop: Turned) -> None:
    """The cost to the domain controller stays under the stated ceiling."""
    sync = loop.sync
    people = sync.people(3)
    loop.turn()

    def costly(_operation: str) -> None:
        loop.seconds += 0.5  # each request takes half a second

    sync.fake.on_operation = costly
    began, operations = loop.seconds, sync.fake.operations
    while loop.seconds < began + 200.0:
        sync.fake.change_person(people[0].guid)
        loop.turn()
    spent = (sync.fake.operations - operations) * 0.5
    assert spent <= 1.1 / change_watch.RING_AT_LEAST_EVERY * (loop.seconds - began)
    assert spent > 0


def test_many_requests_make_it_look_less_often(loop: Turned) -> None:
    sync = loop.sync
    people = sync.people(3)
    loop.turn()

    def many(_operation: str) -> None:
        sync.fake.operations += 250  # twice in a look

    sync.fake.on_operation = many
    began, operations = loop.seconds, sync.fake.operations
    while loop.seconds < began + 200.0:
        sync.fake.change_person(people[0].guid)
        loop.turn()
    looks = (sync.fake.operations - operations) / 500
    assert 1 <= looks <= 1 + 200 / change_watch.LOOK_AT_LEAST_EVERY


def test_one_slow_answer_does_not_keep_it_from_looking(loop: Turned) -> None:
    """A domain controller that hesitated once must not hide who was disabled right after."""
    sync = loop.sync
    people = sync.people(12)
    loop.turn()

    def hesitates(_operation: str) -> None:
        loop.seconds += 25.0
        sync.fake.on_operation = None

    sync.fake.on_operation = hesitates
    loop.turn()
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    loop.turn(change_watch.RING_AT_LEAST_EVERY)
    assert not sync.users()["p1.q1"]["active"]


def test_what_was_slow_is_followed_within_ten_seconds_of_being_fast_again(loop: Turned) -> None:
    """A network that delayed everything, or a server that was stopped for two seconds."""
    sync = loop.sync
    people = sync.people(3)
    loop.turn()

    def slow(_operation: str) -> None:
        loop.seconds += 2.4

    sync.fake.on_operation = slow
    for _ in range(20):
        loop.turn()
    loop.turn(change_watch.RING_AT_LEAST_EVERY)  # one more slow look
    sync.fake.on_operation = None
    sync.fake.change_person(people[0].guid, last_name="Married")
    for _ in range(9):
        loop.turn()
    assert sync.users()["p1.q1"]["last_name"] == "Married"


def test_an_outage_is_no_reason_to_look_less_often(loop: Turned) -> None:
    sync = loop.sync
    people = sync.people(12)
    loop.turn()

    def in_vain(_operation: str) -> None:
        loop.seconds += 30.0  # until the time for an answer is over

    sync.fake.hung, sync.fake.on_operation = True, in_vain
    for _ in range(3):
        loop.turn()
    sync.fake.hung, sync.fake.on_operation = False, None
    sync.fake.change_person(people[0].guid, state=AccountState.DISABLED)
    loop.turn(2.0)
    assert not sync.users()["p1.q1"]["active"]


# Requests of the console


def test_requests_are_taken_up_and_answered(loop: Turned) -> None:
    sync = loop.sync
    sync.set(auto_sync=False)
    people = sync.people(3)
    group = sync.fake.add_department("Sales", [people[2].guid])
    loop.turn()
    planned = ask(sync, "plan", build=True, guids=[str(people[0].guid)])
    loop.turn(0.25)
    answer = request(sync, planned)
    assert (answer["error"], answer["finished_at"] is not None) == ("", True)
    run = next(row for row in sync.rows(Run) if row["id"] == answer["run_id"])
    assert (run["status"], run["trigger"], run["requested_by"]) == (
        "planned",
        "console",
        "boss@company.com",
    )
    assert [a["name"] for a in run["plan"]["actions"]] == ["P1 Q1"]
    done = ask(sync, "confirm", run=run["id"], digest=run["plan"]["digest"])
    loop.turn(0.25)
    assert request(sync, done)["result"]["created"] == 1
    imported = ask(sync, "import", guid=str(group.guid), dn=group.dn, number="600")
    loop.turn(0.25)
    assert request(sync, imported)["result"]["departments"] == {"imported": 1, "updated": 0}
    assert set(sync.users()) == {"p1.q1", "p3.q3"}
    unimported = ask(sync, "unimport", guid=str(group.guid))
    built = ask(sync, "build")
    loop.turn(0.25)
    assert request(sync, unimported)["error"] == ""
    assert request(sync, built)["result"]["status"] == "applied"
    undone = ask(sync, "undo", run=request(sync, built)["run_id"])
    loop.turn(0.25)
    assert request(sync, undone)["result"]["status"] == "applied"
    tried = ask(sync, "plan", settings={"auto_sync": True})
    loop.turn(0.25)
    assert request(sync, tried)["result"]["plan"]["actions"] != []


def test_a_request_that_cannot_be_done_says_why(loop: Turned) -> None:
    sync = loop.sync
    loop.turn()
    wrong: dict[str, dict[str, Any]] = {
        "confirm": {"run": 99},
        "discard": {},
        "import": {"dn": "CN=Nobody,DC=x", "number": "600"},
        "nonsense": {},
        "undo": {"run": 1},
    }
    numbers = {kind: ask(sync, kind, **payload) for kind, payload in wrong.items()}
    loop.turn(0.25)
    errors = {kind: request(sync, number)["error"] for kind, number in numbers.items()}
    assert errors == {
        "confirm": "There is no run 99.",
        "discard": "The request lacks 'run'.",
        "import": "There is no directory department CN=Nobody,DC=x below the Department Search DN.",
        "nonsense": "Nobody knows 'nonsense'.",
        "undo": "Run 1 is unchanged (build) and cannot be undone.",
    }


def test_what_a_crashed_service_had_taken_up_is_done_by_the_next(loop: Turned) -> None:
    sync = loop.sync
    sync.people(1)
    number = ask(sync, "build")
    with sync.db.write() as s:
        runs.take_request(s, sync.clock())
    loop.turn()
    loop.turn()
    assert request(sync, number)["finished_at"] is not None


def test_progress_of_a_request_can_be_followed(loop: Turned) -> None:
    sync = loop.sync
    sync.people(3)
    seen: list[tuple[str, bool]] = []

    def look(_operation: str) -> None:
        row = sync.rows(Run)[-1]
        bound = any(r["run_id"] == row["id"] for r in sync.rows(RunRequest))
        seen.append((row["status"], bound))

    ask(sync, "build")
    sync.fake.on_operation = look
    loop.turn()
    assert ("running", True) in seen


def test_it_serves_until_it_is_told_to_stop(loop: Turned) -> None:
    sync = loop.sync
    sync.people(2)
    loop.worker = replace(loop.worker, tick=0.01)
    service = threading.Thread(target=loop.worker.serve)
    service.start()
    done = threading.Event()
    while not sync.users():
        done.wait(0.01)
    sync.engine.stop.set()
    service.join(10)
    assert not service.is_alive()
