"""`syncsvc serve`: the timer, change tracking and requests, in one loop that outlives failures.

A complete read when the service starts, when the settings change and every hour, as the proof.
Between them a look at the doorbell each second and a sweep for deletions each half minute, slower
by themselves when they cost the domain controller too much. Requests of the console within a
second. A directory or database that is away raises the alarm and is tried again.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from dirclient.model.directory_objects import Snapshot
from dirclient.model.errors import DirectoryError, Incomplete, Misconfigured
from kerauno.base.errors import DatabaseUnavailable, KeyProblem, LeaseLost
from kerauno.database.database_clock import clock_fault
from kerauno.sync import directory_settings, runs
from syncsvc.runs import requests
from syncsvc.runs.engine import Engine, Report, RunOptions
from syncsvc.runs.run_context import Busy, Stopped
from syncsvc.runs.settings import Configured
from syncsvc.service import systemd
from syncsvc.service.change_watch import Watch

_log = structlog.get_logger(__name__)

TICK = 0.25  # seconds between two turns of the loop
HEARTBEAT_EVERY = 5.0
SILENT_FOR = 90.0
"""A loop that has not turned for so long is stuck: no heartbeat, and systemd restarts it."""

FIRST_RETRY, LAST_RETRY = 2.0, 4.0
"""Seconds to wait after a failed complete read; doubled each time, so that following resumes within
ten seconds of the end of whatever kept it from."""
SHARE_OF_FAILING = 0.2
"""Of the time, that reads may take which fail late: after a long one the next waits longer."""
LATE = 10
"""LDAP requests after which a failed read is one that failed late, and not for want of a server."""
LONGEST_REST = 300.0

_DAY = 86400.0
_MEASURE_EVERY = 15.0
_MIND_EVERY = 2.0


@dataclass(slots=True)
class Worker:
    """The loop. `engine.stop` ends it."""

    engine: Engine
    run_days: int = 90
    measure_clock: Callable[[], object] = lambda: None
    clock: Callable[[], float] = time.monotonic
    tick: float = TICK
    _watch: Watch | None = None
    _version: tuple[int, int] | None = None
    _configured: Configured | None = None
    _next_read: float = 0.0
    _retry: float = FIRST_RETRY
    _pending: Snapshot | None = None  # seen, but not yet in the records
    _alarm: str = ""
    _failed_run: int | None = None
    _has_looked: bool = False
    _quiet_from: float = math.inf  # when a look last succeeded, or there was first a directory
    _deaf: bool = False
    _turned: float = 0.0
    _next_prune: float = 0.0
    _next_measure: float = 0.0
    _next_mind: float = 0.0
    _last_run: int = 0
    _database_failed: bool = False
    _clock_told: bool = False
    _wait: float = 0.0

    def serve(self) -> None:
        """Run until stopped."""
        self._turned = self.clock()
        pulse = threading.Thread(target=self._pulse, name="heartbeat", daemon=True)
        pulse.start()
        systemd.notify("READY=1")
        _log.info("sync service started")
        while not self.engine.stop.is_set():
            self.turn()
            self.engine.stop.wait(self._wait or self.tick)
        systemd.notify("STOPPING=1")
        self.engine.close()
        pulse.join()
        _log.info("sync service stopped")

    def turn(self) -> None:
        """One turn of the loop; whatever fails in it is noted and tried again."""
        self._turned = self.clock()
        self._wait = 0.0
        if self._turned >= self._next_measure:
            self._next_measure = self._turned + _MEASURE_EVERY
            self.measure_clock()
        try:
            self._settings()
            if self._version is None:
                return
            self._mind_records()
            self._requests()
            self._sync()
        except Stopped:
            pass
        except DatabaseUnavailable as error:
            _log.error("database unavailable", error=str(error))
            self._database_failed = True
            self._wait = 1.0
        except (Busy, LeaseLost) as error:
            _log.info("another sync is under way", error=str(error))
            self._wait = 1.0
        except (DirectoryError, KeyProblem) as error:
            self._raise_alarm(error)
        except Exception:
            _log.exception("a turn of the sync service failed")
            self._wait = FIRST_RETRY

    # Settings

    def _settings(self) -> None:
        """Take up changed settings: everything that was known is then known no more."""
        with self.engine.db.fast() as hot:
            version = directory_settings.version(hot)
        if version == self._version and self._configured is not None:
            return
        if version is None:
            self._version = None
            return
        first = self._version is None
        before, self._version = self._configured, version
        self._configured = None
        configured = self.engine.configured()
        if first:
            self._quiet_from = self.clock()
            self._recover(configured)
        same_source = (
            before is not None
            and before.profile == configured.profile
            and before.sealed_password == configured.sealed_password
        )
        self._configured = configured
        if not same_source:
            self._watch = None
        self._pending = None
        self._next_read = 0.0
        self._retry = FIRST_RETRY

    def _recover(self, configured: Configured) -> None:
        with self.engine.leasing(configured, 0.0), self.engine.db.write() as s:
            runs.recover(s, configured.id, self.engine.now())

    def _mind_records(self) -> None:
        """Plan again on what was seen last where the records may not be as they were left.

        A database that was away may have kept no more than a part of what it was given. One that
        crashed, failed over to a standby or was restored may have lost even what it had
        confirmed: the newest run is then an older one.
        """
        configured = self._configured
        if configured is None or not (self._database_failed or self._turned >= self._next_mind):
            return
        with self.engine.db.fast() as hot:
            last = runs.last_finished(hot, configured.id)
        if self._database_failed or last < self._last_run:
            if last < self._last_run:
                _log.warning("the database lost what it had confirmed", run=self._last_run)
            self._recover(configured)
            if self._watch is not None and self._pending is None:
                self._pending = self._watch.snapshot
        self._database_failed = False
        self._last_run = last
        self._next_mind = self._turned + _MIND_EVERY

    # Requests

    def _requests(self) -> None:
        with self.engine.db.fast() as hot:
            if not runs.waiting(hot):
                return
        while requests.process_next(self.engine, self._progress):
            pass
        latest = self.engine.take_latest()
        if latest is not None:
            self._adopt(latest)

    # The directory

    def _sync(self) -> None:
        configured = self._configured
        if configured is None:
            return
        if self._pending is not None:
            self._run_change(self._pending)
        if self.clock() >= self._next_read:
            self._complete_read(configured, "timer")
        elif self._watch is not None and self._watch.due():
            self._look(configured, self._watch)
        self._prune()

    def _complete_read(self, configured: Configured, trigger: str) -> None:
        began, operations_before = self.clock(), self.engine.operations
        self._next_read = began + self._retry  # should anything be raised
        report = self.engine.run(
            RunOptions(trigger, by="sync service", wait=1.0, progress=self._progress)
        )
        self._said(report)
        latest = self.engine.take_latest()
        if report["status"] != "failed" and latest is not None:
            self._retry = FIRST_RETRY
            self._adopt(latest)
            self._note_look()
            self._next_read = self.clock() + configured.interval
            self._clear_alarm(latest, read_at=latest.read_at)
        else:
            took = self.clock() - began
            late = self.engine.operations - operations_before > LATE
            rest = min(took / SHARE_OF_FAILING, LONGEST_REST) if late else 0.0
            self._next_read = self.clock() + max(self._retry, rest)
            self._retry = min(self._retry * 2, LAST_RETRY)
            self._watch = None  # until a read comes to its end there is nothing to follow
            self._alarm = str(report.get("error", ""))

    def _look(self, configured: Configured, watch: Watch) -> None:
        before = watch.snapshot
        assert before is not None
        watch.client = self.engine.client(configured.profile)
        try:
            snapshot = watch.look()
        except (Incomplete, Misconfigured) as error:
            if isinstance(error, Misconfigured) and error.field != "user_search_dn":
                raise
            _log.warning("changes cannot be followed", error=str(error))
            snapshot = None
        if snapshot is not None:
            self._note_look()
        if self._alarm:
            self._clear_alarm(before)
        if snapshot is None:
            _log.info("changes alone do not tell; reading everything")
            self._complete_read(configured, "change")
        elif self.engine.has_caught_up(configured):
            self._complete_read(configured, "change")
        elif snapshot is not before and snapshot is not watch.snapshot:
            self._run_change(snapshot)

    def _run_change(self, snapshot: Snapshot) -> None:
        """Bring a newer snapshot into the records; until that is done it stays pending."""
        watch = self._watch
        if watch is None:
            self._pending = None
            return
        self._pending = snapshot
        report = self.engine.run_if_changed(
            RunOptions(
                "change",
                by="sync service",
                wait=1.0,
                snapshot=snapshot,
                quiet_since=watch.since,
                progress=self._progress,
            )
        )
        if report is not None:
            self._said(report)
            if report["status"] == "failed":
                self._wait = FIRST_RETRY  # it stays pending
                return
        self._pending = None
        watch.snapshot = snapshot

    def _adopt(self, snapshot: Snapshot) -> None:
        configured = self._configured
        if configured is None:
            return
        if self._watch is None:
            client = self.engine.client(configured.profile)
            self._watch = Watch(client, self.clock, self.engine.now)
        self._watch.adopt(snapshot)
        self._pending = None
        self._mind_directory_clock(-snapshot.clock_offset)

    def _mind_directory_clock(self, ahead: float) -> None:
        """Say once that the directory's clock and ours are far apart."""
        fault = clock_fault(ahead, "the directory's")
        if fault and not self._clock_told:
            _log.warning("clocks are far apart", error=fault)
        self._clock_told = bool(fault)

    # Being alive, and saying when something is wrong

    def _progress(self, _phase: str, _done: int, _total: int) -> None:
        self._turned = self.clock()

    def _pulse(self) -> None:
        """Heartbeats, for as long as the loop turns or a run makes progress."""
        while not self.engine.stop.wait(HEARTBEAT_EVERY):
            self.beat()

    def beat(self) -> None:
        """Say that the loop turns; where it is stuck, say what that means."""
        self._tell_if_deaf()
        version = self._version
        if self.clock() - self._turned > SILENT_FOR:
            return
        systemd.notify("WATCHDOG=1")
        if version is None:
            return
        with suppress(DatabaseUnavailable), self.engine.db.fast_write() as hot:
            directory_settings.heartbeat(hot, version[0], self.engine.now(), self._last_look())

    def _note_look(self) -> None:
        """Note a successful look at the directory; write the first one down at once."""
        is_news = self._deaf or not self._has_looked
        self._has_looked, self._quiet_from = True, self.clock()
        if self._deaf:
            _log.info("changes in the directory are seen again")
        self._deaf = False
        if is_news:
            self.beat()

    def _last_look(self) -> datetime | None:
        """Return when a look last succeeded, by today's clock: that may have been set since."""
        if not self._has_looked:
            return None
        return self.engine.now() - timedelta(seconds=self.clock() - self._quiet_from)

    def _tell_if_deaf(self) -> None:
        """Say so, once, where no look has succeeded for too long, whatever the reason."""
        quiet = self.clock() - self._quiet_from
        if (
            self._version is None
            or self._deaf
            or quiet <= directory_settings.DEAF_AFTER.total_seconds()
        ):
            return
        self._deaf = True
        reason = self._alarm or "no look has come to its end"
        _log.error("changes in the directory are not seen", seconds=round(quiet), reason=reason)
        systemd.notify(f"STATUS=Alarm: changes in the directory are not seen: {reason}")

    def _raise_alarm(self, error: Exception) -> None:
        remedy = f" {error.remedy}" if isinstance(error, Misconfigured) else ""
        words = f"{error}{remedy}"
        self._wait = FIRST_RETRY
        if words == self._alarm:
            return
        self._alarm = words
        _log.error("directory unavailable", error=words)
        systemd.notify(f"STATUS=Alarm: {words}")
        if self._version is None:
            return
        try:
            with self.engine.db.write() as s:
                directory_settings.set_state(s, self._version[0], error=words)
        except DatabaseUnavailable:
            self._alarm = ""  # nobody could read of it: say it again next time

    def _clear_alarm(self, snapshot: Snapshot, **state: datetime) -> None:
        """The directory can be read again: all of it, or without the departments."""
        assert self._version is not None
        unread = str(snapshot.unread or "")
        with self.engine.db.write() as s:
            directory_settings.set_state(s, self._version[0], error="", unread=unread, **state)
        if self._alarm:
            _log.info("directory available again")
        if unread:
            _log.error("departments are not read", error=unread)
        self._alarm = ""
        systemd.notify(f"STATUS=Alarm: {unread}" if unread else "STATUS=Watching")

    def _said(self, report: Report) -> None:
        self._last_run = max(self._last_run, report["run"] or 0)
        failed = report["run"] if report["status"] == "failed" else None
        if failed is not None and failed == self._failed_run:
            return  # the same once more, told already
        self._failed_run = failed
        say = _log.info if failed is None else _log.error
        say(
            "run finished",
            run=report["run"],
            status=report["status"],
            created=report["created"],
            updated=report["updated"],
            deactivated=report["deactivated"],
            delay_seconds=report["delay_seconds"],
            error=report["error"],
        )

    def _prune(self) -> None:
        if self.clock() < self._next_prune:
            return
        self._next_prune = self.clock() + _DAY
        with self.engine.db.write() as s:
            runs.prune(s, self.engine.now() - timedelta(days=self.run_days))
