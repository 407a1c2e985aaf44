"""The connection test counts conflicts of people who are not built yet, with the records in
mind."""

from __future__ import annotations

from pathlib import Path

from authsvc.console.ad_credentials.conflict_counts import judge
from dirclient.model.directory_objects import AccountState
from kerauno.database.engine import Database
from kerauno.sync.directory_mirror import Filter, counts, page
from provisioning.plan import Mode
from tests.servers.demo import DemoDirectory
from tests.servers.web import Installation, configure_directory
from tests.sync_engine import Sync

EXTENSION = ("--extension", "1001")
"""That of somebody in the demo's company."""


def test_it_counts_what_a_plan_would_in_three_statements(
    database: Database, tmp_path: Path
) -> None:
    sync = Sync(database, tmp_path)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    staff = sync.people(3)
    sync.fake.add_department("Sales", [staff[0].guid])
    sync.build()
    sync.add_local("local", "1010")
    sync.people(2, first=9)  # 1009 and 1010
    sync.fake.add_person("odd.one", extension="600")
    sync.fake.add_person("new.one", extension="1001")
    people = list(sync.fake.read().people.values())
    with database.counting() as counts:
        found = judge(database, sync.clock)(people)
    assert (sum("SELECT" in sql for sql in counts.texts), counts.writes) == (3, 0)
    assert (found.people, found.free) == (7, 4)
    assert found.conflicts == {"extension_taken": 3}
    planned = sync.engine.preview().plan.conflicts
    assert [conflict.code for conflict in planned] == ["extension_taken"] * 3


def test_who_left_is_neither_free_nor_in_conflict(database: Database, tmp_path: Path) -> None:
    """Of those who are disabled or expired, only who never had a user counts as a conflict."""
    sync = Sync(database, tmp_path)
    sync.set(auto_sync=True)
    staff = sync.people(3)
    sync.build()
    sync.fake.change_person(staff[0].guid, state=AccountState.DISABLED)
    sync.fake.change_person(staff[1].guid, state=AccountState.EXPIRED)
    stranger = sync.fake.add_person("stranger", extension="1999", state=AccountState.DISABLED)
    for _ in range(2):  # before and after they are deactivated
        found = judge(database, sync.clock)(list(sync.fake.read().people.values()))
        assert (found.people, found.free, found.left) == (4, 1, 2)
        assert found.conflicts == {"account_disabled": 1}
        assert found.sentences() == ["1 disabled", "2 who left, disabled or expired"]
        planned = sync.engine.preview().plan.conflicts
        assert [(conflict.guid, conflict.code) for conflict in planned] == [
            (stranger.guid, "account_disabled")
        ]
        sync.run(Mode.KEEP)
    with database.read() as s:
        assert counts(s, 1, Filter()) == {"synced": 1, "left": 2, "conflict": 1}
        left = page(s, 1, Filter(state="left")).people
    assert {row.guid: row.conflicts for row in left} == {who.guid: [] for who in staff[:2]}


def test_the_command_tests_with_the_records_in_mind(
    installation: Installation, demo_directory: DemoDirectory
) -> None:
    installation.must("authsvc", "db", "upgrade")
    configure_directory(installation, demo_directory.profile())
    names = ("--first", "Front", "--last", "Desk")
    installation.must("authsvc", "user", "add", "front.desk@company.com", *names, *EXTENSION)
    steps = installation.json("authsvc", "directory", "test")["steps"]
    people = next(step["data"] for step in steps if step["name"] == "people")
    plan = installation.json("syncsvc", "plan")
    conflicting = {conflict["guid"] for conflict in plan["conflicts"]}
    assert "user front.desk" in " ".join(conflict["other"] for conflict in plan["conflicts"])
    assert people["free_of_conflicts"] == people["people"] - len(conflicting)
