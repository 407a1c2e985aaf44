"""An administrator confirms some people of a held run; the others stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.base.errors import InvalidValue
from kerauno.database.engine import Database
from kerauno.sync import directory_settings, runs
from kerauno.tables.core import Audit, Run, RunChange
from provisioning.partial_confirmation import Choice
from provisioning.plan import Mode
from syncsvc.runs import departments, plan_review, requests
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync

CLI = RunOptions("cli", wait=0.0, by="ada")


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def _inactive(sync: Sync) -> set[str]:
    return {name for name, user in sync.users().items() if not user["active"]}


def test_some_are_confirmed_and_the_rest_is_left_out_until_somebody_builds(sync: Sync) -> None:
    """Named by GUID, email and username; below the threshold too the rest is not applied."""
    people = sync.people(60)
    sync.build()
    for person in people[:8]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    names = {str(people[0].guid), "P2.Q2@company.com", "p3.q3"}
    email = sync.users()["p2.q2"]["email"]
    choice = Choice(only=frozenset(names - {"P2.Q2@company.com"} | {email.upper()}))
    done = plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    assert (done["run"], done["status"], done["deactivated"]) == (held["run"], "applied", 3)
    assert set(done["confirmed"]) == {str(p.guid) for p in people[:3]}
    assert set(done["kept"]) == {str(p.guid) for p in people[3:8]}
    assert _inactive(sync) == {"p1.q1", "p2.q2", "p3.q3"}
    assert {row["guid"] for row in sync.rows(RunChange) if row["action"] == "keep"} == {
        str(p.guid) for p in people[3:8]
    }
    noted = [row for row in sync.rows(Audit) if row["event"] == "run-confirmed"]
    assert [(row["actor"], row["outcome"]) for row in noted] == [("ada", "applied")]
    assert noted[0]["detail"]["people"] == ["p1.q1", "p2.q2", "p3.q3"]
    assert noted[0]["detail"]["left_out"] == [f"p{n}.q{n}" for n in range(4, 9)]
    for trigger in ("timer", "change", "cli", "console"):
        assert sync.run(trigger=trigger)["status"] == "unchanged"
    sync.fake.change_person(people[20].guid, last_name="Married")
    sync.fake.set_scope(people[21].guid, False)
    others = sync.run(trigger="timer")
    assert (others["status"], others["updated"], others["deactivated"]) == ("applied", 1, 1)
    assert _inactive(sync) == {"p1.q1", "p2.q2", "p3.q3", "p22.q22"}
    again = sync.build()
    assert (again["status"], again["run"] != held["run"]) == ("held", True)
    assert again["held_because"].endswith(
        " 5 changes were left out by an administrator and would be made now."
    )
    sync.fake.set_scope(people[21].guid, True)
    assert sync.run(trigger="timer")["reactivated"] == 1
    again = sync.build()
    plan_review.confirm(sync.engine, again["run"], CLI)
    assert len(_inactive(sync)) == 8


def test_a_run_held_without_those_who_were_left_out_is_confirmed_without_them(
    sync: Sync,
) -> None:
    people = sync.people(80)
    sync.build()
    for person in people[:10]:
        sync.fake.set_scope(person.guid, False)
    first = sync.run()
    only = frozenset(str(person.guid) for person in people[1:10])
    plan_review.confirm(sync.engine, first["run"], CLI, choice=Choice(only=only))
    for person in people[10:20]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run(trigger="timer")
    assert (held["status"], len(held["actions"])) == ("held", 10)
    some = frozenset(str(person.guid) for person in people[10:19])
    done = plan_review.confirm(sync.engine, held["run"], CLI, choice=Choice(only=some))
    assert (done["status"], done["deactivated"]) == ("applied", 9)
    assert _inactive(sync) == {f"p{number}.q{number}" for number in range(2, 20)}
    assert sync.run(trigger="timer")["status"] == "unchanged"


def test_confirmed_people_do_not_count_toward_the_hour(sync: Sync) -> None:
    people = sync.people(60)
    sync.build()
    for person in people[:8]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    only = frozenset(str(p.guid) for p in people[:7])
    plan_review.confirm(sync.engine, held["run"], CLI, choice=Choice(only=only))
    sync.fake.set_scope(people[7].guid, True)
    statuses = []
    for person in people[8:14]:
        sync.fake.set_scope(person.guid, False)
        statuses.append(sync.run(trigger="change")["status"])
    assert statuses == ["applied"] * 5 + ["held"]


def test_whoever_was_kept_and_is_back_holds_nothing(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    kept = frozenset(str(p.guid) for p in people[1:7])
    plan_review.confirm(sync.engine, held["run"], CLI, choice=Choice(keep=kept))
    for person in people[1:7]:
        sync.fake.set_scope(person.guid, True)
    assert sync.run(trigger="timer")["status"] == "unchanged"
    sync.fake.change_person(people[1].guid, last_name="Married")
    assert sync.run(trigger="timer")["status"] == "applied"


def test_a_department_that_would_be_emptied_is_kept_while_the_rest_is_confirmed(
    sync: Sync,
) -> None:
    people = sync.people(12)
    sales = sync.fake.add_department("Sales", [people[0].guid])
    staff = sync.fake.add_department("Staff", [people[1].guid])
    sync.build()
    departments.import_department(sync.engine, CLI, sales.dn, "600")
    departments.import_department(sync.engine, CLI, staff.dn, "601")
    sync.fake.change_department(sales.guid, members=[])
    sync.fake.change_department(staff.guid, members=[])
    sync.fake.change_person(people[2].guid, last_name="Married")
    held = sync.run()
    assert held["status"] == "held"
    choice = Choice(keep=frozenset({str(sales.guid)}))
    done = plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    assert (done["status"], done["updated"]) == ("applied", 1)
    assert (sync.members("Sales"), sync.members("Staff")) == ({"p1.q1"}, set())
    assert sync.run(trigger="timer")["status"] == "unchanged"
    assert sync.members("Sales") == {"p1.q1"}
    again = sync.build()
    assert again["status"] == "held"
    plan_review.confirm(sync.engine, again["run"], CLI, choice=Choice(only=frozenset({"Sales"})))
    assert sync.members("Sales") == set()


def test_a_kept_leaver_stays_in_the_department_and_the_mirror(sync: Sync) -> None:
    people = sync.people(12)
    sales = sync.fake.add_department("Sales", [people[0].guid, people[1].guid, people[9].guid])
    sync.build()
    departments.import_department(sync.engine, CLI, sales.dn, "600")
    for person in people[:7]:
        sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    held = sync.run()
    choice = Choice(keep=frozenset({str(people[0].guid)}))
    plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    assert sync.members("Sales") == {"p1.q1", "p10.q10"}
    states = {row["guid"]: row["state"] for row in sync.mirror()["seen_person"]}
    assert states[str(people[0].guid)] == "leaving"
    assert states[str(people[1].guid)] == "left"


def test_who_would_take_the_name_of_a_kept_leaver_gets_a_conflict(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    heir = sync.fake.add_person("p1.q1x", login=people[0].login, extension="1999")
    held = sync.run(Mode.BUILD)
    choice = Choice(only=frozenset({str(heir.guid), str(people[1].guid)}))
    done = plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    assert (done["created"], done["deactivated"], done["conflicts"]) == (0, 1, 1)
    assert sync.users()["p1.q1"]["active"]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(only=frozenset({"nobody@x"})), "nobody@x: not in this run's plan."),
        (Choice(keep=frozenset({"p1.q1", "p2.q2", "p3.q3", "p4.q4", "p5.q5", "p6.q6", "p7.q7"})),
         "Nobody was chosen."),
    ],
)  # fmt: skip
def test_a_choice_that_does_not_fit_leaves_the_run_waiting(
    sync: Sync, choice: Choice, words: str
) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    with pytest.raises(InvalidValue, match=words):
        plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    assert not _inactive(sync)
    assert sync.rows(Run)[-1]["status"] == "held"


def test_a_preview_is_applied_as_a_whole(sync: Sync) -> None:
    sync.people(2)
    planned = plan_review.plan_for_review(sync.engine, RunOptions("cli", mode=Mode.BUILD, wait=0.0))
    with pytest.raises(InvalidValue, match="preview"):
        plan_review.confirm(
            sync.engine, planned["run"], CLI, choice=Choice(only=frozenset({"p1.q1"}))
        )


def test_the_part_that_was_applied_can_be_undone(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    choice = Choice(only=frozenset({str(people[0].guid)}))
    plan_review.confirm(sync.engine, held["run"], CLI, choice=choice)
    _, could_not = plan_review.undo(sync.engine, held["run"], CLI)
    assert (could_not, _inactive(sync)) == ([], set())


def test_the_console_asks_for_those_to_keep(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.set_scope(person.guid, False)
    held = sync.run()
    with sync.db.write() as s:
        directory = directory_settings.load(s)
        assert directory is not None
        payload = {"run": held["run"], "keep": [str(people[0].guid)]}
        runs.request(s, directory.id, "confirm", now=sync.clock(), by="ada", payload=payload)
    assert requests.process_next(sync.engine)
    assert _inactive(sync) == {f"p{n}.q{n}" for n in range(2, 8)}


def test_people_whom_a_held_run_concerns_are_shown_as_leaving_until_it_is_over(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()

    def states() -> list[str]:
        rows = {row["guid"]: row["state"] for row in sync.mirror()["seen_person"]}
        return [rows.get(str(person.guid), "gone") for person in people]

    for person in people[:6]:
        sync.fake.set_scope(person.guid, False)
    sync.fake.change_person(people[6].guid, state=AccountState.DISABLED)
    held = sync.run(trigger="timer")
    assert states() == ["leaving"] * 7 + ["synced"] * 5
    plan_review.discard(sync.engine, held["run"])
    sync.fake.set_scope(people[0].guid, True)
    sync.fake.set_scope(people[1].guid, True)
    assert sync.run(trigger="timer")["status"] == "applied"
    assert states() == ["synced"] * 2 + ["gone"] * 4 + ["left"] + ["synced"] * 5


def test_a_preview_says_that_the_plan_was_undone(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    sync.fake.set_scope(people[0].guid, False)
    plan_review.undo(sync.engine, sync.run()["run"], CLI)
    planned = plan_review.plan_for_review(sync.engine, RunOptions("cli", mode=Mode.BUILD, wait=0.0))
    words = ["1 changes were undone and would be made again."]
    with sync.db.read() as s:
        run = s.get(Run, planned["run"])
        assert run is not None
        assert (run.plan or {})["reasons"] == words
    assert list(sync.engine.undone(sync.engine.preview(Mode.KEEP))) == words
