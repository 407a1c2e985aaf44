"""One run from beginning to end: lease → read → plan → guard → apply → mirror → record.

The timer, a change, the console and the command line all come through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dirclient.config.ports import Finder, Locator, Progress, Reader, Resolver, Watcher
from dirclient.config.profile import Profile
from dirclient.model.directory_objects import Guid, Snapshot
from dirclient.model.errors import DirectoryError, Misconfigured
from kerauno.base.clock import utc_now
from kerauno.base.errors import DatabaseUnavailable, KeyProblem, LeaseLost, RecordError, Stale
from kerauno.database.bulk import RowRefused
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.sync import directory_settings, lease, runs
from kerauno.tables.core import Run
from provisioning.actions import ActionKind, Plan
from provisioning.deletion_threshold import (
    HELD_FOR,
    deactivated_lately,
    fingerprint,
    reasons_to_hold,
)
from provisioning.partial_confirmation import kept_before, part_of
from provisioning.plan import Mode, Rules, make_plan
from provisioning.records import Records, load
from syncsvc.applying.access_refusals import (
    follow_refusals,
    follow_refusals_by_identity,
    refused_since,
)
from syncsvc.applying.apply import Applied, apply_plan
from syncsvc.applying.mirror import Mirror, seen_before
from syncsvc.applying.password_changes import follow_passwords, note_first_passwords
from syncsvc.applying.people_sql import Target
from syncsvc.applying.undo import undone_lately
from syncsvc.runs import propagation_delay, settings
from syncsvc.runs.leaver_reasons import explained, note_first_seen
from syncsvc.runs.replica_lag import REMEDY, Lag, Witness, lag_of, store
from syncsvc.runs.run_context import Clock, Running, Stopped, leased, uncollected
from syncsvc.runs.run_summary import counts_of, no_counts, remarks, status_of, tidy_exclusions
from syncsvc.runs.settings import Configured

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_SHARE = 10.0
"""How much longer than asking for each person took, to wait until they are asked for again."""

_UNTIL_BACK = (0.25, 0.5, 1.0, 2.0, 4.0, 0.0)
"""Seconds to wait for a database whose connection was cut, again and again."""

AUTOMATIC = frozenset({"timer", "change"})


class Client(Reader, Watcher, Finder, Locator, Resolver, Protocol):
    """The questions that the sync service asks of a directory."""

    @property
    def operations(self) -> int:
        """LDAP requests so far."""

    def close(self) -> None:
        """End its connections."""


Connect = Callable[[Profile], Client]
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run. `mode` None: as Auto-Synchronization says.

    `only` limits the run to some people. `wait`: seconds to wait for a run that is under way.
    A watching service hands over its `snapshot`, and `quiet_since`, when it last saw no change.
    `request` is the run request that this answers.
    """

    trigger: str
    mode: Mode | None = None
    by: str = ""
    only: frozenset[str] | None = None
    wait: float = 60.0
    snapshot: Snapshot | None = None
    quiet_since: datetime | None = None
    progress: Progress | None = None
    request: int | None = None


@dataclass(slots=True)
class Planned:
    """A plan with what it was made of.

    `lag`: the snapshot may be older than what was acted on. The plan then adds people only, or is
    `forced`: it holds everything, for an administrator to confirm. `kept` people and departments
    were left out of it.
    """

    configured: Configured
    snapshot: Snapshot
    records: Records
    plan: Plan
    rules: Rules
    lag: Lag | None = None
    forced: bool = False
    kept: frozenset[Guid] = frozenset()

    def without(self, kept: frozenset[Guid]) -> Planned:
        """Return the plan without these, too, who stay as they are."""
        kept |= self.kept
        plan = part_of(self.plan, self.snapshot, self.records, self.rules, kept)
        return replace(self, plan=plan, kept=kept)

    @property
    def adding_only(self) -> bool:
        """Return whether the plan adds people and nothing else, for the snapshot may be old."""
        return self.lag is not None and not self.forced

    @property
    def user_ids(self) -> dict[str, int]:
        """Person → the user linked to them when this was planned."""
        return {guid: user.id for guid, user in self.records.by_guid.items()}


@dataclass(slots=True)
class Engine:
    """Runs syncs on one database. Not for several threads at once."""

    db: Database
    sealer: Sealer
    connect: Connect
    now: Clock = utc_now
    stop: threading.Event = field(default_factory=threading.Event)
    witness: Witness = field(init=False)
    _latest: Snapshot | None = None
    _ask_again: datetime = _LONG_AGO
    _client: tuple[Profile, Client] | None = None

    def __post_init__(self) -> None:
        """Know nothing yet of whose word was acted on."""
        self.witness = Witness(self.db, self.now)

    def close(self) -> None:
        """End the connections to the directory."""
        if self._client is not None:
            self._client[1].close()
            self._client = None

    def configured(self) -> Configured:
        """The directory's settings of this moment. Raises Misconfigured, KeyProblem."""
        with self.db.read() as s:
            return settings.load(s, self.sealer)

    def client(self, profile: Profile) -> Client:
        """Return the client for the stored settings, kept until these change.

        Whoever keeps it for longer than a run asks again each time: `close` ends it.
        """
        if self._client is None or self._client[0] != profile:
            self.close()
            self._client = (profile, self.connect(profile))
        return self._client[1]

    @property
    def operations(self) -> int:
        """LDAP requests of the kept client so far."""
        return 0 if self._client is None else self._client[1].operations

    @contextmanager
    def trial_client(self, profile: Profile) -> Iterator[Client]:
        """Return a client of its own for settings that are tried out: the kept one stays."""
        client = self.connect(profile)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def leasing(self, configured: Configured, wait: float) -> Iterator[lease.Held]:
        """Be the only one who runs. What a crashed run left behind is put right first."""
        with leased(self.db, f"sync {configured.id}", wait) as lease_held:
            with self.db.read() as s:
                interrupted = s.scalar(
                    select(Run.id).where(Run.status == "running", Run.directory_id == configured.id)
                )
            if interrupted is not None:
                with self.db.write() as s:
                    lease.fence(s, lease_held)
                    runs.recover(s, configured.id, self.now())
            yield lease_held

    def start(
        self,
        lease_held: lease.Held,
        configured: Configured,
        kind: str,
        ask: RunOptions,
        *,
        undo_of: int | None = None,
    ) -> Running:
        """Write the run's row; from now on others can follow it."""
        with self.db.write() as s:
            lease.fence(s, lease_held)
            runs.expire_held(s, self.now())
            run_id = runs.start(
                s,
                configured.id,
                trigger=ask.trigger,
                kind=kind,
                now=self.now(),
                by=ask.by,
                undo_of=undo_of,
            )
            if ask.request is not None:
                runs.bind_request(s, ask.request, run_id)
        return Running(self.db, lease_held, run_id, self.now, self.stop, ask.progress)

    # Planning

    def preview(
        self,
        mode: Mode = Mode.BUILD,
        draft: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Planned:
        """Return what a run would do now; nothing is written. `draft`: settings to try out.

        Raises `Misconfigured` where a search DN of the draft is not there.
        """
        with self.db.read() as s:
            row = directory_settings.load(s)
            configured = (
                settings.configured(row, draft or {}, self.sealer)
                if row is not None
                else settings.load(s, self.sealer)
            )
        if draft is None:
            return self.planned(configured, self.snapshot(configured, progress), mode)
        with self.trial_client(configured.profile) as client:
            snapshot = client.read(progress).whole()
            return self.planned(configured, snapshot, mode, directory=client, force=True)

    def planned(
        self,
        configured: Configured,
        snapshot: Snapshot,
        mode: Mode,
        only: frozenset[str] | None = None,
        fence: Callable[[Session], None] | None = None,
        directory: Client | None = None,
        *,
        force: bool = False,
    ) -> Planned:
        """Plan on the records of this moment. A run hands over its `fence`, and follows people.

        `directory` is the one that was read, where that is not the kept one. With `force` the
        snapshot is planned on as it is, although it may be old.
        """
        with self.db.read() as s:
            records = load(s, configured.id, snapshot.people)
            lag = lag_of(directory_settings.state(s, configured.id), snapshot.knowledge, self.now())
            known = None if lag is None or force else seen_before(s, configured.id)
        if fence is not None:
            self.follow_people(configured, snapshot, records, fence, lag)
        rules = Rules(
            mode,
            self.now(),
            only=only,
            numbers=configured.numbers if configured.auto_sync else None,
            role_groups=configured.role_groups,
            known=known,
        )
        directory = directory or self.client(configured.profile)
        before = directory.operations
        plan = explained(make_plan(snapshot, records, rules), snapshot, directory)
        operations = snapshot.operations + directory.operations - before
        snapshot = replace(snapshot, operations=operations)
        forced = lag is not None and force
        return Planned(configured, snapshot, records, plan, rules, lag, forced)

    def _without_kept(self, planned: Planned, ask: RunOptions) -> Planned:
        """Leave out whom an administrator has left out; who builds is shown them again."""
        if ask.mode is not None or planned.plan.empty:
            return planned
        with self.db.read() as s:
            kept = kept_before(s, planned.configured.id, planned.plan)
        return planned.without(kept) if kept else planned

    # Running

    def run(self, ask: RunOptions) -> Report:
        """One whole run. Return its document; a directory that fails makes a failed run.

        Where the connection to the database is cut, the run is made once more when the database is
        back: what was written is planned no second time. Raises Busy, LeaseLost,
        DatabaseUnavailable; Stopped when the service is stopping.
        """
        try:
            return self._run(ask)
        except DatabaseUnavailable:
            if not self._database_answers():
                raise
            return self._run(ask)

    def _run(self, ask: RunOptions) -> Report:
        configured = self.configured()
        with self.leasing(configured, ask.wait) as lease_held, uncollected():
            return self.run_leased(lease_held, configured, ask)

    def _database_answers(self) -> bool:
        with suppress(DatabaseUnavailable), self.db.read() as s:
            s.execute(select(1))
            return True
        return False

    def run_if_changed(self, ask: RunOptions) -> Report | None:
        """A run on a snapshot that was watched; None, and no run, when it leads to nothing.

        The mirror is brought up to date all the same.
        """
        configured = self.configured()
        assert ask.snapshot is not None
        with self.leasing(configured, ask.wait) as lease_held, uncollected():
            planned = self.planned(
                configured,
                ask.snapshot,
                ask.mode or configured.mode,
                fence=lambda s: lease.fence(s, lease_held),
            )
            planned = self._without_kept(planned, ask)
            nothing = planned.plan.empty and not planned.plan.holds_ended
            if nothing and self._waiting(planned, ask) is None:
                mirror = Mirror(self.db, configured.id, lambda s: lease.fence(s, lease_held))
                hidden = planned.snapshot.hidden | planned.kept
                mirror.update(
                    replace(ask.snapshot, hidden=hidden),
                    planned.plan,
                    planned.user_ids,
                    adding_only=planned.adding_only,
                )
                return None
            return self.run_leased(lease_held, configured, ask)

    def run_leased(self, lease_held: lease.Held, configured: Configured, ask: RunOptions) -> Report:
        """`run` for who holds the lease already."""
        mode = ask.mode or configured.mode
        running = self.start(lease_held, configured, mode.value, ask)
        added: Planned | None = None
        with self.failing(running, configured) as (_, outcome):
            snapshot = ask.snapshot or self.read(running, configured)
            running.report("planning", 0, 0)
            planned = self.planned(configured, snapshot, mode, ask.only, running.fence)
            planned = self._without_kept(planned, ask)
            if planned.plan.empty and (waiting := self._waiting(planned, ask)) is not None:
                planned = waiting
            reasons = self._reasons(planned, ask)
            if reasons:
                outcome.update(self._hold(running, planned, reasons))
            else:
                self.check_settings(configured)
                outcome.update(self.carry_out(running, planned, ask.quiet_since))
                added = planned if planned.adding_only else None
            if ask.snapshot is None and ask.only is None:
                self._latest = snapshot
        if added is not None and (waiting := self._waiting(added, ask)) is not None:
            self._hold_waiting(lease_held, waiting, ask)
        return outcome

    def _waiting(self, planned: Planned, ask: RunOptions) -> Planned | None:
        """Return what waits for a server to catch up, beyond what may be done; None: nothing."""
        if not planned.adding_only or ask.only is not None:
            return None
        mode = ask.mode or planned.configured.mode
        whole = self.planned(planned.configured, planned.snapshot, mode, force=True)
        return None if self._without_kept(whole, ask).plan.empty else whole

    def _hold_waiting(self, lease_held: lease.Held, waiting: Planned, ask: RunOptions) -> None:
        """Keep what waits as a run of its own, for an administrator."""
        alone = replace(ask, request=None)
        mode = ask.mode or waiting.configured.mode
        running = self.start(lease_held, waiting.configured, mode.value, alone)
        with self.failing(running, waiting.configured):
            self._hold(running, waiting, self._reasons(waiting, ask))

    def follow_people(
        self,
        configured: Configured,
        snapshot: Snapshot,
        records: Records,
        fence: Callable[[Session], None],
        lag: Lag | None = None,
    ) -> None:
        """Act on what the directory says of single people, before a plan that may fail or be held.

        Disabled and expired people lose their access; what was signed in with an old password ends.
        On whose word that is done is noted, and told when it lags behind.
        """
        linked, now = records.by_guid, self.now()
        self.witness.note(configured.id, snapshot, lag, fence)
        ended = follow_refusals(
            self.db,
            configured.id,
            snapshot,
            linked,
            fence=fence,
            now=now,
            readmit=lag is None,
        )
        if lag is not None and ended:
            self.witness.note(configured.id, snapshot, lag, fence, acted=True)
        follow_passwords(self.db, snapshot, linked, fence=fence, now=now)

    def snapshot(self, configured: Configured, progress: Progress | None = None) -> Snapshot:
        """A complete read with progress. Raises DirectoryError."""
        servers = self.witness.servers(configured.id)
        return self.client(configured.profile).read(progress, servers)

    def has_caught_up(self, configured: Configured) -> bool:
        """Return whether the server that lagged no longer does. Raises DirectoryError."""
        lag = self.witness.lag
        if lag is None:
            return False
        return lag.ended(self.client(configured.profile).knowledge(), self.now())

    def read(self, running: Running, configured: Configured) -> Snapshot:
        """A complete read with progress. Raises DirectoryError.

        Where the User Search DN is gone, nobody is read; whoever was disabled or deleted meanwhile
        is asked for by identity, and loses access all the same.
        """
        try:
            return self.snapshot(configured, running.report)
        except Misconfigured as error:
            now, began = self.now(), time.monotonic()
            if error.field == "user_search_dn" and now >= self._ask_again:
                client = self.client(configured.profile)
                follow_refusals_by_identity(
                    self.db, configured.id, client, fence=running.fence, now=now
                )
                took = time.monotonic() - began
                self._ask_again = now + timedelta(seconds=_SHARE * took)
            raise

    def take_latest(self) -> Snapshot | None:
        """Return, once, what the last run read and acted upon as a whole: a watcher goes on there.

        What was read for a preview, for some people or for one department is not: what changed in
        AD before such a read is still to be acted upon.
        """
        latest, self._latest = self._latest, None
        return latest

    def check_settings(self, configured: Configured) -> None:
        """A plan made with other credentials or another scope than are set now is not applied.

        Auto-Synchronization alone does not matter: a run stays with what it has planned.
        """
        with self.db.read() as s:
            row = directory_settings.load(s)
            if row is None or row.profile != configured.stored:
                raise Stale("The directory settings were changed during the run; run again.")

    def carry_out(
        self,
        running: Running,
        planned: Planned,
        quiet_since: datetime | None = None,
    ) -> Report:
        """Apply the plan, update the mirror, finish the run."""
        configured, plan, snapshot = planned.configured, planned.plan, planned.snapshot
        if planned.forced:
            self.follow_people(configured, snapshot, planned.records, running.fence)
        now = self.now()
        until = now + timedelta(days=configured.reserve_days)
        target = Target(configured.id, running.id, now, until)
        running.total = len(plan.actions) + len(plan.departments)
        applied = apply_plan(self.db, plan, target, running.fence, running.step)
        visible = self.now()
        tidy_exclusions(self.db, running, configured.id, plan, planned.records)
        self.update_mirror(running, planned, target, applied)
        with self.db.write() as s:
            note_first_passwords(s, snapshot, target.user_ids)
            waited = propagation_delay.measured(
                plan,
                snapshot,
                quiet_since=quiet_since or self._last_look(s, running),
                watched=quiet_since is not None,
                started=running.started,
                visible=visible,
            )
            self._note_read(s, planned)
            if planned.adding_only and applied.any:
                store(s, configured.id, snapshot, planned.lag, acted=True)
            return running.finish(
                s,
                status_of(plan, applied),
                complete=snapshot.unread is None,
                people=len(snapshot.people),
                counts=counts_of(plan, applied),
                ldap_operations=snapshot.operations,
                delay_seconds=waited if applied.any else None,
                error=remarks(snapshot, applied, planned.lag if planned.adding_only else None),
                phase="",
            )

    def update_mirror(
        self,
        running: Running,
        planned: Planned,
        target: Target,
        applied: Applied,
    ) -> bool:
        """Bring the mirror up to what was read and done. Whoever was kept stays in it."""
        user_ids: dict[str, int] = {guid: user.id for guid, user in planned.records.by_guid.items()}
        user_ids.update(target.user_ids)
        mirror = Mirror(self.db, planned.configured.id, running.fence)
        snapshot = replace(planned.snapshot, hidden=planned.snapshot.hidden | planned.kept)
        adding_only = planned.adding_only
        return mirror.update(
            snapshot, planned.plan, user_ids, applied.failed, adding_only=adding_only
        )

    # The ways it can end

    def reasons_to_hold(self, planned: Planned) -> tuple[str, ...]:
        """Return why an administrator must look at this plan first; none: it may be applied."""
        lately = kept = 0
        with self.db.read() as s:
            if planned.plan.counts()[ActionKind.DEACTIVATE]:
                lately = deactivated_lately(s, planned.configured.id, self.now())
            if not planned.plan.empty:
                kept = len(kept_before(s, planned.configured.id, planned.plan))
        return reasons_to_hold(
            planned.plan,
            planned.records,
            planned.snapshot,
            planned.configured.limits,
            lately,
            kept,
        )

    def _reasons(self, planned: Planned, ask: RunOptions) -> tuple[str, ...]:
        reasons = self.reasons_to_hold(planned)
        if planned.forced and planned.lag is not None:
            return (f"{planned.lag.words} {REMEDY}", *reasons)
        return reasons if reasons or ask.trigger not in AUTOMATIC else self.undone(planned)

    def undone(self, planned: Planned) -> tuple[str, ...]:
        """Return why runs that nobody started wait with this plan; none: they do not."""
        if planned.plan.empty:
            return ()
        with self.db.read() as s:
            undone = undone_lately(s, planned.configured.id)
        again = [a for a in planned.plan.actions if (a.guid, a.kind.value) in undone]
        return (f"{len(again)} changes were undone and would be made again.",) if again else ()

    def _hold(self, running: Running, planned: Planned, reasons: tuple[str, ...]) -> Report:
        """Keep the plan for an administrator. The same plan held before stays the one held."""
        with self.db.read() as s:
            since = refused_since(s, planned.configured.id)
            waiting = [run.plan or {} for run in runs.held(s, planned.configured.id)]
        stored = {
            **planned.plan.stored(),
            "reasons": list(reasons),
            "lagging": planned.forced,
            "left_out": sorted(planned.kept),
        }
        before = [action for plan in waiting for action in plan.get("actions", ())]
        note_first_seen(stored["actions"], since, before, self.now())
        leaving = [a.guid for a in planned.plan.actions if a.kind is ActionKind.DEACTIVATE]
        Mirror(self.db, planned.configured.id, running.fence).mark_leaving(leaving)
        print_ = fingerprint(planned.plan, planned.records)
        with self.db.write() as s:
            for earlier in runs.held(s, planned.configured.id):
                plan = earlier.plan or {}
                if plan.get("digest") == stored["digest"] and earlier.fingerprint == print_:
                    running.fence(s)
                    s.delete(runs.get(s, running.id))
                    return runs.as_data(earlier)
                runs.settle(s, earlier.id, "expired", self.now(), since="held")
            return running.finish(
                s,
                "held",
                complete=planned.snapshot.unread is None,
                people=len(planned.snapshot.people),
                counts=no_counts(len(planned.plan.conflicts)),
                ldap_operations=planned.snapshot.operations,
                plan=stored,
                fingerprint=print_,
                expires_at=self.now() + HELD_FOR,
                error=" ".join(reasons),
                phase="",
            )

    @contextmanager
    def failing(self, running: Running, configured: Configured) -> Iterator[tuple[Running, Report]]:
        """A run that cannot go on is recorded as failed, with the reason in words.

        Gives the run and the document to fill. Stopped, LeaseLost and DatabaseUnavailable pass.
        """
        outcome: Report = {}
        try:
            yield running, outcome
        except LeaseLost:
            raise
        except (DirectoryError, RecordError, KeyProblem, RowRefused, DBAPIError) as error:
            outcome.update(self.failed(running, configured, error))
        except Stopped:
            self.failed(running, configured, Stopped("The sync service was stopped."))
            raise
        except DatabaseUnavailable:
            finished = self._finished(running)
            if finished is None:
                raise
            outcome.update(finished)
        except Exception:
            self.failed(running, configured, RuntimeError("An unexpected fault; see the log."))
            raise

    def _finished(self, running: Running) -> Report | None:
        """Return the run's document where its end was written and only the answer was lost."""
        if not any(self._database_answers() or self.stop.wait(pause) for pause in _UNTIL_BACK):
            return None
        with self.db.read() as s:
            run = s.get(Run, running.id)
            return None if run is None or run.status == "running" else runs.as_data(run)

    def failed(self, running: Running, configured: Configured, error: Exception) -> Report:
        """Finish the run as failed; what it had applied before stays applied."""
        words = f"{error} {getattr(error, 'remedy', '')}".strip()
        with self.db.write() as s:
            if isinstance(error, DirectoryError):
                directory_settings.set_state(s, configured.id, error=words)
            before = self._same_failure(s, running, words)
            if before is None:
                return running.finish(s, "failed", error=words, phase="")
            running.fence(s)
            s.delete(runs.get(s, running.id))
            before.finished = self.now()
            return runs.as_data(before)

    def _same_failure(self, s: Session, running: Running, words: str) -> Run | None:
        """Return the run before this one, where both are the service's own and failed alike.

        An outage is tried every few seconds, and is one line of the history.
        """
        run = runs.get(s, running.id)
        before = s.scalar(
            select(Run)
            .where(Run.directory_id == run.directory_id, Run.id < run.id)
            .order_by(Run.id.desc())
            .limit(1)
        )
        if before is None or (before.status, before.error) != ("failed", words):
            return None
        alike = {
            before.trigger,
            run.trigger,
        } <= AUTOMATIC and before.requested_by == run.requested_by
        return before if alike else None

    def _last_look(self, s: Session, running: Running) -> datetime | None:
        return s.scalar(
            select(Run.started)
            .where(Run.id < running.id, Run.complete)
            .order_by(Run.id.desc())
            .limit(1)
        )

    def _note_read(self, s: Session, planned: Planned) -> None:
        """Update the mirror that the console shows, unless it is up to date."""
        snapshot, directory_id = planned.snapshot, planned.configured.id
        state = directory_settings.state(s, directory_id)
        unread = str(snapshot.unread or "")
        shown = (state.error, state.unread, state.people, state.server_id)
        if shown != ("", unread, len(snapshot.people), snapshot.cursor.server_id):
            directory_settings.set_state(
                s,
                directory_id,
                error="",
                unread=unread,
                people=len(snapshot.people),
                server_id=snapshot.cursor.server_id,
                usn=snapshot.cursor.usn,
                read_at=snapshot.read_at,
            )
