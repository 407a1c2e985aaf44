"""Threads that take jobs in turn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Threads:
    """A fixed number of threads that take jobs in turn.

    A future for each, as in `concurrent.futures`, would cost as much as parsing a request.
    """

    def __init__(self, number: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._number = number
        for _ in range(number):
            threading.Thread(target=self._work, daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a thread do this as soon as one is free."""
        self._jobs.put(job)

    def shutdown(self) -> None:
        """Let the threads end after the jobs that they have."""
        for _ in range(self._number):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:  # whatever it was, the next job needs the thread
                _log.exception("a request was not answered")
            del job  # with what was asked, passwords among it
