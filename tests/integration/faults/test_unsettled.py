"""Attempts whose end the database did not take are settled when it is back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select

from kerauno.base.errors import DatabaseUnavailable
from kerauno.tables.core import Attempt
from tests.integration.site import Site


@contextmanager
def locked_while_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stranger takes the database's lock while the directory judges the password."""
    path = site.services.database.url.database
    judge = site.directory.authenticate
    monkeypatch.setattr("kerauno.database.engine.LOCK_SECONDS", 0.05)
    with closing(sqlite3.connect(str(path), isolation_level=None)) as stranger:

        def authenticate(*given: Any) -> None:
            stranger.execute("BEGIN IMMEDIATE")
            judge(*given)

        with monkeypatch.context() as patch:
            patch.setattr(site.directory, "authenticate", authenticate)
            yield
        if stranger.in_transaction:
            stranger.execute("ROLLBACK")


def counts(site: Site) -> tuple[int, int]:
    """Attempts under way and wrong passwords, of names."""
    of_names = select(func.sum(Attempt.pending), func.sum(Attempt.failures))
    with site.services.database.read() as s:
        pending, failures = s.execute(of_names.where(Attempt.key.like("name:%"))).one()
    return int(pending), int(failures)


@pytest.mark.parametrize(("password", "failures"), [("", 0), ("Wrong!Pass1", 1)])
def test_it_is_settled_as_what_it_came_to(
    site: Site, monkeypatch: pytest.MonkeyPatch, password: str, failures: int
) -> None:
    site.linked()
    given = {"password": password} if password else {}
    with locked_while_asked(site, monkeypatch):
        assert site.sign_in(**given)[1].status_code == 503
    assert counts(site) == (1, 0)
    site.services.records.unsettled.write()
    assert counts(site) == (0, failures)


def test_what_is_owed_is_owed_until_the_database_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.linked()
    unsettled = site.services.records.unsettled
    with locked_while_asked(site, monkeypatch):
        assert site.sign_in()[1].status_code == 503
        with pytest.raises(DatabaseUnavailable):
            unsettled.write()
    unsettled.write()
    assert counts(site) == (0, 0)


def test_after_a_minute_it_has_lapsed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.linked()
    with locked_while_asked(site, monkeypatch):
        assert site.sign_in()[1].status_code == 503
    site.pass_time(minutes=1)
    site.services.records.unsettled.write()
    assert counts(site) == (1, 0)
    assert site.sign_in()[1].status_code == 303
    assert counts(site) == (0, 0)
