"""One run while it lasts: its lease, its row, its progress, its end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dirclient.config.ports import Progress
from kerauno.database.engine import Database
from kerauno.sync import lease, runs

_REPORT_EVERY = 0.5  # seconds between two notes of progress in the database
_ASK_EVERY = 0.1  # seconds between two tries for the lease

Clock = Callable[[], datetime]


class Busy(Exception):
    """Another run is under way and did not end in the time given. Nothing was changed."""


class Stopped(Exception):
    """The service is stopping. What is done is done; the next run does the rest."""


class Running:
    """A run that holds the lease."""

    def __init__(
        self,
        db: Database,
        lease_held: lease.Held,
        run_id: int,
        now: Clock,
        stop: threading.Event,
        watcher: Progress | None,
    ) -> None:
        self.db = db
        self.id = run_id
        self.now = now
        self.started = now()
        self.total = 0
        self._held = lease_held
        self._stop = stop
        self._watcher = watcher
        self._began = time.perf_counter()
        self._noted = self._began

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.perf_counter() - self._began

    def fence(self, s: Session) -> None:
        """First in each writing transaction. Raises LeaseLost, Stopped."""
        if self._stop.is_set():
            raise Stopped
        lease.fence(s, self._held)

    def step(self, s: Session, done: int) -> None:
        """So many actions are done, in the transaction that did the last of them."""
        runs.progress(s, self.id, "applying", done, self.total)
        if self._watcher is not None:
            self._watcher("applying", done, self.total)

    def report(self, phase: str, done: int, total: int) -> None:
        """Progress outside a transaction; written twice a second at most. Raises Stopped."""
        if self._stop.is_set():
            raise Stopped
        if self._watcher is not None:
            self._watcher(phase, done, total)
        if time.perf_counter() - self._noted >= _REPORT_EVERY:
            self._noted = time.perf_counter()
            with self.db.fast_write() as hot:
                runs.progress(hot, self.id, phase, done, total)

    def finish(self, s: Session, status: str, **results: Any) -> dict[str, Any]:
        """The run's end, in the caller's transaction; returns its document."""
        lease.fence(s, self._held)
        run = runs.finish(s, self.id, status, self.now(), seconds=self.seconds, **results)
        return runs.as_data(run)


@contextmanager
def leased(db: Database, name: str, wait: float) -> Iterator[lease.Held]:
    """Hold the lease for the block, waiting for it up to `wait` seconds. Raises Busy."""
    until = time.monotonic() + wait
    pause = threading.Event()
    while True:
        with lease.keeping(db, name) as lease_held:
            if lease_held is not None:
                yield lease_held
                return
        if time.monotonic() >= until:
            with db.read() as s:
                who = lease.holder(s, name) or "somebody"
            raise Busy(f"Another run is under way (by {who.split('|')[0]}). Try again shortly.")
        pause.wait(_ASK_EVERY)


@contextmanager
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection: it would walk 100,000 people over and over to find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
