"""`syncsvc` as an operator runs it, where it cannot do what it was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.servers.demo import DemoDirectory
from tests.servers.web import Installation, configure_directory, configure_silent_directory

IMPOSSIBLE = "9" * 25
"""A number of a run that no database can be asked for."""


@pytest.mark.parametrize("command", [("plan",), ("once",), ("department", "list")])
def test_a_fault_names_its_field_and_what_helps(
    ready: Installation, command: tuple[str, ...]
) -> None:
    done = ready.run("syncsvc", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("servers: No directory is set up yet.")
    assert "authsvc directory set" in done.stderr


@pytest.mark.parametrize("command", ["confirm", "discard", "undo"])
@pytest.mark.parametrize("run", ["12", IMPOSSIBLE])
def test_a_run_that_is_none_is_said(ready: Installation, command: str, run: str) -> None:
    configure_silent_directory(ready)
    done = ready.run("syncsvc", command, run)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"There is no run {run}.\n"


def test_once_prints_its_document_whatever_fails(ready: Installation, tmp_path: Path) -> None:
    configure_silent_directory(ready)
    for setting, value in (
        ("KERAUNO_SECRET_KEY_FILE", str(tmp_path / "another.key")),
        ("KERAUNO_DATABASE_URL", "mysql://x/y"),
        ("KERAUNO_NONSENSE", "1"),
    ):
        was = dict(ready.environ)
        ready.environ[setting] = value
        done = ready.run("syncsvc", "once", "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["status"] == "failed"
        assert done.stderr.strip()
        assert "Traceback" not in done.stderr
        ready.environ = was


def test_tables_are_on_standard_output_and_messages_beside_it(
    ready: Installation, demo_directory: DemoDirectory
) -> None:
    configure_directory(ready, demo_directory.profile())
    ready.must("syncsvc", "once", "--build")
    plan = ready.run("syncsvc", "plan")
    assert any(line.startswith("conflict: ") for line in plan.stdout.splitlines())
    assert plan.stderr.splitlines()[-1].startswith("0 actions, ")
    listed = ready.run("syncsvc", "department", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "Sales (" in listed.stdout
    history = ready.run("syncsvc", "runs")
    assert (history.returncode, history.stderr) == (0, "")
    assert len(history.stdout.splitlines()) == 1
