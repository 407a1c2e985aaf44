"""Every contract runs on the directory in memory, on a real Samba AD and on a real OpenLDAP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.backends import Backend, FakeBackend, SambaBackend, SlapdBackend

SAMBA = pytest.param("samba", marks=pytest.mark.samba)
SLAPD = pytest.param("slapd", marks=pytest.mark.slapd)


def _made(name: str, request: pytest.FixtureRequest) -> Backend:
    if name == "samba":
        return SambaBackend(request.getfixturevalue("samba_dc"))
    if name == "slapd":
        return SlapdBackend(request.getfixturevalue("slapd"))
    return FakeBackend()


@pytest.fixture(params=["fake", SAMBA, SLAPD])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A directory with a place of the test's own; the test runs on each kind."""
    made = _made(request.param, request)
    yield made
    made.close()


@pytest.fixture(params=["fake", SAMBA])
def ad(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A directory that has AD's account states."""
    made = _made(request.param, request)
    yield made
    made.close()
