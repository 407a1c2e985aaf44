"""The sign-in form over HTTP when settings, keys or the database change under it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from kerauno.sync import directory_settings
from tests import said
from tests.integration.site import (
    Site,
    logged,
    make_site,
)

# Every page of these tests is looked at for texts that could not be translated.
pytestmark = pytest.mark.usefixtures("reading")

REFUSED = f"{said.REFUSED_TITLE} {said.REFUSED} {said.REFERENCE}"


def test_changed_settings_count_from_the_next_sign_in(site: Site) -> None:
    site.linked()
    site.sign_in()
    site.sign_in()
    assert len(site.connects) == 1
    site.configure(login_without_domain=False)
    assert site.sign_in("john.doe")[1].status_code == 401
    assert len(site.connects) == 2


def test_a_service_account_that_is_let_in_again_is_used_again(site: Site) -> None:
    """The sync service looked since: so the password is right, and no attempt is spent on it."""
    site.linked()
    site.sign_in()
    opened = site.services.directories.current()

    def look(seconds: float | None) -> bool:
        looked = None if seconds is None else site.at - timedelta(seconds=seconds)
        with site.services.database.write() as s:
            directory_settings.state(s, 1).looked_at = looked
        return site.services.directories.try_again(site.at)

    assert not look(0)  # it was never refused
    site.directory.service_refused_for = 100.0
    assert [look(None), look(101), look(100)] == [False, False, False]
    assert site.services.directories.current() is opened
    assert look(99)
    assert site.services.directories.current() is not opened
    assert len(site.connects) == 2
    site.sign_in()


def test_a_key_file_that_changed_is_said_in_the_log_not_to_people(
    sqlite_url: str, tmp_path: Path
) -> None:
    site = make_site(sqlite_url, tmp_path)
    site.linked()
    (tmp_path / "secret.key").unlink()
    other = make_site_without_saving(sqlite_url, tmp_path)
    with logged() as log:
        _, response = other.sign_in()
    assert response.status_code == 503
    assert "secret.key" in log()
    assert "secret.key" not in response.text


def make_site_without_saving(url: str, folder: Path) -> Site:
    """A site whose directory was saved by another."""
    configure, Site.configure = Site.configure, lambda self, **_: None  # type: ignore[method-assign]
    try:
        return make_site(url, folder)
    finally:
        Site.configure = configure  # type: ignore[method-assign]


def test_a_rotated_key_is_picked_up_without_a_restart(site: Site, tmp_path: Path) -> None:
    from kerauno.secrets import encryption

    site.linked()
    site.sign_in()
    with site.services.database.write() as s:
        encryption.rotate(s, tmp_path / "secret.key")
        directory_settings.save(s, {"login_without_domain": True}, by="test", now=site.at)
    assert site.sign_in()[1].status_code == 303


def test_an_older_schema_is_a_503_that_tells_the_log_what_to_run(site: Site) -> None:
    with site.services.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE session RENAME TO session_old")
    site.linked()
    with logged() as log:
        _, response = site.sign_in()
    assert response.status_code == 503
    assert "authsvc db upgrade" in log()
