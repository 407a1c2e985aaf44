"""Fixtures of the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.console import ConsoleSite
from tests.texts.pseudo import Reading


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[ConsoleSite]:
    """The web service in this process, without a directory."""
    made = ConsoleSite(tmp_path, sqlite_url)
    yield made
    made.close()


@pytest.fixture
def any_site(tmp_path: Path, database_url: str) -> Iterator[ConsoleSite]:
    """The same, once on SQLite and once on PostgreSQL."""
    made = ConsoleSite(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture(autouse=True, scope="module")
def _in_brackets(bracketed_language: None) -> None:
    """Before a site that several tests share is made."""


@pytest.fixture(autouse=True)
def _read_every_page(reading: Reading) -> None:
    """Every page of these tests is looked at for texts that could not be translated."""
