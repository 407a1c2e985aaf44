"""Migrated databases for tests: migrated once, then copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from kerauno import migrations
from kerauno.database.engine import Database
from tests.servers.postgres import Postgres
from tests.servers.process import folder_in_memory


def _upgrade(url: str) -> None:
    database = Database(url)
    try:
        migrations.upgrade(database)
    finally:
        database.close()


class SqliteDatabases:
    """Copies of one migrated file."""

    def __init__(self) -> None:
        self._folder = folder_in_memory("sqlite")
        self._template = self._folder / "template.db"
        _upgrade(f"sqlite:///{self._template}")
        self._made = 0

    def remove(self) -> None:
        """Delete them all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def url(self) -> Iterator[str]:
        """The address of a fresh database."""
        self._made += 1
        path = self._folder / f"{self._made}.db"
        for suffix in ("", "-wal", "-shm"):  # the last to close it folds the log in, or not
            source = self._template.with_name(self._template.name + suffix)
            if source.exists():
                shutil.copy(source, path.with_name(path.name + suffix))
        yield f"sqlite:///{path}"
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


class PostgresDatabases:
    """Copies of one migrated database."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._template = server.create()
        _upgrade(server.url(self._template))

    @contextmanager
    def url(self) -> Iterator[str]:
        """The address of a fresh database."""
        name = self._server.create(self._template)
        yield self._server.url(name)
        self._server.drop(name)
