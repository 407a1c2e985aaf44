"""Writing to SQLite: in a process one writer after the other, among processes who looks first.

SQLite's own busy handler waits ever longer between looks, up to a tenth of a second, while the
other process's threads hand the lock to each other. So threads queue for their process's turn, and
whoever has it looks for the lock each millisecond or so.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.driver_errors import driver_errors, translate
from kerauno.database.prepared import Driver, PreparedConnection, Row, Statement

T = TypeVar("T")


class Turn:
    """The queue of the writers of one process."""

    __slots__ = ("_lock", "_whose")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whose: int | None = None

    def take(self, seconds: float) -> None:
        """Wait so long for those before. Raises DatabaseUnavailable; RuntimeError when nested."""
        me = threading.get_ident()
        if self._whose == me:
            raise RuntimeError("a writing transaction was opened inside another")
        if not self._lock.acquire(timeout=seconds):
            raise DatabaseUnavailable("The database is locked by another writer.")
        self._whose = me

    def give_up(self) -> None:
        """Let the next one in."""
        self._whose = None
        self._lock.release()


class FastWriter:
    """The process's single write connection, used by the thread that has the turn.

    A second connection would invalidate SQLite's page cache at each write. This one never waits
    inside SQLite, see `begin`. `connect` opens it on first use.
    """

    def __init__(self, connect: Callable[[], PreparedConnection]) -> None:
        self.turn = Turn()
        self._connect = connect
        self._hot: PreparedConnection | None = None

    def single(self, statement: Statement, values: dict[str, Any], seconds: float) -> list[Row]:
        """The rows of one statement that is a transaction by itself. Waits so long to begin."""
        self.turn.take(seconds)
        try:
            hot = self._hot or self._connected()
            try:
                return waiting(lambda: hot.all(statement, **values), seconds)
            except BaseException as fault:
                self.undo(hot, fault)
                raise
        finally:
            self.turn.give_up()

    def begin(self, seconds: float) -> PreparedConnection:
        """For `FastTransaction`: get the write lock. Whoever calls this has the turn."""
        hot = self._hot or self._connected()
        try:
            begin(hot.connection, seconds)
        except BaseException as fault:
            self.undo(hot, fault)
            raise
        return hot

    def _connected(self) -> PreparedConnection:
        hot = self._connect()
        hot.connection.execute("PRAGMA busy_timeout=0")
        self._hot = hot
        return hot

    def commit(self, hot: PreparedConnection) -> None:
        """For `FastTransaction`."""
        try:
            hot.connection.execute("COMMIT")
        except BaseException as fault:
            self.undo(hot, fault)
            raise

    def undo(self, hot: PreparedConnection, fault: BaseException) -> None:
        """Roll back. Raises what a fault of the database means."""
        roll_back(hot.connection)
        if isinstance(fault, sqlite3.Error):
            self.close()
            translated = translate(fault)
            if translated is not None:
                raise translated from fault

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        hot, self._hot = self._hot, None
        if hot is not None:
            hot.connection.close()


class FastTransaction:
    """A transaction for the length of a `with` block, which waits so long to begin.

    A class and no generator: it is entered for every sign-in.
    """

    __slots__ = ("_hot", "_seconds", "_writer")

    def __init__(self, writer: FastWriter, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds

    def __enter__(self) -> PreparedConnection:
        writer, seconds = self._writer, self._seconds
        writer.turn.take(seconds)
        try:
            hot = self._hot = writer.begin(seconds)
        except BaseException:
            writer.turn.give_up()
            raise
        return hot

    def __exit__(self, kind: object, fault: BaseException | None, _: object) -> None:
        writer = self._writer
        try:
            if fault is None:
                writer.commit(self._hot)
            else:
                writer.undo(self._hot, fault)
        finally:
            writer.turn.give_up()


def begin(connection: Driver, seconds: float) -> None:
    """Begin a transaction that has the write lock, see `waiting`."""
    waiting(lambda: connection.execute("BEGIN IMMEDIATE"), seconds)


def waiting(attempt: Callable[[], T], seconds: float) -> T:
    """Return what the attempt gives once it gets the write lock, within so many seconds.

    The connection's own timeout is 0. At sign-in's rate a look each millisecond or so finds the
    lock free nearly at once; for a long writer of another process the looks become rarer.
    """
    until = time.monotonic() + seconds
    pause = 0.0005
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads, hides nothing
        pause = min(pause * 1.2, 0.01)


def roll_back(connection: Driver) -> None:
    """End a transaction of which nothing is kept."""
    try:
        connection.execute("ROLLBACK")
    except driver_errors():
        pass  # the connection is gone or had no transaction: nothing of it was kept
