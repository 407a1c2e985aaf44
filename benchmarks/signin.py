"""Sign-ins and session checks per second, beside the raw rate at which the directory can bind.

A sign-in is what a browser does: a fresh connection and cookie jar, GET of the form, POST of name
and password, a redirect with a session cookie. Every one is another person. Run it with
`make bench` or `.venv/bin/python -m benchmarks.signin [--people 2000] [--only samba|openldap]`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from authsvc.app import create_app
from authsvc.services import assemble
from benchmarks import domains
from benchmarks.load import Figures, Http, measure, together
from benchmarks.outcome import ends_loudly, require, require_good
from benchmarks.rawbind import rebinds_per_second
from demo import company
from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from kerauno.base.config import load as load_settings
from tests.servers.web import Installation, configure_directory

WORKERS = 2
TURNS = 8
_addresses = count()


def _forwarded() -> str:
    """Another client address each time, so that the throttle sees a company, not one attacker."""
    number = next(_addresses)
    return f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}\r\n"


def sign_in(host: str, port: int, name: str, password: str, expected: int) -> bool:
    """One person's sign-in; whether it ended as expected."""
    http = Http(host, port)
    try:
        extra = _forwarded()
        form = http.get("/login", extra)
        answer = http.post("/login", {"username": name, "password": password}, extra)
        return form.status == 200 and answer.status == expected
    finally:
        http.close()


def session_cookie(host: str, port: int, name: str, password: str) -> str:
    """The cookie of one signed-in session."""
    http = Http(host, port)
    answer = http.post("/login", {"username": name, "password": password}, _forwarded())
    http.close()
    require(answer.status == 303, f"{name} could not sign in: HTTP {answer.status}")
    return http.cookie


def checks_per_second(installation: Installation, cookie: str, seconds: int = 6) -> float:
    """Forward-auth checks with kept connections, as a reverse proxy makes them."""
    done = subprocess.run(
        [
            *("wrk", "-t", "1", "-c", "16", "-d", f"{seconds}s", "-H", f"Cookie: {cookie}"),
            f"{installation.url}/auth/verify",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = re.search(r"(Non-2xx|Socket errors).*", done.stdout)
    require(wrong is None, f"/auth/verify: {wrong.group() if wrong else ''}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert rate is not None
    return float(rate.group(1))


def prepared(folder: Path, profile: dict[str, Any], people: int) -> Installation:
    """An installation with all these people built, and its web service running."""
    made = Installation(folder, settings={"KERAUNO_TRUSTED_PROXIES": "1"})
    made.must("authsvc", "db", "upgrade")
    configure_directory(made, profile, "--login-without-domain", "yes")
    built = made.json("syncsvc", "once", "--build")
    created = built["created"]
    require(created >= people, f"{created} users were built, not {people}: {built['status']}")
    print(f"built {created} users in {built['seconds']:.1f} s", flush=True)
    return made.start(workers=WORKERS)


@dataclass(frozen=True, slots=True)
class Cost:
    """The requests to others that one request costs."""

    operations: int  # of LDAP
    statements: int  # of SQL
    writes: int  # statements among them that write

    def __str__(self) -> str:
        return (
            f"{self.operations} LDAP operations, {self.statements} SQL statements, "
            f"{self.writes} of them writing"
        )


def costs(installation: Installation, people: Sequence[tuple[str, str]]) -> dict[str, Cost]:
    """Return what a sign-in, a wrong password and a session check cost, in a process of the same
    kind.

    The first person's sign-in is not counted: it connects, and reads what is kept for minutes.
    """
    clients: list[DirectoryClient] = []

    def connect(profile: Profile) -> DirectoryClient:
        clients.append(DirectoryClient(profile))
        return clients[-1]

    held = assemble(load_settings(os.environ | installation.environ), connect=connect)
    app = create_app(held)
    browser = app.test_client()

    def posted(name: str, password: str, status: int, browser: FlaskClient) -> None:
        form = {"username": name, "password": password}
        answer = browser.post("/login", data=form, headers={"X-Forwarded-For": "10.255.0.1"})
        require(answer.status_code == status, f"{name}: {answer.status}, not {status}")

    def checked() -> None:
        answer = browser.get("/auth/verify")
        require(answer.status_code == 200, f"/auth/verify: {answer.status}")

    (first, its_password), (second, password) = people[:2]
    posted(first, its_password, 303, app.test_client())
    found = {}
    for title, work in (
        ("sign-in", partial(posted, second, password, 303, browser)),
        ("check", checked),
        ("wrong", partial(posted, second, "Wrong!" + password, 401, app.test_client())),
    ):
        before = clients[-1].operations
        with held.database.counting() as counts:
            work()
        operations = clients[-1].operations - before
        found[title] = Cost(operations, counts.statements, counts.writes)
    held.close()
    return found


def run(
    title: str,
    folder: Path,
    profile: dict[str, Any],
    people: Sequence[tuple[str, str]],
    binds: Sequence[tuple[str, str]],
    raw: Callable[[Sequence[tuple[str, str]], int], float],
) -> None:
    """Measure one directory: `people` sign in, and `raw` binds them as `binds`."""
    print(f"\n== {title}", flush=True)
    installation = prepared(folder, profile, len(people))
    assert installation.server is not None
    target = (installation.host, installation.port)
    pid = installation.server.pid

    def attempt(accounts: Sequence[tuple[str, str]], concurrency: int, expected: int) -> Figures:
        jobs = [partial(sign_in, *target, name, secret, expected) for name, secret in accounts]
        return measure(jobs, concurrency, pid)

    raw(binds, 8)  # AD notes when somebody signs in for the first time in days: twice the cost
    require_good(attempt(people[:50], 8, 303), "warming up")
    for concurrency, number in ((1, 400), (8, 2000), (32, 2000)):
        # By turns, since a machine that others share is now faster and now slower.
        parts = [slice(at, at + number // TURNS) for at in range(0, number, number // TURNS)]
        found, spent = [], 0.0
        for part in parts:
            found.append(attempt(people[part], concurrency, 303))
            spent += len(binds[part]) / raw(binds[part], concurrency)
        figures = require_good(together(found), f"sign-in c={concurrency}")
        limit = len(binds[:number]) / spent
        print(
            f"sign-in      c={concurrency:<3} {figures}   raw {limit:6.0f}/s  "
            f"ratio {figures.rate / limit:4.2f}",
            flush=True,
        )
    wrong = [(name, "Wrong!" + secret) for name, secret in people[:1000]]
    refused = require_good(attempt(wrong, 8, 401), "wrong passwords")
    print(f"wrong        c=8   {refused}", flush=True)
    cookie = session_cookie(*target, *people[-1])
    print(f"/auth/verify       {checks_per_second(installation, cookie):8.0f}/s", flush=True)
    for work, cost in costs(installation, people).items():
        print(f"each {work:<12} {cost}", flush=True)
    installation.stop()


def main() -> None:
    """Both directories, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--only", choices=("samba", "openldap"))
    options = parser.parse_args()
    with domains.scratch() as folder:
        if options.only != "openldap":
            (folder / "web-samba").mkdir()
            with domains.samba(folder, options.people) as (dc, profile):
                names = [domains.account(number) for number in range(options.people)]
                people = [(f"{name}@{company.MAIL_DOMAIN}", domains.PASSWORD) for name in names]
                binds = [(f"{name}@{company.DNS_DOMAIN}", domains.PASSWORD) for name in names]
                raw = partial(rebinds_per_second, f"ldaps://{dc.host}", dc.ca_file)
                run(
                    f"Samba AD, {options.people:,} people",
                    folder / "web-samba",
                    profile,
                    people,
                    binds,
                    raw,
                )
        if options.only != "samba":
            (folder / "web-openldap").mkdir()
            with domains.openldap(folder, 10 * options.people) as (server, profile):
                step = 10
                uids = [f"u{number * step:06d}" for number in range(options.people)]
                people = [(f"{uid}@{company.MAIL_DOMAIN}", f"pw-{uid}") for uid in uids]
                binds = [(f"uid={uid},{server.users_dn}", f"pw-{uid}") for uid in uids]
                uri = f"ldaps://{server.host}:{server.tls_port}"
                raw = partial(rebinds_per_second, uri, server.ca_file)
                run(
                    f"OpenLDAP, {10 * options.people:,} people",
                    folder / "web-openldap",
                    profile,
                    people,
                    binds,
                    raw,
                )


if __name__ == "__main__":
    ends_loudly("benchmarks.signin", main)
