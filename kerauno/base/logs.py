"""Logging: structlog for our own events, the same shape for everybody else's, never a secret.

Events carry named values. A value whose name says that it is a secret is replaced, whoever logged
it; tracebacks carry no local variables.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from kerauno.base.visible_text import escaped_json, visible, visible_lines

HIDDEN = "[hidden]"
_SECRET = re.compile(r"pass(word|wd)?|secret|token|cookie|authorization|credential|assertion", re.I)


class Patient:
    """Standard error, of which no failure reaches who wanted to say something.

    A full disk below the log, or a reader that has gone, must fail no sign-in and no run.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: closed
            return len(text)

    def flush(self) -> None:
        """See `write`."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def setup_logging(
    level: Literal["debug", "info", "warning", "error"], format: Literal["text", "json"]
) -> None:
    """Log to standard error from now on."""
    stream = cast(TextIO, Patient(sys.stderr))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(_document)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    if format == "text":
        shared.append(mark_signs)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # Libraries that tell more than an operator wants, or what they send and receive.
    for name in ("ldap3", "authlib", "urllib3", "alembic"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what is named like a secret, at any depth."""
    return {name: _clean(name, value) for name, value in event.items()}


def mark_signs(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show what nobody sees, so that no value makes another line or turns this one around."""
    return {
        name: visible_lines(value) if name == "exception" else _marked(value)
        for name, value in event.items()
    }


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_marked(inner) for inner in value]
    if isinstance(value, (str, BaseException)):
        return visible(str(value))
    return value


def _document(event: EventDict, **options: Any) -> str:
    return escaped_json(json.dumps(event, ensure_ascii=False, **options))


def _clean(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {key: _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean("", inner) for inner in value]
    return value
