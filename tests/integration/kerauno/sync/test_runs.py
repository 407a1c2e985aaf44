"""Runs: their life, their journal, and the requests that ask for them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from kerauno.base.errors import NotFound, Stale
from kerauno.database.engine import Database
from kerauno.sync import runs
from tests.records import NOW, add_directory

COUNTS = {
    "created": 3,
    "linked": 1,
    "updated": 2,
    "deactivated": 0,
    "reactivated": 0,
    "conflicts": 4,
    "departments": {"imported": 1, "updated": 0},
}


@pytest.fixture
def directory_id(database: Database) -> int:
    with database.write() as s:
        return add_directory(s).id


def start(database: Database, directory_id: int, trigger: str = "cli") -> int:
    with database.write() as s:
        return runs.start(s, directory_id, trigger=trigger, kind="build", now=NOW, by="admin")


def test_a_run_from_start_to_end(database: Database, directory_id: int) -> None:
    run_id = start(database, directory_id)
    with database.fast_write() as hot:
        runs.progress(hot, run_id, "applying", 50, 100)
    with database.read() as s:
        run = runs.get(s, run_id)
        assert (run.status, run.phase, run.done, run.total) == ("running", "applying", 50, 100)
    end = NOW + timedelta(seconds=2)
    with database.write() as s:
        runs.finish(
            s,
            run_id,
            "applied",
            end,
            complete=True,
            people=143,
            counts=COUNTS,
            ldap_operations=7,
            seconds=0.41,
            delay_seconds=1.5,
        )
    with database.read() as s:
        assert runs.as_data(runs.get(s, run_id)) == {
            "run": run_id,
            "status": "applied",
            "trigger": "cli",
            "kind": "build",
            "started": NOW.isoformat(),
            "finished": end.isoformat(),
            "complete": True,
            "people": 143,
            **COUNTS,
            "ldap_operations": 7,
            "seconds": 0.41,
            "delay_seconds": 1.5,
            "error": "",
        }


def test_a_held_run_is_settled_once(database: Database, directory_id: int) -> None:
    run_id = start(database, directory_id)
    with database.write() as s:
        expires = NOW + timedelta(days=1)
        runs.finish(s, run_id, "held", NOW, plan={"actions": [1]}, expires_at=expires)
    with database.read() as s:
        assert [(run.id, run.plan) for run in runs.held(s, directory_id)] == [
            (run_id, {"actions": [1]})
        ]
    with database.write() as s:
        assert runs.settle(s, run_id, "discarded", NOW, since="held").plan is None
    with pytest.raises(Stale, match="is discarded, not held"), database.write() as s:
        runs.settle(s, run_id, "applied", NOW, since="held")
    with pytest.raises(NotFound), database.write() as s:
        runs.settle(s, 10**6, "applied", NOW, since="held")


def test_held_runs_expire(database: Database, directory_id: int) -> None:
    ids = [start(database, directory_id) for _ in range(2)]
    with database.write() as s:
        for index, run_id in enumerate(ids):
            expires = NOW + timedelta(days=1 + index)
            runs.finish(s, run_id, "held", NOW, plan={}, expires_at=expires)
        assert runs.expire_held(s, NOW + timedelta(days=1)) == 1
        assert [run.id for run in runs.held(s, directory_id)] == [ids[1]]
        assert runs.get(s, ids[0]).status == "expired"


def test_history_comes_in_pages_newest_first(database: Database, directory_id: int) -> None:
    ids = [start(database, directory_id) for _ in range(5)]
    with database.read() as s:
        first = [run.id for run in runs.history(s, directory_id, limit=3)]
        rest = [run.id for run in runs.history(s, limit=3, before=first[-1])]
    assert first + rest == ids[::-1]


def test_the_journal_keeps_before_and_after(database: Database, directory_id: int) -> None:
    run_id = start(database, directory_id)
    with database.write() as s:
        runs.journal(
            s,
            run_id,
            [
                {
                    "action": "update",
                    "subject": "user",
                    "guid": "g-1",
                    "subject_id": 7,
                    "name": "John Doe",
                    "before": {"last_name": "Doe"},
                    "after": {"last_name": "Roe"},
                },
                {"action": "create", "subject": "user", "error": "number taken"},
            ],
        )
        runs.journal(s, run_id, [])
    with database.read() as s:
        first, second = runs.changes(s, run_id)
        assert (first.before, first.after) == ({"last_name": "Doe"}, {"last_name": "Roe"})
        assert (second.before, second.guid, second.error) == (None, None, "number taken")
        assert [row.id for row in runs.changes(s, run_id, after=first.id, limit=5)] == [second.id]


def test_each_request_is_taken_up_once(database: Database, directory_id: int) -> None:
    with database.write() as s:
        wanted = [
            runs.request(s, directory_id, "build", now=NOW, by="admin", payload={"n": index})
            for index in range(12)
        ]
    with database.fast() as hot:
        assert runs.waiting(hot) == 12
    taken: list[int] = []

    def work() -> None:
        while True:
            with database.write() as s:
                request = runs.take_request(s, NOW)
                if request is None:
                    return
                taken.append(request.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == wanted
    with database.fast() as hot:
        assert runs.waiting(hot) == 0


def test_a_request_is_followed_to_its_end(database: Database, directory_id: int) -> None:
    with database.write() as s:
        request_id = runs.request(s, directory_id, "plan", now=NOW)
        assert runs.take_request(s, NOW) is not None
    run_id = start(database, directory_id, "console")
    with database.write() as s:
        runs.bind_request(s, request_id, run_id)
        runs.finish_request(s, request_id, NOW, result={"actions": []})
    with database.read() as s:
        request = runs.get_request(s, request_id)
        assert (request.run_id, request.result, request.error) == (run_id, {"actions": []}, "")
        assert request.finished_at == NOW
        with pytest.raises(NotFound):
            runs.get_request(s, 10**6)


def test_after_a_crash_the_work_waits_again(database: Database, directory_id: int) -> None:
    done = start(database, directory_id)
    with database.write() as s:
        runs.finish(s, done, "applied", NOW)
        finished = runs.request(s, directory_id, "build", now=NOW)
        unfinished = runs.request(s, directory_id, "keep", now=NOW)
        runs.take_request(s, NOW)
        runs.take_request(s, NOW)
        runs.finish_request(s, finished, NOW)
    crashed = start(database, directory_id)
    with database.write() as s:
        runs.bind_request(s, unfinished, crashed)
    with database.write() as s:
        assert runs.recover(s, directory_id, NOW) == 1
        assert runs.recover(s, directory_id, NOW) == 0
    with database.write() as s:
        assert (runs.get(s, done).status, runs.get(s, crashed).status) == ("applied", "failed")
        assert "next run" in runs.get(s, crashed).error
        request = runs.take_request(s, NOW)
        assert request is not None
        assert request.id == unfinished
        assert runs.take_request(s, NOW) is None


def test_old_history_goes_with_its_journal_but_not_what_is_held(
    database: Database, directory_id: int
) -> None:
    ids = [start(database, directory_id) for _ in range(3)]
    with database.write() as s:
        runs.finish(s, ids[0], "applied", NOW)
        runs.finish(s, ids[1], "held", NOW, plan={})
        runs.journal(s, ids[0], [{"action": "create", "subject": "user"}])
    with database.write() as s:
        assert runs.prune(s, NOW + timedelta(days=1)) == 1
    with database.read() as s:
        assert [run.id for run in runs.history(s)] == [ids[2], ids[1]]
        assert runs.changes(s, ids[0]) == []


def test_misspelt_results_are_not_swallowed(database: Database, directory_id: int) -> None:
    run_id = start(database, directory_id)
    with pytest.raises(KeyError, match="poeple"), database.write() as s:
        runs.finish(s, run_id, "applied", NOW, poeple=3)
