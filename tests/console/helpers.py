"""Small helpers of the console's tests."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from kerauno.sync import directory_settings
from kerauno.tables.core import Directory, RunRequest
from tests.servers.console import PROFILE, ConsoleSite

MARKUP = "<script>alert(1)</script><b>'\"&{{ 7*7 }}"
LONG = "x" * 10_000
CREDENTIALS = "/console/directory/credentials"


def form(**changes: str) -> dict[str, str]:
    """The AD Credentials form, filled in as `PROFILE` has it."""
    return {
        "version": "0",
        "preset": "active-directory",
        "servers": "dc1.goodcompany.local",
        "port": "389",
        "encryption": "starttls",
        "username": PROFILE.username,
        "password": "Service!Pass1",
        "user_search_dn": PROFILE.user_search_dn,
        "department_search_dn": PROFILE.department_search_dn,
        "auto_sync": "no",
        "login_without_domain": "yes",
    } | changes


def asked(site: ConsoleSite) -> list[tuple[str, dict[str, Any]]]:
    """The requests to the sync service, oldest first."""
    with site.database.read() as s:
        rows = s.scalars(select(RunRequest).order_by(RunRequest.id)).all()
    return [(row.kind, dict(row.payload)) for row in rows]


def stored(site: ConsoleSite) -> Directory:
    """The directory as saved."""
    with site.database.read() as s:
        found = directory_settings.load(s)
    assert found is not None
    return found


def follow(client: FlaskClient, answer: TestResponse) -> TestResponse:
    """The page that a form led to."""
    assert answer.status_code == 303
    return client.get(answer.location)
