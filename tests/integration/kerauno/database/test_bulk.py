"""Many rows at once: the same values and the same refusals as one by one, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from kerauno.database.bulk import RowRefused, delete_rows, insert_rows, update_rows
from kerauno.database.engine import Database
from kerauno.tables.core import Membership, Run, RunChange
from tests.records import NOW, add_directory

ODD = "tab\t newline\n backslash\\ \\N quote' \" ; -- 山田 é \x7f"
CHANGE = (
    *(RunChange.run_id, RunChange.action, RunChange.subject, RunChange.guid),
    *(RunChange.subject_id, RunChange.name, RunChange.before, RunChange.after, RunChange.error),
)


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as s:
        directory = add_directory(s)
        run = Run(directory_id=directory.id, trigger="cli", status="running", started=NOW)
        s.add(run)
        s.flush()
        return run.id


def test_values_come_back_as_they_went(database: Database, run_id: int) -> None:
    after = {"name": ODD, "empty": "", "none": None, "list": [1, 2.5, True]}
    rows = [
        (run_id, "create", "user", None, None, ODD, None, after, ""),
        (run_id, "update", "user", "g-1", 7, "", {"a": "\\N"}, {}, ODD),
    ]
    with database.counting() as counts, database.write() as s:
        insert_rows(s, CHANGE, rows)
    assert counts.writes == 1
    with database.read() as s:
        found = s.execute(select(*CHANGE).order_by(RunChange.id)).all()
    assert [tuple(row) for row in found] == rows


def test_instants_and_nulls(database: Database, run_id: int) -> None:
    later = NOW + timedelta(microseconds=1)
    columns = (Run.finished, Run.delay_seconds, Run.complete)
    with database.write() as s:
        update_rows(s, columns, (Run.id,), [(later, 1.5, True, run_id)])
    with database.read() as s:
        row = s.execute(select(*columns)).one()
        assert tuple(row) == (later, 1.5, True)
    with database.write() as s:
        update_rows(s, columns, (Run.id,), [(None, None, False, run_id)])
        assert tuple(s.execute(select(*columns)).one()) == (None, None, False)


def test_a_refused_row_is_told_and_nothing_of_it_stays(database: Database, run_id: int) -> None:
    good = (run_id, "create", "user", None, None, "", None, None, "")
    bad = (10**6, "create", "user", None, None, "", None, None, "")
    with pytest.raises(RowRefused), database.write() as s:
        insert_rows(s, CHANGE, [good, bad])
    with database.read() as s:
        assert s.execute(select(RunChange.id)).all() == []


def test_a_savepoint_survives_a_refusal(database: Database, run_id: int) -> None:
    good = (run_id, "create", "user", None, None, "", None, None, "")
    with database.write() as s:
        with pytest.raises(RowRefused), s.begin_nested():
            insert_rows(s, (Membership.department_id, Membership.user_id), [(1, 1)])
        insert_rows(s, CHANGE, [good])
    with database.read() as s:
        assert len(s.execute(select(RunChange.id)).all()) == 1


def test_deleting(database: Database, run_id: int) -> None:
    rows = [(run_id, "create", "user", f"g-{n}", n, "", None, None, "") for n in range(3)]
    with database.write() as s:
        insert_rows(s, CHANGE, rows)
        insert_rows(s, CHANGE, [])
        delete_rows(s, (RunChange.guid,), [("g-0",), ("g-2",), ("g-9",)])
        assert s.execute(select(RunChange.subject_id)).scalars().all() == [1]
