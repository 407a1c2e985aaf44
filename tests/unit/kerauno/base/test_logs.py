"""Logging: what reaches standard error, and what a broken standard error may not do."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kerauno.base.logs import HIDDEN, setup_logging
from kerauno.base.visible_text import visible, visible_lines


class Broken(io.StringIO):
    """A log on a full disk, or a pipe whose reader has gone."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Give the logging of the other tests back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configured = structlog.get_config()
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_is_named_like_a_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    setup_logging("info", "text")
    structlog.get_logger().info("tried", password="C4nary!Secret", name="john.doe")
    assert "C4nary" not in said.getvalue()
    assert HIDDEN in said.getvalue()
    assert "john.doe" in said.getvalue()


def test_a_log_that_cannot_be_written_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk below the log turned sign-ins into errors of the server."""
    broken = Broken()
    monkeypatch.setattr("sys.stderr", broken)
    setup_logging("info", "text")
    structlog.get_logger().error("unavailable", path="/login")
    logging.getLogger("any").error("unavailable")
    broken.close()
    structlog.get_logger().error("unavailable", path="/login")


SIGNS = "a\x1b[31m\u202eb\nc\u2028d"


def test_no_value_makes_another_line_or_turns_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    setup_logging("info", "text")
    structlog.get_logger().info("tried", name=SIGNS, names=[SIGNS], more={"a": SIGNS})
    logging.getLogger("any").warning("refused %s", SIGNS)
    lines = said.getvalue()
    assert lines.count("\n") == 2
    assert lines.count(visible(SIGNS)) == 4
    assert visible_lines(lines) == lines


def test_a_document_of_the_log_holds_the_value_and_escapes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    setup_logging("info", "json")
    structlog.get_logger().info("tried", name=SIGNS)
    assert json.loads(said.getvalue())["name"] == SIGNS
    assert visible_lines(said.getvalue()) == said.getvalue()
