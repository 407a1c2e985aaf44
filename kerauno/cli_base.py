"""The base of all commands: settings, failures, printing.

Exit codes: 0 done · 1 failed, nothing changed · 2 usage · 3 held for an administrator.
`--json` prints one document on standard output and nothing else, also where the command fails;
messages go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import click

from kerauno.base.config import Settings, load
from kerauno.base.core_dumps import forbid_core_dumps
from kerauno.base.errors import ConfigurationError, DatabaseUnavailable, KeyProblem, RecordError
from kerauno.base.logs import setup_logging
from kerauno.base.visible_text import escaped_json, visible
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer

FAILED = 1

_OWED = "kerauno.json"  # in a context's meta: how the document that is still to be printed is made


class Failed(click.ClickException):
    """The command did nothing. The message goes to standard error, one line for each fault."""

    exit_code = FAILED

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(visible, lines)))

    def show(self, file: Any = None) -> None:
        """Say why."""
        click.echo(self.message, err=True, file=file)


class Tools:
    """The tools of a command, made on first use."""

    @cached_property
    def settings(self) -> Settings:
        """The settings of the process. Raises ConfigurationError."""
        settings = load(os.environ)
        setup_logging(settings.log_level, settings.log_format)
        return settings

    @cached_property
    def database(self) -> Database:
        """The database."""
        return Database(self.settings.database_url)

    @cached_property
    def sealer(self) -> Sealer:
        """The sealer of secrets; makes a missing key file. Raises KeyProblem."""
        return Sealer(self.settings.secret_key_file, create=True)


class Commands(click.Group):
    """A group that turns every fault of the product into a message and exit code 1.

    `also` are faults that only the service knows, such as those of the directory.
    """

    also: ClassVar[tuple[type[Exception], ...]] = ()

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and say what went wrong in words, never in a traceback."""
        forbid_core_dumps()
        try:
            return self._run(ctx)
        except click.ClickException as error:
            failed = ctx.meta.get(_OWED)
            if failed is not None:
                print_json(failed(error.format_message()))
            raise

    def _run(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Failed(*map(str, error.faults)) from error
        except (RecordError, DatabaseUnavailable, KeyProblem) as error:
            raise Failed(in_words(error)) from error
        except self.also as error:
            raise Failed(in_words(error)) from error


def in_words(error: Exception) -> str:
    """Return what went wrong; where the fault knows its field and its remedy, with both."""
    field, remedy = getattr(error, "field", ""), getattr(error, "remedy", "")
    return f"{field}: {error} {remedy}" if field and remedy else str(error)


pass_tools = click.make_pass_decorator(Tools, ensure=True)


def json_option_or(failed: Callable[[str], object]) -> Callable[[Any], Any]:
    """The option `--json` of a command; `failed` makes its document where it fails, of the message.

    What the command prints itself counts, also when it fails afterwards.
    """

    def note(ctx: click.Context, _option: click.Parameter, as_json: bool) -> bool:
        if as_json:
            ctx.meta[_OWED] = failed
        return as_json

    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,  # so that a fault of the other arguments is told in a document, too
        callback=note,
        help="Print one JSON document, and nothing else.",
    )


json_option = json_option_or(lambda message: {"error": message})


def print_json(document: object) -> None:
    """The one document of `--json`."""
    click.echo(escaped_json(json.dumps(document, ensure_ascii=False, default=str)))
    click.get_current_context().meta[_OWED] = None


def say(message: str) -> None:
    """A message for the person at the terminal, on one line."""
    click.echo(visible(message), err=True)


def print_line(line: str) -> None:
    """A line of what was asked for, on standard output."""
    click.echo(visible(line))


def password_line() -> str:
    """The password: the first line of standard input, without its end. Raises Failed if empty."""
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Failed("password: Standard input holds no password. Give it as one line.")
    return line
