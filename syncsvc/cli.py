"""The `syncsvc` command."""

from __future__ import annotations

import getpass
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import click

from dirclient.client import DirectoryClient
from dirclient.config.ports import Progress as Report
from dirclient.model.errors import DirectoryError
from kerauno import migrations
from kerauno.base.errors import DatabaseUnavailable, LeaseLost
from kerauno.cli_base import FAILED, Tools, json_option, json_option_or, print_json, print_line, say
from kerauno.cli_base import Commands as RecordCommands
from kerauno.database.database_clock import DatabaseClock
from kerauno.sync import directory_settings, runs
from provisioning.partial_confirmation import Choice
from provisioning.plan import Mode
from syncsvc.runs import departments, plan_review, single_user
from syncsvc.runs.engine import Engine, RunOptions
from syncsvc.runs.run_context import Busy, Stopped
from syncsvc.service.startup import until_ready
from syncsvc.service.worker import Worker

HELD = 3

_ONCE = ("run", "status", "complete", "people")
_AFTER = ("departments", "ldap_operations", "seconds")
_HELD = ("held_because", "actions", "confirmed", "kept")
_HISTORY = ("started", "finished", "trigger", "delay_seconds")


class Commands(RecordCommands):
    """Turns every fault of records, directory and lease into a message and exit code 1."""

    also = (DirectoryError, Busy, LeaseLost, Stopped)


class SyncTools(Tools):
    """The tools of a command of this service, made on first use."""

    @cached_property
    def engine(self) -> Engine:
        """The engine on the real directory; refuses an outdated database."""
        migrations.check(self.database)
        clock = DatabaseClock(self.database)
        clock.measure()
        return Engine(self.database, self.sealer, DirectoryClient, now=clock)


def _nothing_done(_message: str) -> dict[str, Any]:
    """The document of a run that could not even begin."""
    return {
        "run": None,
        "status": "failed",
        "complete": False,
        "people": 0,
        **dict.fromkeys(runs.COUNTS, 0),
        "departments": {"imported": 0, "updated": 0},
        "ldap_operations": 0,
        "seconds": 0.0,
    }


run_json_option = json_option_or(_nothing_done)
pass_tools = click.make_pass_decorator(SyncTools, ensure=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kerauno-directory")
def main() -> None:
    """Build Kerauno's users and departments from Active Directory, and keep them true."""


@main.command()
@json_option
@pass_tools
def plan(tools: SyncTools, as_json: bool) -> None:
    """Show what Synchronize Users would do; changes nothing."""
    with _bar() as progress:
        planned = tools.engine.preview(Mode.BUILD, progress=progress)
    plan, unread = planned.plan, planned.snapshot.unread
    if unread is not None:
        say(f"Departments were not read and stay as they are. {unread}")
    if planned.lag is not None:
        say(planned.lag.words)
    for reason in tools.engine.reasons_to_hold(planned):
        say(f"The run would be held. {reason}")
    for reason in tools.engine.undone(planned):
        say(f"A run of the timer or on a change would be held. {reason}")
    if as_json:
        print_json(plan.as_json())
        return
    for action in plan.actions:
        shown = action.as_json()
        print_line(f"{shown['action']}: {shown['username']} ({action.name}), {shown['extension']}")
    for department in plan.departments:
        row = department.as_json()
        print_line(f"{row['action']} department: {row['name']} ({row['number']})")
    for conflict in plan.conflicts:
        other = f" used by {conflict.other}" if conflict.other else ""
        print_line(f"conflict: {conflict.person}: {conflict.code} {conflict.value}{other}")
    say(f"{len(plan.actions)} actions, {len(plan.conflicts)} conflicts.")


@main.command()
@click.option("--build", is_flag=True, help="Build new users and departments as well.")
@run_json_option
@pass_tools
@click.pass_context
def once(ctx: click.Context, tools: SyncTools, build: bool, as_json: bool) -> None:
    """Do one run, for a timer: keep what is linked true; build when that is switched on."""
    with _bar() as progress:
        ask = RunOptions("cli", mode=Mode.BUILD if build else None, by=_me(), progress=progress)
        report = tools.engine.run(ask)
    if report["status"] != "failed":
        # The run is done, whatever becomes of this note.
        with suppress(DatabaseUnavailable), tools.database.write() as s:
            directory_settings.set_state(
                s, tools.engine.configured().id, looked_at=tools.engine.now()
            )
    _conclude(ctx, report, as_json)


@main.command()
@pass_tools
def serve(tools: SyncTools) -> None:
    """Run the service: timer, change tracking, requests of the console."""
    sealer = tools.sealer  # a key file that cannot be used is told before any waiting
    _on_signals(_leave)  # while it waits there is nothing to bring to an end
    until_ready(tools.database)
    clock = DatabaseClock(tools.database)
    engine = Engine(tools.database, sealer, DirectoryClient, now=clock)
    _on_signals(lambda *_: engine.stop.set())
    Worker(engine, run_days=tools.settings.run_days, measure_clock=clock.measure).serve()


def _on_signals(act: Callable[..., None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, act)


def _leave(*_: object) -> None:
    raise SystemExit(0)


@main.group()
def department() -> None:
    """The AD Departments tab."""


@department.command("list")
@json_option
@pass_tools
def department_list(tools: SyncTools, as_json: bool) -> None:
    """List directory departments, and what Kerauno made of them."""
    rows = departments.listing(tools.engine)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        gone = ", gone from AD" if row["gone"] else ""
        print_line(
            f"{row['number'] or '–':>10}  {row['name']} ({row['kind']}, {row['members']}{gone})"
        )


@department.command("import")
@click.argument("dn", metavar="GUID|DN")
@click.option("--number", required=True, help="The ring group number.")
@run_json_option
@pass_tools
@click.pass_context
def department_import(
    ctx: click.Context, tools: SyncTools, dn: str, number: str, as_json: bool
) -> None:
    """Import a directory department with a ring group number."""
    with _bar() as progress:
        ask = RunOptions("cli", by=_me(), progress=progress)
        report = departments.import_department(tools.engine, ask, dn, number)
    _conclude(ctx, report, as_json)


@department.command("unimport")
@click.argument("dn", metavar="GUID|DN")
@run_json_option
@pass_tools
@click.pass_context
def department_unimport(ctx: click.Context, tools: SyncTools, dn: str, as_json: bool) -> None:
    """Remove an imported department with its ring group; its number is free again."""
    report = departments.unimport_department(tools.engine, RunOptions("cli", by=_me()), dn)
    _conclude(ctx, report, as_json)


@main.group()
def user() -> None:
    """One user's Active Directory tab."""


@user.command("sync")
@click.argument("email")
@pass_tools
def user_sync(tools: SyncTools, email: str) -> None:
    """Link the user EMAIL to their AD account, for sign-in alone."""
    say(single_user.sync_user(tools.engine, email, by=_me()))


@user.command("desync")
@click.argument("email")
@pass_tools
def user_desync(tools: SyncTools, email: str) -> None:
    """Unlink the user EMAIL; the timer will not link them again."""
    say(single_user.desync_user(tools.engine, email, by=_me()))


@main.command("runs")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="How many, at most.")
@json_option
@pass_tools
def runs_(tools: SyncTools, limit: int, as_json: bool) -> None:
    """Show the runs, newest first."""
    migrations.check(tools.database)
    with tools.database.read() as s:
        directory = directory_settings.load(s)
        history = runs.history(s, directory.id, limit=limit) if directory is not None else []
        rows = [runs.as_data(run) for run in history if run.status != "planned"]
    if as_json:
        print_json([_document(row, history=True) for row in rows])
        return
    for row in rows:
        print_line(f"{row['run']:>6}  {row['started']}  {row['trigger']:<7}  {_summary(row)}")


@main.command()
@click.argument("run", type=int)
@click.option(
    "--only",
    multiple=True,
    metavar="GUID|EMAIL|USERNAME",
    help="Confirm only this person, or department by name; may be given several times.",
)
@run_json_option
@pass_tools
@click.pass_context
def confirm(
    ctx: click.Context, tools: SyncTools, run: int, only: tuple[str, ...], as_json: bool
) -> None:
    """Apply the held run RUN, if nothing has changed since.

    With --only, everybody else stays as they are, in later runs, too; a build shows them again.
    """
    choice = Choice(only=frozenset(only) if only else None)
    with _bar() as progress:
        ask = RunOptions("cli", by=_me(), progress=progress)
        report = plan_review.confirm(tools.engine, run, ask, choice=choice)
    _conclude(ctx, report, as_json)


@main.command()
@click.argument("run", type=int)
@pass_tools
def discard(tools: SyncTools, run: int) -> None:
    """Drop the held run RUN."""
    plan_review.discard(tools.engine, run)
    say(f"Run {run} was discarded.")


@main.command()
@click.argument("run", type=int)
@run_json_option
@pass_tools
@click.pass_context
def undo(ctx: click.Context, tools: SyncTools, run: int, as_json: bool) -> None:
    """Restore what the run RUN changed."""
    report, could_not = plan_review.undo(tools.engine, run, RunOptions("cli", by=_me()))
    for sentence in could_not:
        say(f"Could not be restored: {sentence}")
    _conclude(ctx, report, as_json)


def _conclude(ctx: click.Context, report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(_document(report))
    else:
        say(_summary(report))
    if report["error"]:
        say(report["error"])
    if report["status"] == "failed":
        ctx.exit(FAILED)
    if report["status"] == "held":
        for action in report["actions"]:
            say(_leaving(action))
        say(f"Look at it and run: syncsvc confirm {report['run']} (or discard)")
        ctx.exit(HELD)


def _document(report: dict[str, Any], *, history: bool = False) -> dict[str, Any]:
    """The fields of a run that commands print, in the order they are documented."""
    names = (*_ONCE, *runs.COUNTS, *_AFTER, *(_HISTORY if history else ()))
    return {name: report[name] for name in (*names, *_HELD) if name in report}


def _leaving(action: dict[str, Any]) -> str:
    """Return a line for one person of a held run: why they would leave, and since when."""
    reason = f", {action['reason'].replace('_', ' ')}" if "reason" in action else ""
    since = f" since {action['since']}" if "since" in action else ""
    since += " (first seen)" if action.get("since_by") == "sync" else ""
    return f"{action['action']}: {action['username']}{reason}{since}"


def _summary(report: dict[str, Any]) -> str:
    parts = [f"{report[name]} {name}" for name in runs.COUNTS if report[name]]
    for name, count in report["departments"].items():
        if count:
            parts.append(f"{count} departments {name}")
    return f"{report['status']}: {', '.join(parts) or 'nothing to do'} ({report['seconds']:.2f} s)"


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


@contextmanager
def _bar() -> Iterator[Report | None]:
    """A progress bar on standard error where that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # heavy, and only wanted at a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)

        def report(phase: str, done: int, total: int) -> None:
            bar.update(task, description=phase, completed=done, total=total or None)

        yield report


if __name__ == "__main__":
    main()
