"""Fixtures of single sign-on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kerauno.database.engine import Database
from tests.servers.sso import Sso
from tests.texts.pseudo import Reading


@pytest.fixture
def sso(database: Database, tmp_path: Path) -> Iterator[Sso]:
    """A provider; the test runs once on SQLite and once on PostgreSQL."""
    made = Sso(database, tmp_path)
    yield made
    made.services.close()


@pytest.fixture
def provider(sqlite_database: Database, tmp_path: Path) -> Iterator[Sso]:
    """A provider on SQLite, where the kind of database does not matter."""
    made = Sso(sqlite_database, tmp_path)
    yield made
    made.services.close()


@pytest.fixture(autouse=True, scope="module")
def _in_brackets(bracketed_language: None) -> None:
    """Before a site that several tests share is made."""


@pytest.fixture(autouse=True)
def _read_every_page(reading: Reading) -> None:
    """Every page of these tests is looked at for texts that could not be translated."""
