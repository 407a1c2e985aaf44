"""Connections of a pool that are lent, and threads that wait for one."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from dirclient.connection.ldap_connection import Connection


class Waiter:
    """One borrower who waits for a connection, or for the right to open one."""

    __slots__ = ("_called", "connection", "granted")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.granted = False
        self._called = threading.Lock()
        self._called.acquire()

    def wait(self, seconds: float) -> None:
        """Until called, or for so long."""
        self._called.acquire(timeout=max(0.0, seconds))

    def call(self) -> None:
        """End the waiting."""
        self._called.release()


@dataclass(eq=False, slots=True)
class Side:
    """The idle connections of one kind, the last used last; those that are `out`; how many are
    lent or being opened; and who waits, in the order in which they came."""

    idle: list[Connection] = field(default_factory=list)
    out: set[Connection] = field(default_factory=set)
    lent: int = 0
    waiting: deque[Waiter] = field(default_factory=deque)

    def late(self, since: float) -> list[int]:
        """The ranks of servers that owe an answer since then, one for each connection.

        Others may borrow and give back meanwhile, so it looks at a copy.
        """
        return [lent.rank for lent in tuple(self.out) if lent.busy and lent.began < since]

    def grant(self, connection: Connection | None) -> bool:
        """Hand a connection, or a free place, to who waits longest. False when nobody does."""
        if not self.waiting:
            return False
        waiter = self.waiting.popleft()
        waiter.connection, waiter.granted = connection, True
        self.lent += 1
        waiter.call()
        return True
