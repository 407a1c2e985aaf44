"""Fixtures for every test: real servers, started on first use, on loopback, ended at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.samba import SambaDC, Scratch, remove


@pytest.fixture(scope="session")
def samba_dc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDC]:
    """The shared domain controller. Change only what is below a `fresh_ou`."""
    dc = SambaDC(tmp_path_factory.mktemp("samba")).start()
    yield dc
    remove(dc)


@pytest.fixture
def fresh_ou(samba_dc: SambaDC) -> Iterator[Scratch]:
    """An OU of the test's own in the shared domain."""
    scratch = Scratch(samba_dc)
    yield scratch
    scratch.close()


@pytest.fixture
def samba_fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDC]:
    """A domain controller of the test's own: kill it, freeze it, change its policies."""
    dc = SambaDC(tmp_path_factory.mktemp("samba")).start()
    yield dc
    dc.thaw()
    remove(dc)
