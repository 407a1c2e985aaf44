"""The same time for every refusal, so that time does not tell who exists.

A refusal is held back until the time that nearly all refusals of the slowest kind took lately: a
moving percentile of binds, and of checks of a Kerauno password, which take longest. An unknown name
pays a decoy bind besides (see `authsvc.signin.decision`), so that the directory's own load moves
all alike.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable

from kerauno.base.passwords import password_is

_KEPT = 200  # refusals of each kind that are remembered
_PERCENTILE = 0.95
_MARGIN = 1.15
_LONGEST = 1.0  # seconds: beyond that a server is ill, and everybody waits for it alike


class ResponseDelay:
    """Holds refusals back. `clock` and `sleep` are arguments so that tests need no time.

    `slow` is one check of a Kerauno password as nobody's; it is run once, at the first refusal,
    so that the first one of a real account does not stand out.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        slow: Callable[[], object] = lambda: password_is(None, secrets.token_hex(8)),
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._slow = slow
        self._lock = threading.Lock()
        self._first = threading.Lock()
        self._taken: dict[bool, deque[float]] = {
            False: deque(maxlen=_KEPT),
            True: deque(maxlen=_KEPT),
        }
        self._until: dict[bool, float] = {False: 0.0, True: 0.0}
        self._counted = 0

    def start(self) -> float:
        """The moment at which an attempt began."""
        return self._clock()

    def hold(self, started: float, *, slow: bool) -> None:
        """Return when this refusal has taken as long as refusals take."""
        took = self._clock() - started  # before the measuring below, which is no part of it
        with self._first:
            if not self._taken[True]:
                self._measure_slow()
        with self._lock:
            self._note(took, slow)
            target = min(max(self._until.values()), _LONGEST)
        left = started + target - self._clock()
        if left > 0:
            self._sleep(left)

    def _measure_slow(self) -> None:
        """One thread measures, and the others wait: they would only slow each other down."""
        took = min(self._one_slow() for _ in range(3))  # a busy moment is not the rule
        self._taken[True].append(took)
        self._until[True] = took * _MARGIN

    def _one_slow(self) -> float:
        before = self._clock()
        self._slow()
        return self._clock() - before

    def _note(self, took: float, slow: bool) -> None:
        """Remember, and now and then work the percentile out again."""
        kept = self._taken[slow]
        kept.append(took)
        self._counted += 1
        if self._counted % 8 == 0 or len(kept) < 8:
            ordered = sorted(kept)
            self._until[slow] = ordered[int(len(ordered) * _PERCENTILE)] * _MARGIN
