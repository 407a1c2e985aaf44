"""Errors of the database drivers, and their meaning.

psycopg is SQLAlchemy's to import, with the first PostgreSQL address: it takes a tenth of a second,
which no command on SQLite needs to wait.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

from kerauno.base.errors import (
    DatabaseConflict,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    SchemaOutdated,
)

_OUTDATED = "The database is on another version's tables. Run: authsvc db upgrade"

_FULL = "The database's disk is full. Free some space: nothing is lost, and all goes on by itself."
_READ_ONLY = (
    "The database is read-only: it is a standby, or was set so. "
    "Name the primary in KERAUNO_DATABASE_URL, or all hosts: postgresql://A,B/database."
)


def driver_errors(*also: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what the drivers in use raise, and `also`; to be asked when something was raised."""
    psycopg = _psycopg()
    return (sqlite3.Error, *also) if psycopg is None else (sqlite3.Error, psycopg.Error, *also)


def translate(error: BaseException) -> DatabaseUnavailable | None:
    """Return what a driver's error means for the caller, or None where it is about the data
    itself."""
    if isinstance(error, sqlite3.OperationalError):
        text = str(error)
        if text.startswith(("no such table", "no such column")) or "has no column" in text:
            return SchemaOutdated(_OUTDATED)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_ERROR and text.startswith("no such savepoint"):
            return _before(error)  # SQLite rolled back all when that happened
        if code == sqlite3.SQLITE_ERROR:
            return None  # our statement is at fault, not the database
        if code == sqlite3.SQLITE_FULL:
            return DatabaseFull(_FULL)
        if code == sqlite3.SQLITE_READONLY:
            return DatabaseReadOnly("The database file may not be written by this user.")
        return DatabaseUnavailable(f"The database cannot be used now: {text}.")
    if type(error) is sqlite3.DatabaseError:  # not a database, or malformed
        return DatabaseUnavailable(f"The database file cannot be read: {error}.")
    psycopg = _psycopg()
    if psycopg is None:
        return None
    if isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)):
        return SchemaOutdated(_OUTDATED)
    if read_only(error):
        return DatabaseReadOnly(_READ_ONLY)
    if isinstance(error, psycopg.errors.DiskFull):
        return DatabaseFull(_FULL)
    if isinstance(error, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
        return DatabaseConflict("Another transaction was in the way. Try again.")
    if lost_statement(error):
        return DatabaseUnavailable("The database's pooler gave another session. Try again.")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        first = (str(error).strip().splitlines() or ["no answer"])[0]
        return DatabaseUnavailable(f"The database cannot be used now: {first}.")
    return None


def _before(error: BaseException) -> DatabaseUnavailable | None:
    """Return what the error means during whose handling this one was raised."""
    earlier = error.__context__
    while earlier is not None:
        cause = getattr(earlier, "orig", earlier)
        if isinstance(cause, sqlite3.Error) and (translated := translate(cause)) is not None:
            return translated
        earlier = earlier.__context__
    return None


def lost_statement(error: BaseException) -> bool:
    """Tell whether a prepared statement was not in the session that a pooler gave."""
    psycopg = _psycopg()
    return psycopg is not None and isinstance(
        error, (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)
    )


def read_only(error: BaseException) -> bool:
    """Tell whether the server takes no writes."""
    psycopg = _psycopg()
    return psycopg is not None and isinstance(error, psycopg.errors.ReadOnlySqlTransaction)


def _psycopg() -> Any:
    """The driver, or None while nothing has needed it."""
    return sys.modules.get("psycopg")
