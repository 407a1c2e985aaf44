"""What the tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.console import ConsoleSite


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
