"""Check that the database takes writes: one that is full, or a standby, still answers questions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite

from kerauno.database.engine import Database
from kerauno.database.prepared import Statement
from kerauno.tables.core import UtcDateTime, WriteProbe

_ROW = 1


def _upsert(dialect: type[sqlite.Insert] | type[postgresql.Insert]) -> Statement:
    new = dialect(WriteProbe).values(id=_ROW, written_at=bindparam("now", type_=UtcDateTime()))
    return Statement(
        new.on_conflict_do_update(
            index_elements=[WriteProbe.id], set_={"written_at": new.excluded.written_at}
        )
    )


_WRITE = {"sqlite": _upsert(sqlite.Insert), "postgresql": _upsert(postgresql.Insert)}


def probe(database: Database, now: datetime) -> None:
    """Write one row. Raises DatabaseUnavailable, which says what keeps it from writing."""
    with database.fast_write() as hot:
        hot.run(_WRITE[hot.dialect.name], now=now)
