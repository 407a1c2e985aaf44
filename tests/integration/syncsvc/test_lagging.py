"""Failover to a server that lags behind: nothing is taken away, nothing old comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from authsvc.cli import check
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import AccountState, Person, ServerState
from kerauno.base.errors import Stale
from kerauno.database.engine import Database
from kerauno.signin import sessions
from kerauno.sync import directory_settings
from kerauno.tables.core import DirectoryState, Link, Run, WebSession
from provisioning.partial_confirmation import Choice
from syncsvc.runs import plan_review
from syncsvc.runs.engine import RunOptions
from syncsvc.runs.replica_lag import LONGEST_WAIT
from syncsvc.service.worker import Worker
from tests.sync_engine import Sync

DC1, DC2 = "dc1.goodcompany.local", "dc2.goodcompany.local"


class Servers:
    """Two servers of one domain behind one client: the first that is up answers."""

    def __init__(self, first: FakeDirectory, second: FakeDirectory) -> None:
        self.first, self.second = first, second
        first.server, second.server = ServerState(DC1, True), ServerState(DC2, True)

    def __getattr__(self, name: str) -> Any:
        answering = self.second if self.first.down else self.first
        return getattr(answering, name)


class Company:
    """A company whose people changed on dc1 since dc2 last replicated; dc1 has just gone."""

    def __init__(self, sync: Sync) -> None:
        self.sync = sync
        self.dc1, self.dc2 = FakeDirectory(now=sync.clock), FakeDirectory(now=sync.clock)
        sync.fake = Servers(self.dc1, self.dc2)  # type: ignore[assignment]
        self.seconds = 1000.0
        self.worker = Worker(sync.engine, clock=lambda: self.seconds)
        self.people = [
            self.dc1.add_person(f"p{n}.q{n}", extension=str(1000 + n)) for n in range(1, 31)
        ]
        self.sales = self.dc1.add_department("Sales", [one.guid for one in self.people[:10]])
        self.support = self.dc1.add_department("Support", [one.guid for one in self.people[10:20]])
        self.dc2.replicate(self.dc1)
        self.dc1.replicate(self.dc2)
        self.turn()

    def turn(self, after: float = 1.0) -> None:
        """Let time pass, and turn the service's loop once."""
        self.seconds += after
        self.sync.clock.move(seconds=after)
        self.worker.turn()

    def change(self) -> None:
        """One change of each kind on dc1, which the service applies before dc1 goes."""
        dc1, people = self.dc1, self.people
        dc1.change_person(people[0].guid, state=AccountState.DISABLED)
        dc1.remove_person(people[1].guid)
        dc1.set_scope(people[2].guid, False)
        dc1.change_person(people[3].guid, last_name="Renamed")
        dc1.change_person(people[4].guid, extension="2004")
        dc1.change_person(people[5].guid, login="new.name@company.com")
        dc1.change_department(self.sales.guid, members=[one.guid for one in people[7:10]])
        dc1.change_department(self.support.guid, name="Helpdesk", members=[people[6].guid])
        self.newcomer = dc1.add_person("new.comer", extension="3001")
        self.turn()
        self.truth = self.sync.state()
        assert self.sync.users()["new.comer"]["active"]
        assert not self.sync.users()["p1.q1"]["active"]

    def replicate(self) -> None:
        """Let dc2 catch up with dc1."""
        self.dc2.replicate(self.dc1)

    def told(self) -> DirectoryState:
        """Return what the database says of the directory."""
        with self.sync.db.read() as s:
            directory = directory_settings.load(s)
            assert directory is not None
            return directory_settings.state(s, directory.id)

    def held(self) -> list[dict[str, Any]]:
        """Runs that wait for an administrator."""
        return [row for row in self.sync.rows(Run) if row["status"] == "held"]

    def refused(self, person: Person) -> bool:
        """Return whether sign-in is refused."""
        (link,) = (row for row in self.sync.rows(Link) if row["guid"] == person.guid)
        return link["refused_since"] is not None


@pytest.fixture
def sync(sqlite_database: Database, tmp_path: Path) -> Sync:
    sync = Sync(sqlite_database, tmp_path)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    return sync


@pytest.fixture
def company(sync: Sync) -> Company:
    company = Company(sync)
    company.change()
    return company


def test_nothing_is_taken_away_by_a_server_that_lags(company: Company) -> None:
    """Seen with two servers: within a second of the failover all of dc1's changes were undone."""
    with structlog.testing.capture_logs() as log:
        company.dc1.down = True
        company.turn()
        operations = company.dc2.operations
        for _ in range(5):
            company.turn()
    assert company.dc2.operations - operations == 5 * 2  # the doorbell, and how far it has come
    assert company.sync.state() == company.truth
    assert company.refused(company.people[0])
    state = company.told()
    assert f"{DC2} has not caught up with {DC1} since 2026-11-23" in state.lagging
    assert [line["event"] for line in log].count("a server lags behind") == 1
    (held,) = company.held()
    assert held["error"].startswith(state.lagging)
    kinds = {action["action"] for action in held["plan"]["actions"]}
    assert kinds == {"deactivate", "reactivate", "update"}


def test_check_tells_of_it(company: Company, tmp_path: Path) -> None:
    environ = {
        "KERAUNO_DATABASE_URL": company.sync.db.url.render_as_string(hide_password=False),
        "KERAUNO_SECRET_KEY_FILE": str(tmp_path / "secret.key"),
    }
    assert "has not caught up" not in "\n".join(check.faults(environ))
    company.dc1.down = True
    company.turn()
    assert f"servers: {company.told().lagging}" in check.faults(environ)


def test_what_caught_up_is_applied_within_one_look(company: Company) -> None:
    company.dc1.down = True
    company.turn()
    company.replicate()
    company.dc2.change_person(company.people[20].guid, last_name="Later")
    company.dc2.remove_person(company.people[21].guid)
    company.turn()
    users = company.sync.users()
    assert users["p21.q21"]["last_name"] == "Later"
    assert not users["p22.q22"]["active"]
    assert users["new.comer"]["active"]
    state = company.told()
    assert (state.lagging, state.lagging_since) == ("", None)
    assert not company.held()


def test_a_server_that_has_it_all_is_believed_at_once(company: Company) -> None:
    company.replicate()
    company.dc2.change_person(company.people[0].guid, state=AccountState.ACTIVE)
    company.dc1.down = True
    company.turn()
    assert company.sync.users()["p1.q1"]["active"]
    assert not company.refused(company.people[0])
    assert company.told().lagging == ""


def test_what_is_none_of_our_business_needs_no_proof(company: Company) -> None:
    """A domain controller counts DNS and its own settings too, which others may learn late."""
    company.replicate()
    company.dc1.usn += 5
    company.turn(3601.0)  # a complete read of all that
    company.dc1.down = True
    company.dc2.change_person(company.people[20].guid, last_name="Later")
    company.turn()
    assert company.sync.users()["p21.q21"]["last_name"] == "Later"
    assert company.told().lagging == ""


def test_the_way_back_needs_the_same_proof(company: Company) -> None:
    """dc1 returns as it was when it went, while dc2 was believed meanwhile."""
    company.replicate()
    company.dc1.down = True
    company.turn()
    company.dc2.change_person(company.people[8].guid, state=AccountState.DISABLED)
    company.dc2.change_person(company.people[9].guid, extension="2009")
    second = company.dc2.add_person("second.comer", extension="3002")
    company.turn()
    truth = company.sync.state()
    assert company.sync.users()["second.comer"]["active"]
    company.dc1.down = False
    for _ in range(3):
        company.turn()
    assert company.sync.state() == truth
    assert company.refused(company.people[8])
    assert f"{DC1} has not caught up with {DC2}" in company.told().lagging
    company.dc1.replicate(company.dc2)
    company.dc1.change_person(second.guid, last_name="Both")
    company.turn()
    assert company.sync.users()["second.comer"]["last_name"] == "Both"
    assert company.told().lagging == ""


def test_who_is_new_is_added_by_a_server_that_lags(company: Company) -> None:
    """And dc1 may not take them away again before it knows them."""
    company.dc1.down = True
    company.turn()
    company.dc2.change_department(
        company.sales.guid,
        members=[
            *(one.guid for one in company.people[:10]),
            company.dc2.add_person("quite.new", extension="3003").guid,
        ],
    )
    company.turn()
    assert company.sync.users()["quite.new"]["active"]
    assert company.sync.members("Sales") == {"p8.q8", "p9.q9", "p10.q10", "quite.new"}
    assert company.held()
    company.dc1.down = False
    company.turn()
    assert company.sync.users()["quite.new"]["active"]
    assert f"{DC1} has not caught up with {DC2}" in company.told().lagging


def test_who_is_new_gets_no_number_that_only_the_old_state_has_free(company: Company) -> None:
    company.dc1.down = True
    company.turn()
    company.dc2.add_person("quite.new", extension="2004")  # p5.q5's since, which dc2 does not know
    company.turn()
    users = company.sync.users()
    assert users["p5.q5"]["extension"] == "2004"
    assert "quite.new" not in users


def test_the_stricter_word_counts_at_sign_in(company: Company) -> None:
    """Disabled on dc2 alone: refused at once, sessions ended; and dc1 must know it to lift that."""
    who = company.people[12]
    user_id = company.sync.users()["p13.q13"]["id"]
    with company.sync.db.write() as s:
        now, lifetime = company.sync.clock(), sessions.Lifetime()
        sessions.create(s, user_id, method="directory", now=now, lifetime=lifetime)
    company.dc1.down = True
    company.turn()
    company.dc2.change_person(who.guid, state=AccountState.DISABLED)
    company.turn()
    assert company.refused(who)
    assert company.refused(company.people[0])  # whom dc1 disabled, and dc2 calls active
    assert company.sync.rows(WebSession) == []
    assert company.sync.users()["p13.q13"]["active"]  # that waits
    company.dc1.down = False
    company.turn()
    assert company.refused(who)


def test_a_restart_does_not_forget(company: Company) -> None:
    company.dc1.down = True
    company.worker = Worker(company.sync.another(), clock=lambda: company.seconds)
    company.turn()
    assert company.sync.state() == company.truth
    since = company.told().lagging_since
    company.worker = Worker(company.sync.another(), clock=lambda: company.seconds)
    company.turn(600.0)
    assert company.sync.state() == company.truth
    assert company.told().lagging_since == since


def test_an_administrator_confirms_what_waits(company: Company) -> None:
    """dc1 burnt: dc2 is all there is."""
    company.dc1.down = True
    company.turn()
    (held,) = company.held()
    report = plan_review.confirm(company.sync.engine, held["id"], RunOptions("cli", wait=0.0))
    assert report["status"] == "applied"
    users = company.sync.users()
    assert users["p1.q1"]["active"]
    assert not company.refused(company.people[0])
    assert not users["new.comer"]["active"]
    assert users["p5.q5"]["extension"] == "1005"
    assert company.told().lagging == ""
    company.turn()
    company.dc2.change_person(company.people[5].guid, last_name="After")
    company.turn()
    assert company.sync.users()["p6.q6"]["last_name"] == "After"


def test_some_of_what_waits_can_be_confirmed(company: Company) -> None:
    """Whoever is left out stays as they are, and is no reason to hold a run again."""
    company.dc1.down = True
    company.turn()
    (held,) = company.held()
    choice = Choice(keep=frozenset({"new.comer@company.com"}))
    report = plan_review.confirm(
        company.sync.engine, held["id"], RunOptions("cli", wait=0.0), choice=choice
    )
    assert report["status"] == "applied"
    assert company.sync.users()["new.comer"]["active"]
    assert company.sync.users()["p1.q1"]["active"]
    company.turn()
    company.turn(3601.0)
    assert company.sync.users()["new.comer"]["active"]
    assert company.told().lagging == ""
    assert not company.held()


def test_what_was_confirmed_too_late_is_not_applied(company: Company) -> None:
    company.dc1.down = True
    company.turn()
    (held,) = company.held()
    company.replicate()
    with pytest.raises(Stale):
        plan_review.confirm(company.sync.engine, held["id"], RunOptions("cli", wait=0.0))
    company.turn()
    assert company.sync.state() == company.truth


def test_the_wait_ends_by_itself(company: Company) -> None:
    company.dc1.down = True
    company.turn()
    company.turn(LONGEST_WAIT.total_seconds() - 60)
    assert company.sync.state() == company.truth
    company.turn(61.0)
    users = company.sync.users()
    assert users["p1.q1"]["active"]
    assert not users["new.comer"]["active"]
    assert company.told().lagging == ""


def test_a_server_restored_from_a_backup_waits(company: Company) -> None:
    """MS-ADTS 3.1.1.1.9: it gets another invocationId, and knows its old one as of the backup."""
    backup = company.dc2
    backup.vector[company.dc1.server_id] = company.dc1.usn - 5
    company.dc1.down = True
    company.turn()
    assert company.sync.state() == company.truth
    assert company.told().lagging


def test_a_read_only_server_and_back(company: Company) -> None:
    """Nobody replicates from it: whoever knows what it had been given knows what it showed."""
    company.dc2.read_only = True
    company.replicate()
    company.dc1.down = True
    company.turn()
    assert company.told().lagging == ""
    company.dc1.down = False
    company.dc1.change_person(company.people[20].guid, last_name="Later")
    company.turn()
    assert company.sync.users()["p21.q21"]["last_name"] == "Later"
    assert company.told().lagging == ""
    company.dc1.down = True
    company.turn()
    assert f"{DC2} has not caught up with {DC1}" in company.told().lagging
    assert company.sync.users()["p21.q21"]["last_name"] == "Later"
    company.replicate()
    company.turn()
    company.dc1.down = False
    company.turn()
    assert company.told().lagging == ""


def test_the_first_read_ever_needs_no_proof(sync: Sync) -> None:
    sync.people(3)
    assert sync.run()["status"] == "applied"


@pytest.mark.parametrize("reads", [lambda sync: sync.run(), lambda sync: sync.build()])
def test_a_run_by_hand_takes_nothing_away_either(
    company: Company, reads: Callable[[Sync], dict[str, Any]]
) -> None:
    company.dc1.down = True
    report = reads(company.sync)
    assert report["status"] == "held"
    assert DC2 in report["error"]
    assert company.sync.state() == company.truth


def test_a_preview_holds_what_may_be_done(company: Company) -> None:
    company.dc1.down = True
    planned = company.sync.engine.preview()
    assert planned.plan.empty
    assert planned.lag is not None
    assert company.told().lagging == ""  # a preview notes nothing
    report = plan_review.plan_for_review(company.sync.engine, RunOptions("console", wait=0.0))
    (run,) = (row for row in company.sync.rows(Run) if row["id"] == report["run"])
    assert run["plan"]["reasons"] == [planned.lag.words]
    assert run["plan"]["actions"] == []
