"""The database's tables, brought from any earlier version to this one.

`upgrade` runs in one transaction and waits its turn, so that it is safe to run on several hosts
at once; `check` is what a service asks before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from kerauno.base.errors import SchemaOutdated
from kerauno.database.engine import Database, translating

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x6B657261756E6F  # "kerauno": the advisory lock that upgrades share on PostgreSQL
_PATIENCE = 60_000  # milliseconds that one upgrade waits for another


def upgrade(db: Database, to: str = "head") -> bool:
    """Bring the tables to this version, or to an older one; returns whether there was anything to
    do.

    All or nothing, on both databases. Raises DatabaseUnavailable, and SchemaOutdated when the
    database is newer than this version.
    """
    from alembic import command  # heavy, and only wanted here

    with _connection(db) as connection:
        before = _revision(connection)
        config = _config()
        _refuse_newer(config, before)
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        return _revision(connection) != before


def check(db: Database) -> None:
    """Raise SchemaOutdated unless the tables are this version's; the message says what to run."""
    with db.read() as s:
        current = _revision(s.connection())
    config = _config()
    if current is None:
        raise SchemaOutdated("The database has no tables yet. Run: authsvc db upgrade")
    _refuse_newer(config, current)
    if current != _head(config):
        raise SchemaOutdated("The database is on an older version. Run: authsvc db upgrade")


@contextmanager
def _connection(db: Database) -> Iterator[Connection]:
    """A connection in a transaction that no second upgrade shares."""
    engine = db.engine.execution_options(kerauno_write=True)
    with translating(), engine.connect() as connection:
        if db.sqlite:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute(f"PRAGMA busy_timeout={_PATIENCE}")
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.invalidate()  # its patience is not for others
        else:
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = {_PATIENCE}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield connection


def _revision(connection: Connection) -> str | None:
    """The revision the database says it has; None where it was never upgraded."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_newer(config: Config, current: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaOutdated(
            "The database was upgraded by a newer version. Install that version, or bring a "
            "backup back."
        )


def _head(config: Config) -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config).get_current_head()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
