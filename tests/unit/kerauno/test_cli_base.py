"""The output of commands reaches a terminal with its invisible signs marked, in one way only."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import click
from click.testing import CliRunner

from kerauno.base.visible_text import visible, visible_lines
from kerauno.cli_base import Commands, Failed, print_json, print_line, say
from tests.servers.process import PROJECT

SIGNS = "\x1b[31m\u202eAnna\u200b\x85\u2028\nAdmin\t"
_OWN_WAY = {PROJECT / "kerauno" / "cli_base.py"}


@click.group(cls=Commands)
def main() -> None:
    """A command of each kind."""


@main.command()
def tell() -> None:
    """Say it in each way."""
    say(f"said {SIGNS}")
    print_line(f"row\t{SIGNS}")


@main.command()
def document() -> None:
    """Print it as JSON."""
    print_json({"name": SIGNS})


@main.command()
def fail() -> None:
    """Fail with it."""
    raise Failed(f"refused {SIGNS}", "twice")


def test_every_line_is_marked() -> None:
    result = CliRunner().invoke(main, ["tell"])
    assert result.stderr == f"said {visible(SIGNS)}\n"
    assert result.stdout == f"row␉{visible(SIGNS)}\n"
    assert CliRunner().invoke(main, ["fail"]).stderr == f"refused {visible(SIGNS)}\ntwice\n"


def test_json_holds_the_name_and_escapes_it() -> None:
    text = CliRunner().invoke(main, ["document"]).stdout
    assert json.loads(text) == {"name": SIGNS}
    assert visible_lines(text) == text


def test_no_command_writes_past_it() -> None:
    assert [where for path in _sources() for where in _past(path, path.read_text())] == []


def test_a_planted_way_past_it_is_found() -> None:
    path = PROJECT / "authsvc" / "cli" / "root_group.py"
    for planted in ("click.echo(name)", "print(name)", "sys.stdout.write(name)"):
        assert len(_past(path, f"{path.read_text()}\n{planted}\n")) == 1


def _sources() -> list[Path]:
    packages = ("authsvc", "syncsvc", "provisioning", "kerauno", "dirclient")
    return [
        path
        for package in packages
        for path in (PROJECT / package).rglob("*.py")
        if path not in _OWN_WAY
    ]


def _past(path: Path, source: str) -> list[str]:
    """Return where the source writes to standard output or error without `kerauno.cli_base`."""
    ways = ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    return [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ways
    ]
