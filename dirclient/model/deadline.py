"""One end for everything that a sign-in or a connection test does, however many operations; and
how long each answer may take where a silent server is to be noticed early."""

from __future__ import annotations

import contextlib
import contextvars
import math
import time
from collections.abc import Iterator

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
_answer: contextvars.ContextVar[float] = contextvars.ContextVar("answer", default=math.inf)


class TimeLimit:
    """A context manager; see `time_limit`."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        end = time.monotonic() + self._seconds
        outer = _deadline.get()
        self._token = _deadline.set(end if outer is None else min(end, outer))

    def __exit__(self, *_: object) -> None:
        _deadline.reset(self._token)


def time_limit(seconds: float) -> TimeLimit:
    """Everything within ends in this time, whatever number of operations it takes.

    Limits nest: the nearest end wins. Used for a whole sign-in, look-up and bind together.
    """
    return TimeLimit(seconds)


def remaining(seconds: float) -> float:
    """This many seconds or what the surrounding `time_limit` leaves; not below zero."""
    end = _deadline.get()
    return seconds if end is None else max(0.0, min(seconds, end - time.monotonic()))


@contextlib.contextmanager
def answer_limit(seconds: float) -> Iterator[None]:
    """Each answer within, or each portion of one, comes in this time; together they may be long."""
    token = _answer.set(min(seconds, _answer.get()))
    try:
        yield
    finally:
        _answer.reset(token)


def patience(seconds: float) -> float:
    """This many seconds, or what the surrounding limits leave for one answer."""
    return remaining(min(seconds, _answer.get()))
