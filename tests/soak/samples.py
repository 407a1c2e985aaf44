"""Memory, descriptors and threads of the services, and the rows of every table."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from sqlalchemy import func, select

from kerauno.tables.base import Base
from tests.chaos.world import World

KEPT_FOR_LONG = frozenset({"audit", "run", "run_change", "access_token"})
"""Rows that live for a while after their use, and are then forgotten (`forgets_what_is_old`)."""


class Samples:
    """Series by name, each a list of seconds since the start and the figure."""

    def __init__(self, world: World) -> None:
        self.series: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.kept: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._world = world
        self._began = time.monotonic()

    def take(self) -> None:
        """Add one of each."""
        at = time.monotonic() - self._began
        for name, pids in self._processes().items():
            self.series[f"rss {name}"].append((at, sum(map(_resident, pids))))
            self.series[f"fds {name}"].append((at, sum(map(_descriptors, pids))))
            self.series[f"threads {name}"].append((at, sum(map(_threads, pids))))
        for table, rows in count_rows(self._world).items():
            series = self.kept if table in KEPT_FOR_LONG else self.series
            series[f"rows {table}"].append((at, rows))

    def _processes(self) -> dict[str, list[int]]:
        assert self._world.kerauno.server
        assert self._world.sync
        first = self._world.kerauno.server.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return {
            "web, first process": [first],
            "web, workers": [int(pid) for pid in children],
            "sync": [self._world.sync.pid],
        }


def count_rows(world: World) -> dict[str, int]:
    """The rows of every table."""
    with world.database.read() as s:
        return {
            name: s.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in sorted(Base.metadata.tables.items())
        }


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise KeyError(field)


def _resident(pid: int) -> float:
    return _status(pid, "VmRSS") / 1024  # MiB


def _threads(pid: int) -> int:
    return _status(pid, "Threads")


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
