"""The database: SQLite in one file by default, PostgreSQL for several hosts.

    with db.read() as s:        # an ORM session that sees one moment and writes nothing
    with db.write() as s:       # one transaction; commits at the end, rolls back on an exception
    with db.fast() as h:        # single prepared reads, see `kerauno.database.prepared`
    with db.fast_write() as h:  # prepared statements in one writing transaction
    given = db.fast_work(work)  # the same, done again where another transaction was in the way
    rows = db.fast_single(…)    # on SQLite: one that writes, in a transaction of its own

Whatever the driver says about a database that cannot be asked becomes `DatabaseUnavailable`;
tables of another version become `SchemaOutdated`.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from kerauno.base.database_url import parse_database_url
from kerauno.base.errors import DatabaseConflict, DatabaseUnavailable
from kerauno.database.driver_errors import driver_errors, translate
from kerauno.database.postgresql import Connector
from kerauno.database.prepared import PreparedConnection, Row, Statement, StatementCounter
from kerauno.database.sqlite_writer import FastTransaction, FastWriter, begin, roll_back

T = TypeVar("T")

LOCK_SECONDS = 5.0
"""How long a writer waits for another before the database counts as unavailable."""

_KEPT = 32  # driver connections kept for the fast paths
_TRIES = 3  # of a transaction that the server ends in favour of another


class Database:
    """One database. Cheap to make: nothing is opened until first use. Safe to share by threads."""

    def __init__(self, url: str) -> None:
        self.url = parse_database_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._postgresql = Connector(pool_timeout=LOCK_SECONDS)
        self._counts: list[StatementCounter] = []
        self.engine = self._engine().execution_options(kerauno_counts=self._counts)
        writer = self.engine.execution_options(kerauno_write=True)
        self._reading = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        self._writing = sessionmaker(writer, expire_on_commit=False)
        self._idle: deque[tuple[PreparedConnection, float]] = deque()
        self._writer = FastWriter(self._borrow)  # of SQLite
        _databases.add(self)

    def _engine(self) -> Engine:
        if self.sqlite:
            assert self.url.database
            Path(self.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            engine = create_engine(
                self.url,
                pool_size=8,
                max_overflow=24,
                pool_timeout=LOCK_SECONDS,
                hide_parameters=True,  # an error's words end in the log
                connect_args={"timeout": LOCK_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "do_connect", _make_private)
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            engine = self._postgresql.engine(self.url)
        event.listen(engine, "before_cursor_execute", self._count)
        return engine

    def _count(self, _connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        for counts in self._counts:
            counts.add(sql)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the database. Its rows stay usable afterwards."""
        with translating(), self._reading() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One writing transaction, which has the write lock from its first statement on.

        Commits when the block ends, rolls back when it raises. Not to be nested.
        """
        with translating(), self._own_turn(), self._writing.begin() as session:
            yield session

    def fast(self) -> AbstractContextManager[PreparedConnection]:
        """Prepared single reads on a kept connection; each statement sees its own moment."""
        return _Fast(self)

    def fast_write(self, *, patient: bool = True) -> AbstractContextManager[PreparedConnection]:
        """Prepared statements in one writing transaction: commits at the end or rolls back.

        Without `patient`, it does not wait for another writer of a SQLite database but raises
        DatabaseUnavailable at once: for notes that can as well be taken next time.
        """
        if self.sqlite:
            return FastTransaction(self._writer, LOCK_SECONDS if patient else 0)
        return self._fast_write()

    def fast_work(self, work: Callable[[PreparedConnection], T]) -> T:
        """Return what `work` gives in one writing transaction of prepared statements.

        It is called again where the server ended the transaction in favour of another, of which
        nothing was kept: a deadlock with somebody else's work is no reason to turn people away.
        """
        for _ in range(_TRIES - 1):
            with suppress(DatabaseConflict), self.fast_write() as hot:
                return work(hot)
        with self.fast_write() as hot:
            return work(hot)

    def fast_single(self, statement: Statement, **values: Any) -> list[Row]:
        """On SQLite, the rows of one prepared statement that is a writing transaction by itself."""
        return self._writer.single(statement, values, LOCK_SECONDS)

    @contextmanager
    def _fast_write(self) -> Iterator[PreparedConnection]:
        """On PostgreSQL, where writers need not queue."""
        with self.fast() as hot:
            hot.connection.execute(self._postgresql.begin)
            try:
                yield hot
                hot.connection.execute("COMMIT")
            except BaseException:
                roll_back(hot.connection)
                raise

    @contextmanager
    def counting(self) -> Iterator[StatementCounter]:
        """Count the statements of every thread until the block ends; for tests and benchmarks."""
        counts = StatementCounter()
        self._counts.append(counts)
        try:
            yield counts
        finally:
            self._counts.remove(counts)

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        while self._idle:
            self._idle.pop()[0].connection.close()
        self._writer.close()
        self.engine.dispose()

    def _borrow(self) -> PreparedConnection:
        while self._idle:
            hot, since = self._idle.pop()
            if self.sqlite or self._postgresql.usable(hot.connection, since):
                return hot
            hot.connection.close()
        with translating():
            fairy = self.engine.raw_connection()
            driver = fairy.driver_connection
            fairy.detach()  # it is the pool's no longer, but went through its set-up
        assert driver is not None
        if not self.sqlite:
            driver.autocommit = True
        return PreparedConnection(driver, self.engine.dialect, self._counts)

    def _give_back(self, hot: PreparedConnection, error: BaseException | None) -> None:
        """Keep a connection that is sound; of one that is not, say what went wrong."""
        if error is None:
            self._idle.append((hot, time.monotonic()))
        elif isinstance(error, driver_errors()):
            hot.connection.close()
            if not self.sqlite:
                self._postgresql.note(error)
            translated = translate(error)
            if translated is not None:
                raise translated from error
        elif len(self._idle) < _KEPT:
            self._idle.append((hot, time.monotonic()))
        else:
            hot.connection.close()

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """On SQLite, wait for this process's other writers in order."""
        if not self.sqlite:
            yield
            return
        turn = self._writer.turn
        turn.take(LOCK_SECONDS)
        try:
            yield
        finally:
            turn.give_up()


class _Fast:
    """See `Database.fast`. A class, since each sign-in and each session check enters it."""

    __slots__ = ("_database", "_hot")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> PreparedConnection:
        self._hot = self._database._borrow()
        return self._hot

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        self._database._give_back(self._hot, error)


@contextmanager
def translating() -> Iterator[None]:
    """Errors of SQLAlchemy and the drivers leave the block as what they mean, see `translate`."""
    try:
        yield
    except driver_errors(DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        translated = None if cause is None else translate(cause)
        if translated is None:
            raise
        raise translated from error
    except PoolTimeout as error:
        raise DatabaseUnavailable("Every connection to the database is busy.") from error


def _make_private(_dialect: Any, _record: Any, args: list[Any], _options: Any) -> None:
    """Make a missing SQLite file readable by its owner alone, whatever the umask.

    SQLite gives the files beside it (-wal, -shm) the mode of the database.
    """
    if args[0].startswith("file:"):
        return  # an address with settings of its own, for whoever knows what they do
    with suppress(OSError):  # it is there, or opening it says what is wrong
        descriptor = os.open(args[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, and by nobody else
    connection.execute(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000:.0f}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-16000")  # KiB
    # Folding the log in costs a sync of the disk, by whoever commits then: at 700 sign-ins a
    # second every thousand pages would be several times a second.
    connection.execute("PRAGMA wal_autocheckpoint=4000")  # pages, 16 MiB


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("kerauno_write"):
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA busy_timeout=0")
        try:
            begin(driver, LOCK_SECONDS)
        finally:
            driver.execute(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000:.0f}")
    else:
        connection.exec_driver_sql("BEGIN")


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[object] = []  # kept so that they are never finalized in the child


def _forget_connections() -> None:
    """After a fork the child must not use, nor close, connections its parent has open."""
    for database in _databases:
        _inherited.extend((database._idle, database._writer))
        database._idle = deque()
        database._writer = FastWriter(database._borrow)
        database.engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)
