"""Why each leaver leaves and since when: in the plan, in a held run, and what asking costs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from dirclient.model.errors import Unavailable
from kerauno.database.engine import Database
from provisioning.plan import Mode
from syncsvc.runs import plan_review
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    return Sync(database, tmp_path)


def _told(rows: list[dict[str, str]]) -> dict[str, tuple[str, str | None, str | None]]:
    return {r["username"]: (r["reason"], r.get("since"), r.get("since_by")) for r in rows}


def test_every_reason_with_the_directory_s_own_time(sync: Sync) -> None:
    disabled, expired, deleted, moved = sync.people(4)
    sync.people(6, first=10)
    sync.build()
    ended = sync.clock() - timedelta(days=3)
    changed = sync.fake.change_person(disabled.guid, state=AccountState.DISABLED).changed
    sync.fake.expire(expired.guid, ended)
    gone = sync.clock()
    sync.fake.remove_person(deleted.guid)
    sync.fake.set_scope(moved.guid, False)
    plan = sync.engine.preview(Mode.KEEP).plan.as_json()
    assert changed is not None
    by_ad = {
        "p1.q1": ("disabled", changed.isoformat(timespec="seconds"), "ad"),
        "p2.q2": ("expired", ended.isoformat(timespec="seconds"), "ad"),
        "p3.q3": ("deleted", gone.isoformat(timespec="seconds"), "ad"),
    }
    assert _told(plan["actions"]) == by_ad | {"p4.q4": ("out_of_scope", None, None)}


def test_a_held_run_tells_since_when_the_sync_knows_where_the_directory_does_not(
    sync: Sync,
) -> None:
    """The first time stays, also when more people leave and another run is held instead."""
    people = sync.people(12)
    sync.build()
    sync.fake.deletions_visible = False
    sync.fake.remove_person(people[0].guid)
    for person in people[1:6]:
        sync.fake.set_scope(person.guid, False)
    held = _told(sync.run()["actions"])
    assert {(reason, by) for reason, _, by in held.values()} == {
        ("deleted", "sync"), ("out_of_scope", "sync")
    }  # fmt: skip
    sync.clock.move(hours=5)
    sync.fake.set_scope(people[6].guid, False)
    again = _told(sync.run()["actions"])
    assert {name: again[name] for name in held} == held
    assert again["p7.q7"][1] != held["p1.q1"][1]


def test_asking_costs_one_operation_and_none_where_nobody_leaves(sync: Sync) -> None:
    people = sync.people(12)
    sync.build()
    before = sync.fake.operations
    assert sync.run()["ldap_operations"] == 1
    assert sync.fake.operations - before == 1
    for person in people[:3]:
        sync.fake.remove_person(person.guid)
    before = sync.fake.operations
    report = sync.run()
    assert (report["deactivated"], report["ldap_operations"]) == (3, 2)
    assert sync.fake.operations - before == 2


def test_a_directory_that_does_not_tell_leaves_them_out_of_scope(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_guids: object) -> None:
        raise Unavailable("no answer")

    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.remove_person(person.guid)
    monkeypatch.setattr(sync.fake, "locate", silent)
    held = sync.run()
    assert {action["reason"] for action in held["actions"]} == {"out_of_scope"}
    assert held["status"] == "held"


def test_another_time_of_the_same_plan_does_not_make_it_another(sync: Sync) -> None:
    """`whenChanged` moves with every edit, and differs from server to server."""
    people = sync.people(12)
    sync.build()
    for person in people[:7]:
        sync.fake.change_person(person.guid, state=AccountState.DISABLED)
    held = sync.run()
    sync.clock.move(minutes=5)
    sync.fake.change_person(people[0].guid, display_name="Somebody")
    assert sync.run()["run"] == held["run"]
    done = plan_review.confirm(sync.engine, held["run"], RunOptions("cli", wait=0.0))
    assert done["deactivated"] == 7
