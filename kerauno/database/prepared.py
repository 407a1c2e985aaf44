"""Statements compiled once and run straight on the driver, for what every request pays for.

A session check must cost microseconds. SQLAlchemy's own execution costs 30 of them on a kept
connection and 190 through a Session, the SQLite query itself 5. So the few statements on the
paths of sign-in and session check are written in Core like all others, compiled once for the
dialect, and then run on a driver connection without anything in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Dialect, Executable
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]


class Driver(Protocol):
    """The methods that sqlite3 and psycopg connections share and this module uses."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement and give a cursor."""

    def close(self) -> None:
        """Close the connection."""


class StatementCounter:
    """How many statements were sent while counting, and how many of them write."""

    __slots__ = ("statements", "texts", "writes")

    def __init__(self) -> None:
        self.statements = 0
        self.writes = 0
        self.texts: list[str] = []

    def add(self, sql: str) -> None:
        """Count one statement by its first word."""
        self.texts.append(sql)
        self.statements += 1
        first = sql.split(None, 1)[0].upper()
        if first in ("INSERT", "UPDATE", "DELETE", "COPY") or (
            first == "WITH" and " INSERT INTO " in sql
        ):
            self.writes += 1


class _Compiled:
    """A statement in one dialect: its text, and what to do to values on the way in and out."""

    __slots__ = ("constants", "incoming", "names", "ordered", "outgoing", "sql")

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)
        assert not compiled.insert_prefetch, "a hot INSERT names every column that has a default"
        assert not compiled.update_prefetch, "a hot UPDATE names every column that has an onupdate"
        self.sql = str(compiled)
        values = compiled.construct_params(_check=False)
        self.names = frozenset(values)
        self.constants = {
            name: value for name, value in values.items() if not compiled.binds[name].required
        }
        self.incoming = [
            (name, convert)
            for name in values
            if (convert := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]
        self.ordered = _ordered(compiled.positiontup)
        self.outgoing = [
            (index, convert)
            for index, column in enumerate(compiled._result_columns)
            if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]

    def parameters(self, values: dict[str, Any]) -> Any:
        """The driver's parameters: a tuple for SQLite's `?`, a dict for psycopg's names.

        The values given are changed on the way.
        """
        if self.constants:
            values = {**self.constants, **values}
        if len(values) != len(self.names):
            raise KeyError(*(values.keys() ^ self.names))
        for name, convert in self.incoming:
            values[name] = convert(values[name])
        return self.ordered(values)

    def row(self, row: Row) -> Row:
        """The row with its values as Python knows them."""
        if not self.outgoing:
            return row
        values = list(row)
        for index, convert in self.outgoing:
            values[index] = convert(values[index])
        return tuple(values)


def _ordered(positions: Sequence[str] | None) -> Callable[[dict[str, Any]], Any]:
    """Puts values into the order of the `?`; leaves them as they are where these have names."""
    if positions is None:
        return lambda values: values
    if len(positions) < 2:
        return lambda values: tuple(values[name] for name in positions)
    return itemgetter(*positions)


class Statement:
    """A Core statement with `bindparam` names, compiled at first use for each dialect.

    A value that is not given when it runs, and has no constant in the statement, is a KeyError;
    so is one that the statement does not know.
    """

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def on(self, dialect: Dialect) -> _Compiled:
        """The statement in this dialect."""
        try:
            return self._compiled[dialect.name]
        except KeyError:
            compiled = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
            return compiled


class PreparedConnection:
    """A driver connection that runs prepared statements. Get one from `Database` or `of(session)`.

    Errors of the driver are translated where the connection is lent out, see `kerauno.db`.
    """

    __slots__ = ("connection", "counts", "dialect")

    def __init__(
        self, connection: Driver, dialect: Dialect, counts: list[StatementCounter]
    ) -> None:
        self.connection = connection
        self.dialect = dialect
        self.counts = counts

    def _execute(self, compiled: _Compiled, values: dict[str, Any]) -> Any:
        if self.counts:
            for counts in self.counts:
                counts.add(compiled.sql)
        return self.connection.execute(compiled.sql, compiled.parameters(values))

    def one(self, statement: Statement, **values: Any) -> Row | None:
        """The first row, or None where there is none."""
        compiled = statement.on(self.dialect)
        row: Row | None = self._execute(compiled, values).fetchone()
        return None if row is None else compiled.row(row)

    def all(self, statement: Statement, **values: Any) -> list[Row]:
        """Every row."""
        compiled = statement.on(self.dialect)
        rows = self._execute(compiled, values).fetchall()
        return [compiled.row(row) for row in rows] if compiled.outgoing else rows

    def run(self, statement: Statement, **values: Any) -> int:
        """Run it for its effect; returns the number of rows it touched."""
        count: int = self._execute(statement.on(self.dialect), values).rowcount
        return count


def from_session(session: Session | PreparedConnection) -> PreparedConnection:
    """A Hot that rides on the session's own transaction, so that both see and commit the same."""
    if isinstance(session, PreparedConnection):
        return session
    session.flush()
    connection = session.connection()
    driver = connection.connection.driver_connection
    assert driver is not None
    counts: list[StatementCounter] = connection.get_execution_options().get("kerauno_counts", [])
    return PreparedConnection(driver, connection.dialect, counts)
