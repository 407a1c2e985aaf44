"""Groups whose names look alike, from the directory to headers, rules and the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from kerauno.accounts import queries as accounts
from kerauno.base.errors import InvalidValue
from kerauno.base.visible_text import visible, visible_lines
from kerauno.database.engine import Database
from kerauno.signin import protected_sites
from kerauno.tables.core import Department
from syncsvc import cli
from tests.sync_engine import Sync

TURNED = "\u202eEngineering\n\x1b[2J"


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    """Two groups that look alike, imported with a member each."""
    sync = Sync(database, tmp_path)
    sync.set(auto_sync=True, ring_group_first="600", ring_group_last="699")
    anna, mallory = sync.people(2)
    for name, person in (("Engineering", anna), (TURNED, mallory), ("ENGINEERING", mallory)):
        sync.fake.add_department(name, [person.guid], path=(name,))
    sync.build()
    return sync


def test_names_are_stored_as_the_directory_has_them_and_labels_tell_them_apart(sync: Sync) -> None:
    with sync.db.read() as s:
        rows = s.execute(select(Department.name, Department.label, Department.guid)).all()
        groups = {line.username: set(line.departments) for line in accounts.everyone(s)}
    by_name = {row.name: row for row in rows}
    assert set(by_name) == {"Engineering", TURNED, "ENGINEERING"}
    assert by_name[TURNED].label == visible(TURNED) == "[U+202E]Engineering␊␛[2J"
    plain = {by_name[name].label for name in ("Engineering", "ENGINEERING")}
    second = next(label for label in plain if "[" in label)
    assert plain - {second} <= {"Engineering", "ENGINEERING"}
    assert groups["p1.q1"].isdisjoint(groups["p2.q2"])
    assert len(groups["p2.q2"]) == 2
    assert sync.run()["status"] == "unchanged"


def test_a_rule_for_their_name_is_refused(sync: Sync) -> None:
    with pytest.raises(InvalidValue, match="does not say for certain"), sync.db.write() as s:
        protected_sites.put(s, "wiki.company.com", ["Engineering"], sync.clock())


@pytest.mark.parametrize("command", ["department list", "plan", "runs", "once"])
def test_no_command_writes_a_name_that_turns_the_terminal(sync: Sync, command: str) -> None:
    sync.fake.add_person("eve\u202e.x", first_name=TURNED, extension=None)
    sync.fake.add_department(f"{TURNED}2", [])
    tools = cli.SyncTools()
    tools.__dict__.update(engine=sync.engine, database=sync.db)
    for extra in ([], ["--json"]):
        done = CliRunner().invoke(cli.main, [*command.split(), *extra], obj=tools)
        assert done.exit_code == 0, done.output
        for text in (done.stdout, done.stderr):
            assert visible_lines(text) == text
        assert not extra or json.loads(done.stdout)
        lines = done.output.splitlines()
        assert not any(line.startswith(("\x1b", "[2J")) for line in lines)
