"""Building and keeping users: seconds, people per second, memory, LDAP operations, SQL statements.

Four runs on each directory: the first build, a complete read with nothing changed, one with a
hundredth of the people changed, and a look at the doorbell with nothing changed. Each of the first
three is a process of its own. In the same run the raw limits: a paged `ldapsearch` of the same
attributes to a file, and a bare loop of executemany into SQLite. Run it with `make bench` or
`.venv/bin/python -m benchmarks.sync [--people 20000,100000] [--only samba|openldap]`.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap3

from benchmarks import domains
from benchmarks.outcome import ends_loudly, require
from dirclient.client import DirectoryClient
from dirclient.config.profile import Profile
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from provisioning.plan import Mode
from syncsvc.runs.engine import Engine, RunOptions
from tests.servers.process import PROJECT
from tests.servers.slapd import Slapd
from tests.servers.web import Installation, configure_directory

_ATTRIBUTES = ("cn", "sn", "givenName", "mail", "telephoneNumber", "uid", "entryUUID", "objectGUID")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run in a process of its own: its report, and what the process used."""

    report: dict[str, Any]
    statements: int
    writes: int
    wall: float  # of the run alone, without the start of the process
    cpu: float
    memory: int  # MiB at its highest

    @property
    def changes(self) -> int:
        """How many users the run wrote."""
        return sum(self.report[name] for name in ("created", "updated", "deactivated"))

    def line(self, title: str) -> str:
        """One line of the table."""
        report = self.report
        rate = report["people"] / self.wall
        return (
            f"{title:<22} {self.wall:6.2f} s  {rate:7.0f} people/s  cpu {self.cpu:6.2f} s  "
            f"{self.memory:4d} MiB  {report['ldap_operations']:4d} LDAP  {self.statements:5d} SQL "
            f"({self.writes} writing)  {self.changes} changes, {report['conflicts']} conflicts"
        )


def child(database_url: str, key_file: str) -> None:
    """One building run in this process; prints what `Measured` holds."""
    database = Database(database_url)
    engine = Engine(database, Sealer(Path(key_file)), DirectoryClient)
    cpu = time.process_time()
    begun = time.perf_counter()
    with database.counting() as counts:
        report = engine.run(RunOptions("cli", Mode.BUILD))
    wall = time.perf_counter() - begun
    engine.close()
    figures = {
        "report": report,
        "statements": counts.statements,
        "writes": counts.writes,
        "wall": wall,
        "cpu": time.process_time() - cpu,
    }
    print(json.dumps(figures, default=str))


def build(installation: Installation) -> Measured:
    """One building run, as `syncsvc once --build` does it."""
    command = [
        *(sys.executable, "-m", "benchmarks.sync", "--child"),
        *(installation.database_url, str(installation.folder / "secret.key")),
    ]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    require(not process.returncode, f"the run's process ended with {process.returncode}")
    measured = Measured(memory=usage.ru_maxrss // 1024, **json.loads(printed))
    status, error = measured.report["status"], measured.report["error"]
    require(
        status in ("applied", "unchanged"), f"the run is {status}: {error or 'no reason is given'}"
    )
    return measured


def look(profile: dict[str, Any], looks: int = 20) -> tuple[float, float]:
    """Milliseconds and LDAP operations of one look while nothing changes."""
    client = DirectoryClient(Profile.model_validate(profile))
    snapshot = client.read()
    spent = []
    before = client.operations
    for _ in range(looks):
        begun = time.perf_counter()
        bell = client.ring(snapshot.cursor)
        if bell.changed:
            found = client.catch_up(snapshot)
            snapshot = snapshot if found is None else found
        spent.append(time.perf_counter() - begun)
    operations = (client.operations - before) / looks
    client.close()
    return 1000 * sorted(spent)[looks // 2], operations


def raw_search(uri: str, ca_file: Path, name: str, password: str, base: str, sink: Path) -> float:
    """Seconds of a paged ldapsearch of everyone into a file."""
    begun = time.perf_counter()
    with sink.open("w") as output:
        subprocess.run(
            [
                *("ldapsearch", "-x", "-LLL", "-H", uri, "-D", name, "-w", password, "-b", base),
                *("-E", "pr=1000/noprompt", "-o", "ldif-wrap=no", "(objectClass=person)"),
                *_ATTRIBUTES,
            ],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"LDAPTLS_CACERT": str(ca_file), "LDAPTLS_REQCERT": "allow"},
        )
    return time.perf_counter() - begun


def raw_insert(people: int, file: Path) -> float:
    """Seconds of a bare loop that puts so many users into SQLite, with their indexes."""
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, n TEXT UNIQUE, e TEXT UNIQUE, f, l)")
    database.execute("CREATE TABLE x (number TEXT PRIMARY KEY, user INTEGER UNIQUE)")
    begun = time.perf_counter()
    rows = ((n, f"u{n}", f"u{n}@company.com", "First", "Last") for n in range(people))
    with database:
        database.executemany("INSERT INTO u VALUES (?, ?, ?, ?, ?)", rows)
        database.executemany("INSERT INTO x VALUES (?, ?)", ((str(n), n) for n in range(people)))
    taken = time.perf_counter() - begun
    database.close()
    return taken


def run(
    title: str,
    folder: Path,
    profile: dict[str, Any],
    people: int,
    change: Callable[[int], None],
    search: Callable[[Path], float],
) -> None:
    """Measure one directory that has so many people. `change(n)` renames n of them."""
    print(f"\n== {title}", flush=True)
    folder.mkdir()
    installation = Installation(folder)
    installation.must("authsvc", "db", "upgrade")
    configure_directory(installation, profile, "--ring-group-range", "60000-69999")

    def measure(what: str, changes: int) -> None:
        measured = build(installation)
        seen = measured.report["people"]
        require(seen == people, f"{what}: {seen} people were read, not {people}")
        require(measured.changes == changes, f"{what}: {measured.changes} changes, not {changes}")
        print(measured.line(what), flush=True)

    measure("first build", people)
    measure("nothing changed", 0)
    change(people // 100)
    measure("a hundredth changed", people // 100)
    spent, operations = look(profile)
    print(f"{'look, nothing changed':<22} {spent:6.1f} ms  {operations:.1f} LDAP operations")
    print(f"{'raw: ldapsearch':<22} {search(folder / 'raw.ldif'):6.2f} s")
    print(f"{'raw: executemany':<22} {raw_insert(people, folder / 'raw.db'):6.2f} s", flush=True)


def on_samba(folder: Path, people: int) -> None:
    """Two thousand people in Samba AD."""
    with domains.samba(folder, people) as (dc, profile):

        def change(number: int) -> None:
            for one in range(number):
                dc.modify(f"CN={domains.account(one)},{domains.UNIT}", sn="Changed")

        def search(sink: Path) -> float:
            uri = f"ldaps://{dc.host}"
            return raw_search(
                uri, dc.ca_file, dc.service.upn, dc.service.password, domains.UNIT, sink
            )

        run(f"Samba AD, {people} people", folder / "sync-samba", profile, people, change, search)


def on_openldap(folder: Path, people: int) -> None:
    """Many people in OpenLDAP: 401 groups, one of them with everyone."""
    with domains.openldap(folder, people) as (server, profile):

        def change(number: int) -> None:
            _rename(server, number)

        def search(sink: Path) -> float:
            uri = f"ldaps://{server.host}:{server.tls_port}"
            name, password = server.service_dn, server.service_password
            return raw_search(uri, server.ca_file, name, password, server.users_dn, sink)

        title = f"OpenLDAP, {people} people"
        run(title, folder / f"sync-{people}", profile, people, change, search)


def _rename(server: Slapd, number: int) -> None:
    for one in range(number):
        server.admin.modify(
            f"uid=u{one:06d},{server.users_dn}", {"sn": [(ldap3.MODIFY_REPLACE, ["Changed"])]}
        )


def main(arguments: Sequence[str]) -> None:
    """Each directory, one after the other."""
    if arguments[:1] == ["--child"]:
        child(*arguments[1:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", default="20000,100000", help="in OpenLDAP, one run for each")
    parser.add_argument("--only", choices=("samba", "openldap"))
    options = parser.parse_args(arguments)
    with domains.scratch() as folder:
        if options.only != "openldap":
            on_samba(folder, 2000)
        if options.only != "samba":
            for people in options.people.split(","):
                on_openldap(folder, int(people))


if __name__ == "__main__":
    ends_loudly("benchmarks.sync", lambda: main(sys.argv[1:]))
