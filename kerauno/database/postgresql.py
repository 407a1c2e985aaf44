"""How PostgreSQL is connected to: directly, or through a pooler such as pgbouncer.

A pooler in transaction mode gives each transaction another server connection. What is set for a
session, and what is prepared in it, is then not there in the next transaction. So each connection
asks for a setting of its own and looks whether it was taken. Where it was not, nothing is
prepared, and each writing transaction sets for itself what it needs.
"""

from __future__ import annotations

import logging
import select
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError

from kerauno.database.driver_errors import driver_errors, lost_statement, read_only

_LOCK_TIMEOUT = "5001ms"
"""How long a statement waits for a lock. An odd figure, so that nobody else has set the same."""
_SESSION = (
    f"-c lock_timeout={_LOCK_TIMEOUT} -c timezone=UTC "
    r"-c default_transaction_isolation=read\ committed"
)
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_POOLED_BEGIN = f"{BEGIN}; SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"
_PING_AFTER = 30.0  # seconds a connection may idle before it is tried first

_log = logging.getLogger(__name__)


class Connector:
    """Opens connections to one PostgreSQL, and knows whether a pooler stands before it."""

    def __init__(self, pool_timeout: float) -> None:
        self.pooled = False
        self._pool_timeout = pool_timeout

    @property
    def begin(self) -> str:
        """The statement that begins a writing transaction on a connection of the driver."""
        return _POOLED_BEGIN if self.pooled else BEGIN

    def engine(self, url: URL) -> Engine:
        """Return an engine whose connections are opened here."""
        engine = create_engine(
            url,
            pool_size=8,
            max_overflow=24,
            pool_timeout=self._pool_timeout,
            hide_parameters=True,  # an error's words end in the log
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": 5, "application_name": "kerauno"},
        )
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "handle_error", self._handle_error)
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", self._look_when_idle)
        return engine

    def note(self, error: BaseException) -> bool:
        """Learn from a driver's error. Return True where its connection is of no further use."""
        if lost_statement(error):
            self._note_pooler("it mixed up prepared statements")
            return True
        return read_only(error)

    def usable(self, connection: Any, idle_since: float) -> bool:
        """Tell whether a connection of the driver that idled can be used again."""
        if self.pooled and connection.prepare_threshold is not None:
            return False  # of the time before the pooler was known
        return is_alive(connection, idle_since)

    def _connect(self, dialect: Any, _record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        import psycopg

        if not self.pooled:
            try:
                connection = dialect.connect(*args, options=_SESSION, **options)
                if _has_settings(connection):
                    return connection
                connection.close()
                self._note_pooler("it passes on no settings")
            except psycopg.OperationalError as error:
                if "unsupported startup parameter" not in str(error):
                    raise
                self._note_pooler("it refuses settings")
        return dialect.connect(*args, prepare_threshold=None, **options)

    def _note_pooler(self, why: str) -> None:
        if not self.pooled:
            self.pooled = True
            _log.info("a pooler stands before PostgreSQL (%s): nothing is prepared", why)

    def _look_when_idle(self, connection: Any, record: Any, _fairy: Any) -> None:
        since = record.info.get("idle_since")
        if since is not None and not self.usable(connection, since):
            raise DisconnectionError

    def _begin(self, connection: Connection) -> None:
        if self.pooled and connection.get_execution_options().get("kerauno_write"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")

    def _handle_error(self, context: ExceptionContext) -> None:
        if self.note(context.original_exception):
            context.is_disconnect = True  # a standby stays one: connect again


def is_alive(connection: Any, idle_since: float) -> bool:
    """Tell whether a connection that idled can be used: nobody is to find out by a failure."""
    if _has_hung_up(connection):
        return False
    return not _idled_long(idle_since) or _answers(connection)


def _has_hung_up(connection: Any) -> bool:
    """Tell whether the server ended it: it has sent something unasked, or the end of the stream.

    It costs a microsecond. A server that was restarted is so noticed at once.
    """
    try:
        waiting = select.poll()
        waiting.register(connection.pgconn.socket, select.POLLIN)
        return bool(waiting.poll(0))
    except driver_errors(OSError, ValueError):
        return True


def _answers(connection: Any) -> bool:
    """Tell whether a connection that idled is alive."""
    try:
        connection.execute("SELECT 1")
        if not connection.autocommit:
            connection.rollback()
    except driver_errors():
        return False
    return True


def _idled_long(since: float) -> bool:
    """Tell whether a connection must be tried before use: the server may have restarted."""
    return time.monotonic() - since >= _PING_AFTER


def _has_settings(connection: Any) -> bool:
    [value] = connection.execute("SHOW lock_timeout").fetchone()
    connection.rollback()
    return bool(value == _LOCK_TIMEOUT)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()
