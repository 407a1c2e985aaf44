"""The directories that are measured: two thousand people in Samba AD, many more in OpenLDAP."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo import company as demo_company
from tests.servers import company
from tests.servers.samba import SambaDC
from tests.servers.slapd import Slapd, make_slapd

PASSWORD = "Bench!Mark1"
UNIT = f"OU=Bench,{demo_company.BASE}"
GROUPS = 40


def account(number: int) -> str:
    """The account name of the nth measured person in Samba."""
    return f"bench{number:05d}"


def bench_domain(people: int) -> dict[str, Any]:
    """The company with so many people more, in forty groups and one with everyone."""
    domain: dict[str, Any] = dict(company.domain())
    groups_unit = f"OU=Groups,{UNIT}"
    domain["units"] = [*domain["units"], UNIT, groups_unit]
    dns = [f"CN={account(number)},{UNIT}" for number in range(people)]
    domain["accounts"] = [*domain["accounts"], *(_person(n, dn) for n, dn in enumerate(dns))]
    members = {f"BenchGroup{group:02d}": dns[group::GROUPS] for group in range(GROUPS)}
    members["BenchEveryone"] = dns
    domain["groups"] = [
        *domain["groups"],
        *(
            {
                "dn": f"CN={name},{groups_unit}",
                "attributes": {"sAMAccountName": name},
                "members": listed,
            }
            for name, listed in members.items()
        ),
    ]
    return domain


def _person(number: int, dn: str) -> dict[str, Any]:
    name = account(number)
    return {
        "dn": dn,
        "password": PASSWORD,
        "state": "",
        "attributes": {
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{demo_company.DNS_DOMAIN}",
            "givenName": f"First{number}",
            "sn": f"Last{number}",
            "mail": f"{name}@{demo_company.MAIL_DOMAIN}",
            "ipPhone": f"{200000 + number}",
        },
    }


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kerauno-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def samba(folder: Path, people: int) -> Iterator[tuple[SambaDC, dict[str, Any]]]:
    """A running domain controller with the measured people, and the profile to reach them."""
    dc = SambaDC(folder / "samba", model="prefork", content=bench_domain(people)).start()
    profile = dc.profile(user_search_dn=UNIT, department_search_dn=f"OU=Groups,{UNIT}")
    try:
        yield dc, profile
    finally:
        dc.stop()


@contextmanager
def openldap(folder: Path, people: int) -> Iterator[tuple[Slapd, dict[str, Any]]]:
    """A running OpenLDAP server with so many people, and the profile to reach them."""
    server = make_slapd(folder / f"slapd-{people}", people)
    try:
        yield server, server.profile()
    finally:
        server.stop()
