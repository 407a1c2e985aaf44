"""`--json` prints exactly one document, whatever comes of the command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import click
import pytest

from authsvc.cli import main as authsvc
from syncsvc.cli import main as syncsvc
from tests.servers.web import Installation, configure_silent_directory

ARGUMENTS = {
    "authsvc user list": (),
    "authsvc sessions list": ("nobody@company.local",),
    "authsvc directory show": (),
    "authsvc directory test": (),
    "authsvc client add": ("Wiki", "--redirect-uri", "https://wiki.company.local/callback"),
    "authsvc client list": (),
    "authsvc client rotate-secret": ("unknown",),
    "authsvc forward list": (),
    "authsvc signing-keys list": (),
    "authsvc throttle list": (),
    "syncsvc plan": (),
    "syncsvc once": (),
    "syncsvc department list": (),
    "syncsvc department import": ("CN=Sales,DC=company,DC=local", "--number", "600"),
    "syncsvc department unimport": ("CN=Sales,DC=company,DC=local",),
    "syncsvc runs": (),
    "syncsvc confirm": ("12",),
    "syncsvc undo": ("12",),
}
"""Every command that has `--json`, with arguments that it understands."""

RUNS = {"once", "import", "unimport", "confirm", "undo"}
"""Those whose document is that of a run."""

LISTS = {
    "user list",
    "client list",
    "forward list",
    "signing-keys list",
    "throttle list",
    "runs",
}
"""Those that need no directory and name nobody: they succeed where the rest fails."""


def offering_json(command: click.Command, name: str) -> Iterator[str]:
    """The names of the command and those below it that have `--json`."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from offering_json(one, f"{name} {one.name}")
    elif any("--json" in parameter.opts for parameter in command.params):
        yield name


def run(kerauno: Installation, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The command with `--json`."""
    return kerauno.run(*command.split(), *ARGUMENTS[command], *more, "--json")


def failed(done: subprocess.CompletedProcess[str], command: str) -> dict[str, Any]:
    """The one document of a command that failed."""
    assert done.returncode == 1, (command, done)
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    if command.split()[-1] in RUNS:
        assert (document["run"], document["status"]) == (None, "failed"), command
        assert document["departments"] == {"imported": 0, "updated": 0}
        assert done.stderr
    else:
        assert done.stderr.endswith(document["error"] + "\n"), command
    assert isinstance(document, dict)
    return document


def test_every_command_is_tried_here() -> None:
    offered = {*offering_json(authsvc, "authsvc"), *offering_json(syncsvc, "syncsvc")}
    assert offered == set(ARGUMENTS)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_with_settings_at_fault(ready: Installation, command: str) -> None:
    ready.environ["KERAUNO_NONSENSE"] = "1"
    failed(run(ready, command), command)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_with_a_database_that_is_none(ready: Installation, command: str) -> None:
    (ready.folder / "kerauno.db").write_text("this is no database" * 100)
    failed(run(ready, command), command)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_without_a_directory_and_with_unknown_names(ready: Installation, command: str) -> None:
    done = run(ready, command)
    if command.partition(" ")[2] in LISTS or command == "authsvc client add":
        assert (done.returncode, type(json.loads(done.stdout))) in ((0, list), (0, dict))
    else:
        failed(done, command)


def test_with_a_directory_that_cannot_be_reached(ready: Installation) -> None:
    configure_silent_directory(ready)
    assert "No directory server" in failed(run(ready, "syncsvc plan"), "syncsvc plan")["error"]
    once = run(ready, "syncsvc once")
    assert (once.returncode, json.loads(once.stdout)["status"]) == (1, "failed")
    test = run(ready, "authsvc directory test")
    document = json.loads(test.stdout)
    assert (test.returncode, document["ok"]) == (1, False)
    assert not document["steps"][-1]["ok"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("syncsvc", "confirm", "--json", "twelve"),
        ("syncsvc", "department", "import", "CN=Sales", "--json"),
        ("authsvc", "client", "add", "--json"),
    ],
)
def test_arguments_at_fault(ready: Installation, arguments: tuple[str, ...]) -> None:
    done = ready.run(*arguments)
    assert done.returncode == 2
    json.loads(done.stdout)
