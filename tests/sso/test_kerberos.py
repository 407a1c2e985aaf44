"""Silent sign-in end to end: Samba's KDC, kinit, and a real HTTP client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

from demo import company
from kerauno.accounts import links, users
from kerauno.accounts.users import NewUser
from kerauno.database.engine import Database
from kerauno.tables.core import Directory
from tests.servers.company import SSO_HOST
from tests.servers.samba import SambaDC
from tests.servers.web import Installation

pytestmark = pytest.mark.samba

ACCOUNT = "silent.sam"
MAKE_TOKEN = f"""
import base64, gssapi
name = gssapi.Name("HTTP@{SSO_HOST}", gssapi.NameType.hostbased_service)
context = gssapi.SecurityContext(name=name, usage="initiate")
print(base64.b64encode(context.step()).decode(), end="")
"""


@dataclass
class Joined:
    """A sign-in service in the domain, and a computer of a person in it."""

    web: Installation
    dc: SambaDC
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The computer's Kerberos."""
        return os.environ | {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{self.folder / 'tickets'}",
        }

    def kinit(self, account: str) -> None:
        """The person signs in at the computer."""
        subprocess.run(
            ["kinit", f"{account}@{self.dc.realm}"],
            input=f"{company.PASSWORD}\n",
            text=True,
            check=True,
            capture_output=True,
            env=self.environ,
        )

    def curl(self, path: str, *more: str) -> tuple[int, str]:
        """The status and the body after every redirect; offers a ticket where it is asked for."""
        done = subprocess.run(
            [
                *("curl", "--silent", "--location", "--negotiate", "--user", ":"),
                *("--cookie", "", "--write-out", "\n%{http_code}"),
                *("--resolve", f"{SSO_HOST}:{self.web.port}:{self.web.host}", *more),
                f"http://{SSO_HOST}:{self.web.port}{path}",
            ],
            capture_output=True,
            text=True,
            check=True,
            env=self.environ,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


@pytest.fixture(scope="module")
def joined(samba_dc: SambaDC, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    folder = tmp_path_factory.mktemp("kerberos")
    samba_dc.krb5_conf(folder / "krb5.conf")
    keytab = samba_dc.export_keytab(folder / "http.keytab")
    dn = samba_dc.add_user(ACCOUNT)
    web = Installation(
        folder,
        settings={
            "KERAUNO_KERBEROS_KEYTAB": str(keytab),
            "KRB5_CONFIG": str(folder / "krb5.conf"),
        },
    )
    web.environ["KERAUNO_PUBLIC_URL"] = f"http://{SSO_HOST}:{web.port}"
    web.must("authsvc", "db", "upgrade")
    database = Database(web.database_url)
    now = datetime.now(UTC)
    with database.write() as s:
        s.add(Directory(id=1, name="AD", profile={}, updated_at=now))
        s.flush()
        user = users.create(s, NewUser("sam@goodcompany.local", "Silent", "Sam"), now)
        person = links.LinkedAccount(1, samba_dc.guid(dn), dn, account_name=ACCOUNT)
        links.link(s, user.id, person, scope="full", origin="sync", now=now)
    database.close()
    yield Joined(web.start(), samba_dc, folder)
    web.stop()
    samba_dc.delete(dn)


def test_a_person_with_a_ticket_signs_in_without_a_form(joined: Joined) -> None:
    joined.kinit(ACCOUNT)
    status, body = joined.curl("/login?next=/api/v1/me")
    assert status == 200
    assert '"username":"sam"' in body.replace(" ", "")
    assert '"method":"kerberos"' in body.replace(" ", "")


def test_without_a_ticket_the_form_is_there(joined: Joined) -> None:
    (joined.folder / "tickets").unlink(missing_ok=True)
    status, body = joined.curl("/login?next=/phonebook")
    assert (status, 'name="password"' in body) == (401, True)


def test_a_ticket_of_somebody_who_is_not_linked_leads_to_the_form(joined: Joined) -> None:
    dn = joined.dc.add_user("silent.stranger")
    joined.kinit("silent.stranger")
    status, body = joined.curl("/login?next=/phonebook")
    joined.dc.delete(dn)
    assert (status, 'name="password"' in body) == (200, True)


def test_a_ticket_works_once(joined: Joined) -> None:
    joined.kinit(ACCOUNT)
    made = subprocess.run(
        [sys.executable, "-c", MAKE_TOKEN], check=True, capture_output=True, env=joined.environ
    )
    header = f"Authorization: Negotiate {made.stdout.decode()}"

    def send() -> str:
        done = subprocess.run(
            [
                *("curl", "--silent", "--output", os.devnull, "--header", header),
                *(
                    "--write-out",
                    "%{redirect_url}",
                    f"{joined.web.url}/login/silent?next=/phonebook",
                ),
            ],
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().removeprefix(joined.web.url)

    assert [send(), send()] == ["/phonebook", "/login?next=%2Fphonebook"]


@pytest.mark.browser
def test_a_browser_that_is_not_of_the_domain_sees_the_form_and_no_prompt(
    joined: Joined, page: Page
) -> None:
    page.goto(f"{joined.web.url}/login?next=/phonebook")
    assert page.url == f"{joined.web.url}/login/silent?next=/phonebook"
    page.get_by_label("Password").wait_for()
    page.goto(f"{joined.web.url}/login?next=/phonebook")
    assert page.url == f"{joined.web.url}/login?next=/phonebook"  # asked once, not again
