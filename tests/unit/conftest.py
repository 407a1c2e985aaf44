"""What the tests of the directory client's connections share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.ldap_peer import Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A polite server; give it another script."""
    with Peer() as peer:
        yield peer
