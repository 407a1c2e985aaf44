"""The `authsvc` command."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from authsvc.cli.base import Commands
from authsvc.cli.clients import client, keys
from authsvc.cli.directory import directory
from authsvc.cli.records import admin, housekeeping, key, sessions, user
from authsvc.cli.sites import forward
from authsvc.cli.throttle import attempts, throttle_group
from kerauno import migrations
from kerauno.base.errors import DatabaseUnavailable, SchemaOutdated
from kerauno.cli_base import Failed, Tools, pass_tools, say
from kerauno.database.engine import Database

_PROJECT = Path(__file__).resolve().parents[2]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kerauno-directory")
def main() -> None:
    """Sign in to Kerauno, and to every app that trusts it, with Active Directory."""


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads of each process.")
@pass_tools
def serve(
    tools: Tools, host: str | None, port: int | None, workers: int | None, threads: int | None
) -> None:
    """Run the web service."""
    settings = tools.settings
    tools.sealer  # noqa: B018 - a key file that cannot be used is told now, not at the first request
    _check_tables(tools.database)
    tools.database.close()
    root = _root()
    address = host or settings.host
    listening = f"[{address}]" if ":" in address else address
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="kerauno-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ["AUTHSVC_METRICS_FOLDER"] = folder  # ours to remove, see gunicorn.conf.py
    os.execv(  # noqa: S606 - this very interpreter
        sys.executable,
        [
            *(sys.executable, "-m", "gunicorn", "wsgi:app"),
            *("--config", str(root / "config" / "gunicorn.conf.py"), "--pythonpath", str(root)),
            *("--bind", f"{listening}:{port or settings.port}"),
            *("--workers", str(workers or settings.workers)),
            *("--threads", str(threads or settings.threads)),
        ],
    )


@main.command()
def check() -> None:
    """Tell every fault of configuration, database and directory at once."""
    from authsvc.cli.check import faults

    problems = faults(os.environ)
    for fault in problems:
        say(fault)
    if problems:
        raise Failed(f"{len(problems)} to put right." if len(problems) > 1 else "1 to put right.")
    say("No fault was found.")


@main.group()
def db() -> None:
    """The database."""


@db.command()
@pass_tools
def upgrade(tools: Tools) -> None:
    """Bring the database's tables to this version."""
    done = migrations.upgrade(tools.database)
    say("The database is now on this version." if done else "The database was on this version.")


def _check_tables(database: Database) -> None:
    """Refuse another version's tables. A server that is away is no reason not to start: pages say
    so, and /readyz, until it is back. Raises SchemaOutdated; of a file DatabaseUnavailable, too.
    """
    try:
        migrations.check(database)
    except SchemaOutdated:
        raise
    except DatabaseUnavailable as error:
        if database.sqlite:
            raise  # the operator's to mend: it does not come back by itself
        say(f"{error} Starting nevertheless: until it can be asked, every page says so.")


def _root() -> Path:
    """Return where wsgi.py and config/ are: the project, else the working directory."""
    for place in (_PROJECT, Path.cwd()):
        if (place / "wsgi.py").exists() and (place / "config" / "gunicorn.conf.py").exists():
            return place
    raise Failed(
        "wsgi.py and config/gunicorn.conf.py are neither beside the program nor in the working "
        "directory. Start from the project's directory."
    )


for _command in (
    *(admin, user, directory, client, forward),
    *(key, keys, sessions, throttle_group, attempts, housekeeping),
):
    main.add_command(_command)
