"""Installations: the web app in this process, or the commands in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import Site, make_site
from tests.servers.web import Installation


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


@pytest.fixture
def ready(tmp_path: Path) -> Installation:
    """An installation with tables and without a directory."""
    made = Installation(tmp_path)
    made.must("authsvc", "db", "upgrade")
    return made
