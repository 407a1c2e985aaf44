"""Fixtures of the directory client's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.dirclient.ldap_peer import Peer
from tests.unit.dirclient.pooled import Directory


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A polite server; give it another script."""
    with Peer() as peer:
        yield peer


@pytest.fixture
def directories() -> Iterator[Callable[..., Directory]]:
    """Makes directories; closes them."""
    made: list[Directory] = []

    def make(count: int = 1, **values: object) -> Directory:
        made.append(Directory(count, **values))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def directory(directories: Callable[..., Directory]) -> Directory:
    """A directory of one server."""
    return directories()
