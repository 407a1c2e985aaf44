"""Fixtures of single sign-on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerauno.db import Database
from tests.servers.sso import Sso


@pytest.fixture
def sso(database: Database, tmp_path: Path) -> Sso:
    """A provider; the test runs once on SQLite and once on PostgreSQL."""
    return Sso(database, tmp_path)


@pytest.fixture
def provider(sqlite_database: Database, tmp_path: Path) -> Sso:
    """A provider on SQLite, where the kind of database does not matter."""
    return Sso(sqlite_database, tmp_path)
