"""Fixtures of the tests that run the web app in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import Site, make_site


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    """The web app on SQLite."""
    made = make_site(sqlite_url, tmp_path)
    yield made
    made.services.close()


@pytest.fixture
def any_site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """The web app, once on SQLite and once on PostgreSQL."""
    made = make_site(database_url, tmp_path)
    yield made
    made.services.close()
