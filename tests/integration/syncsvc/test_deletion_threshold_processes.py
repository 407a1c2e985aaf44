"""The threshold over real processes: restarted within the hour, and two at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kerauno.database.engine import Database
from tests.sync_engine import Sync

PEOPLE = 60  # of whom 10 % are 6


def _start(sync: Sync, url: str, folder: Path, removed: int, what: str) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "tests.servers.one_run"]
    arguments = [url, str(folder), str(PEOPLE), str(removed), what]
    return subprocess.Popen([*module, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _document(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    document: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return document


def _inactive(sync: Sync) -> int:
    return sum(not user["active"] for user in sync.users().values())


def test_two_processes_at_once_and_new_ones_each_time_never_exceed_the_threshold(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """AD loses three people at each step; both services start anew and run at the same moment."""
    sync = Sync(database, tmp_path)
    built = _document(_start(sync, database_url, tmp_path, 0, "build"))
    assert built["created"] == PEOPLE
    seen = []
    for removed in (3, 6, 9):
        both = [
            _start(sync, database_url, tmp_path, removed, trigger)
            for trigger in ("timer", "change")
        ]
        seen.append({_document(process)["status"] for process in both})
        assert _inactive(sync) == min(removed, 6)
    assert seen == [{"applied", "unchanged"}, {"applied", "unchanged"}, {"held"}]
