"""Many rows at once, straight on the driver, inside the caller's transaction.

SQLAlchemy's own executemany costs as much again as the database does. Here a row is a tuple in
the order of the named columns; values are converted by the column types as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.orm import InstrumentedAttribute, Session

from kerauno.database.driver_errors import driver_errors, translate
from kerauno.database.prepared import PreparedConnection, from_session

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]
Columns = Sequence[InstrumentedAttribute[Any]]


class RowRefused(Exception):
    """The database refused a row: taken already, too long, or pointing nowhere. Says which rule."""


def insert_rows(s: Session, columns: Columns, rows: Iterable[Row]) -> None:
    """Insert rows of one table. Raises RowRefused when any of them breaks a constraint."""
    hot = from_session(s)
    table = _quoted_table(hot.dialect, _table(columns))
    names = ", ".join(_quoted(hot.dialect, column.name) for column in columns)
    if hot.dialect.name == "postgresql":
        _many(hot, f"COPY {table} ({names}) FROM STDIN", columns, rows, _copy)
    else:
        marks = ", ".join([_mark(hot.dialect)] * len(columns))
        _many(hot, f"INSERT INTO {table} ({names}) VALUES ({marks})", columns, rows)  # noqa: S608


def update_rows(s: Session, columns: Columns, where: Columns, rows: Iterable[Row]) -> None:
    """Set `columns` of the rows found by `where`; each row holds the values of both, in order.

    Raises RowRefused.
    """
    hot = from_session(s)
    mark = _mark(hot.dialect)
    sets = ", ".join(f"{_quoted(hot.dialect, column.name)} = {mark}" for column in columns)
    keys = " AND ".join(f"{_quoted(hot.dialect, column.name)} = {mark}" for column in where)
    table = _quoted_table(hot.dialect, _table(columns))
    _many(hot, f"UPDATE {table} SET {sets} WHERE {keys}", [*columns, *where], rows)  # noqa: S608


def delete_rows(s: Session, where: Columns, rows: Iterable[Row]) -> None:
    """Delete the rows whose `where` columns have these values."""
    hot = from_session(s)
    mark = _mark(hot.dialect)
    keys = " AND ".join(f"{_quoted(hot.dialect, column.name)} = {mark}" for column in where)
    table = _quoted_table(hot.dialect, _table(where))
    _many(hot, f"DELETE FROM {table} WHERE {keys}", where, rows)  # noqa: S608


def parts(ids: Iterable[Any], size: int = 500) -> Iterable[list[Any]]:
    """Lists short enough for one IN clause on every database."""
    whole = list(ids)
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def _execute_many(cursor: Any, sql: str, rows: list[Row]) -> None:
    cursor.executemany(sql, rows)


def _copy(cursor: Any, sql: str, rows: list[Row]) -> None:
    """PostgreSQL takes a stream of rows several times as fast as statements."""
    with cursor.copy(sql) as copy:
        for row in rows:
            copy.write_row(row)


def _many(
    hot: PreparedConnection,
    sql: str,
    columns: Columns,
    rows: Iterable[Row],
    send: Callable[[Any, str, list[Row]], None] = _execute_many,
) -> None:
    ready = _converted(hot.dialect, columns, rows)
    if not ready:
        return
    for counts in hot.counts:
        counts.add(sql)
    try:
        send(hot.connection.cursor(), sql, ready)  # type: ignore[attr-defined]
    except driver_errors() as error:
        unavailable = translate(error)
        if unavailable is not None:
            raise unavailable from error
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise RowRefused(first) from error


def _converted(dialect: Dialect, columns: Columns, rows: Iterable[Row]) -> list[Row]:
    """The rows as the driver wants them; most columns need nothing done."""
    converts: list[tuple[int, Convert]] = []
    for index, column in enumerate(columns):
        convert = column.type.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None:
            converts.append((index, convert))
    if not converts:
        return list(rows)
    ready = []
    # Neighbours often hold the very same object (this instant, an empty list): convert it once.
    last: list[tuple[Any, Any]] = [(object(), None)] * len(converts)
    for row in rows:
        values = list(row)
        for n, (index, convert) in enumerate(converts):
            value = values[index]
            if last[n][0] is not value:
                last[n] = (value, convert(value))
            values[index] = last[n][1]
        ready.append(tuple(values))
    return ready


def _table(columns: Columns) -> Table:
    table = columns[0].class_.__table__
    assert isinstance(table, Table)
    return table


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"


def _quoted(dialect: Dialect, name: str) -> str:
    return dialect.identifier_preparer.quote(name)


def _quoted_table(dialect: Dialect, table: Table) -> str:
    return dialect.identifier_preparer.format_table(table)
