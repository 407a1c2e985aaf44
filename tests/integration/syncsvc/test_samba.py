"""From nothing to a synced Kerauno with the commands alone, against a real Samba AD.

Every number that the commands print is checked against what was put into the directory.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests.servers.samba import SambaDC, Scratch
from tests.servers.web import Installation, configure_directory

pytestmark = [pytest.mark.samba, pytest.mark.timeout(300)]

RUN_FIELDS = [
    *("run", "status", "complete", "people", "created", "linked", "updated", "deactivated"),
    *("reactivated", "conflicts", "departments", "ldap_operations", "seconds"),
]


@pytest.fixture
def company(
    installation: Installation, samba_dc: SambaDC, fresh_ou: Scratch
) -> tuple[Installation, Scratch, str, str]:
    """An installation set up for two OUs of the test's own: people and departments."""
    people, groups = fresh_ou.ou("People"), fresh_ou.ou("Departments")
    installation.must("authsvc", "db", "upgrade")
    configure_directory(
        installation,
        samba_dc.profile(user_search_dn=people, department_search_dn=groups),
    )
    return installation, fresh_ou, people, groups


class Oddities:
    """People with deliberate faults, and what must come of each."""

    def __init__(self, scratch: Scratch, ou: str) -> None:
        self.scratch = scratch
        self.ou = ou
        self.next = 20000
        self.good: list[str] = []
        self.expected: dict[str, list[str]] = {}

    def number(self) -> str:
        """An extension that nobody has."""
        self.next += 1
        return str(self.next)

    def add(self, stem: str, *codes: str, **attributes: Any) -> str:
        """Add a person; without codes they must become a user. Returns the DN."""
        attributes.setdefault("ipPhone", self.number())
        attributes.setdefault("mail", f"{self.scratch.name(stem)}@company.com")
        dn = self.scratch.user(stem, self.ou, **attributes)
        if codes:
            self.expected[dn] = list(codes)
        else:
            self.good.append(dn)
        return dn

    def fill(self) -> None:
        """A few hundred people, each with at most one thing wrong."""
        name = self.scratch.name
        for n in range(60):
            self.add(f"good{n}")
        for n in range(12):
            self.add(f"nofirst{n}", "name_missing", givenName=None)
            self.add(f"nolast{n}", "name_missing", sn=None)
            self.add(f"noext{n}", "extension_missing", ipPhone=None)
            self.add(
                f"badext{n}", "extension_invalid", ipPhone=("7", "abc", "+1 317 555 0100")[n % 3]
            )
            self.add(f"badmail{n}", "email_invalid", mail=("nobody", "a b@c.de", "x@y")[n % 3])
            self.add(f"nomail{n}", "email_missing", mail=None, userPrincipalName=None)
            self.add(f"upn{n}", mail=None)
            extension = self.number()
            phone = (f"+1 317 555 0100 x{extension}", f"+13175550100;ext={extension}")[n % 2]
            self.add(f"phone{n}", ipPhone=None, telephoneNumber=phone)
            dn = self.add(f"off{n}", "account_disabled")
            self.scratch.dc.disable(dn)
        for n in range(6):
            dn = self.add(f"late{n}", "account_expired")
            self.scratch.dc.expire_account(dn)
            shared = self.number()
            self.add(f"twinA{n}", "extension_taken", ipPhone=shared)
            self.add(f"twinB{n}", "extension_taken", ipPhone=shared)
            mail = f"{name(f'same{n}')}@company.com"
            self.add(f"mailA{n}", "email_taken", mail=mail)
            self.add(f"mailB{n}", "email_taken", mail=mail.upper())
            self.add(f"caseA{n}", "username_taken", mail=f"{name(f'Case{n}')}@a.com")
            self.add(f"caseB{n}", "username_taken", mail=f"{name(f'case{n}')}@b.com")
        for sign in (", ", "+", '"', "\\", "#1 ", "<;=>", " é ", "山田"):
            stem = f"sign{ord(sign[0])}"
            self.add(stem, cn=f"{sign}{name(stem)}")

    def codes(self) -> Counter[str]:
        """How often each conflict must occur."""
        return Counter(code for codes in self.expected.values() for code in codes)


def test_a_directory_full_of_oddities(
    company: tuple[Installation, Scratch, str, str], samba_dc: SambaDC
) -> None:
    """The message must say who conflicts with whom, and one must not stop another."""
    kerauno, scratch, people_ou, _ = company
    odd = Oddities(scratch, people_ou)
    odd.fill()
    held = odd.number()
    kerauno.must(
        *("authsvc", "user", "add", "front.desk@company.com", "--first", "Front"),
        *("--last", "Desk", "--extension", held),
    )
    odd.add("wantsdesk", "extension_taken", ipPhone=held)
    everyone = len(odd.good) + len(odd.expected)

    plan = kerauno.json("syncsvc", "plan")
    assert set(plan) == {"actions", "conflicts"}
    assert Counter(action["action"] for action in plan["actions"]) == {"create": len(odd.good)}
    assert Counter(conflict["code"] for conflict in plan["conflicts"]) == odd.codes()
    guids = {samba_dc.guid(dn): codes for dn, codes in odd.expected.items()}
    assert {c["guid"]: [c["code"]] for c in plan["conflicts"]} == guids
    assert all(
        list(c) == ["guid", "person", "code", "field", "value", "other", "remedy"]
        for c in plan["conflicts"]
    )
    (desk,) = [c for c in plan["conflicts"] if c["other"].startswith("user ")]
    assert desk["other"] == "user front.desk (Front Desk)"
    assert kerauno.json("authsvc", "user", "list")[0]["username"] == "front.desk"

    kept = kerauno.json("syncsvc", "once")
    assert (kept["status"], kept["created"], kept["people"]) == ("unchanged", 0, everyone)
    built = kerauno.json("syncsvc", "once", "--build")
    assert list(built) == RUN_FIELDS
    expected = {
        "status": "applied",
        "complete": True,
        "people": everyone,
        "created": len(odd.good),
        "linked": 0,
        "updated": 0,
        "deactivated": 0,
        "reactivated": 0,
        "conflicts": len(odd.expected),
        "departments": {"imported": 0, "updated": 0},
    }
    assert {name: built[name] for name in expected} == expected
    assert built["ldap_operations"] <= 20
    again = kerauno.json("syncsvc", "once", "--build")
    assert (again["status"], again["created"], again["conflicts"]) == (
        "unchanged",
        0,
        len(odd.expected),
    )
    users = {row["email"]: row for row in kerauno.json("authsvc", "user", "list")}
    synced = {row["guid"] for row in users.values() if row["synced"]}
    assert synced == {samba_dc.guid(dn) for dn in odd.good}
    history = kerauno.json("syncsvc", "runs")
    assert [row["status"] for row in history] == ["unchanged", "applied", "unchanged"]
    assert list(history[0]) == [*RUN_FIELDS, "started", "finished", "trigger", "delay_seconds"]
    assert history[0]["delay_seconds"] is None
    assert history[1]["delay_seconds"] >= 0


def test_departments_nested_cyclic_and_by_primary_group(
    company: tuple[Installation, Scratch, str, str], samba_dc: SambaDC
) -> None:
    """Nested groups, cycles, and users whose primary group it is: all are members."""
    kerauno, scratch, people_ou, groups_ou = company
    odd = Oddities(scratch, people_ou)
    dns = [odd.add(f"m{n}") for n in range(6)]
    names = [scratch.name(f"m{n}") for n in range(6)]
    inner = scratch.group("inner", [dns[2]], groups_ou)
    middle = scratch.group("middle", [dns[1], inner], groups_ou)
    outer = scratch.group("outer", [dns[0], middle], groups_ou)
    samba_dc.add_members(inner, outer)  # round in a circle
    samba_dc.set_primary_group(dns[3], outer)
    scratch.ou("Unit", groups_ou)
    scratch.group("empty", (), groups_ou)

    before = kerauno.json("syncsvc", "department", "list")
    rows = {row["name"]: row for row in before}
    assert {name: (row["kind"], row["members"], row["state"]) for name, row in rows.items()} == {
        scratch.name("inner"): ("group", 4, "available"),
        scratch.name("middle"): ("group", 4, "available"),
        scratch.name("outer"): ("group", 4, "available"),
        scratch.name("empty"): ("group", 0, "available"),
        "Unit": ("ou", 0, "available"),
    }
    imported = kerauno.json("syncsvc", "department", "import", outer, "--number", "600")
    assert (imported["created"], imported["departments"]) == (4, {"imported": 1, "updated": 0})
    row = next(r for r in kerauno.json("syncsvc", "department", "list") if r["dn"] == outer)
    assert row == {
        "guid": samba_dc.guid(outer),
        "dn": outer,
        "name": scratch.name("outer"),
        "kind": "group",
        "members": 4,
        "state": "imported",
        "number": "600",
        "ring_group_members": sorted(names[:4]),
        "gone": False,
        "conflicts": [],
    }
    refused = kerauno.run("syncsvc", "department", "import", middle, "--number", "600")
    assert refused.returncode == 1
    assert "ring group" in refused.stderr
    kerauno.must("syncsvc", "once", "--build")
    moved = samba_dc.rename(outer, scratch.name("renamed"))
    samba_dc.remove_members(moved, dns[0])
    changed = kerauno.json("syncsvc", "once")
    assert changed["departments"] == {"imported": 0, "updated": 1}
    row = next(r for r in kerauno.json("syncsvc", "department", "list") if r["dn"] == moved)
    assert (row["number"], row["ring_group_members"]) == ("600", sorted(names[1:4]))
    kerauno.must("syncsvc", "department", "unimport", moved)
    assert kerauno.run("syncsvc", "department", "unimport", moved).returncode == 1


def test_leaving_holding_confirming_and_undoing(
    company: tuple[Installation, Scratch, str, str], samba_dc: SambaDC
) -> None:
    """Too many leavers are held with exit code 3, shown, confirmed, and undone."""
    kerauno, scratch, people_ou, groups_ou = company
    odd = Oddities(scratch, people_ou)
    dns = [odd.add(f"p{n}") for n in range(10)]
    kerauno.must("syncsvc", "once", "--build")
    before = kerauno.json("authsvc", "user", "list")
    samba_dc.disable(dns[0])
    samba_dc.delete(dns[1])
    moved = samba_dc.move(dns[2], groups_ou)
    samba_dc.modify(dns[3], sn="Married", ipPhone="30003")
    report = kerauno.json("syncsvc", "once")
    assert (report["deactivated"], report["updated"]) == (3, 1)
    samba_dc.move(moved, people_ou)
    samba_dc.enable(dns[0])
    report = kerauno.json("syncsvc", "once")
    assert (report["reactivated"], report["deactivated"]) == (2, 0)
    for dn in dns[4:10]:
        samba_dc.disable(dn)
    held = kerauno.run("syncsvc", "once", "--json")
    assert held.returncode == 3
    run = str(kerauno.json("syncsvc", "runs")[0]["run"])
    assert kerauno.json("syncsvc", "runs")[0]["status"] == "held"
    confirmed = kerauno.json("syncsvc", "confirm", run)
    assert (confirmed["status"], confirmed["deactivated"]) == ("applied", 6)
    assert kerauno.run("syncsvc", "confirm", run).returncode == 1
    undone = kerauno.run("syncsvc", "undo", run)
    assert (undone.returncode, undone.stderr.count("Could not")) == (0, 0)
    after = {row["id"]: row for row in kerauno.json("authsvc", "user", "list")}
    active = [row["id"] for row in before if row["username"] != scratch.name("p1")]
    assert all(after[id]["active"] for id in active)
    assert kerauno.run("syncsvc", "undo", run).returncode == 1


def test_one_user_by_hand(
    company: tuple[Installation, Scratch, str, str], samba_dc: SambaDC
) -> None:
    kerauno, scratch, people_ou, _ = company
    dn = Oddities(scratch, people_ou).add("hand", ipPhone="40001")
    email = f"{scratch.name('hand')}@company.com"
    kerauno.must(
        *("authsvc", "admin", "create", email, "--first", "Local", "--last", "Admin"),
        "--password-stdin",
        stdin="A-long-Passw0rd!\n",
    )
    report = kerauno.json("syncsvc", "once", "--build")
    assert (report["linked"], report["conflicts"]) == (0, 1)
    kerauno.must("syncsvc", "user", "sync", email)
    (row,) = [r for r in kerauno.json("authsvc", "user", "list") if r["email"] == email]
    assert (row["synced"], row["guid"], row["first_name"], row["role"]) == (
        True,
        samba_dc.guid(dn),
        "Local",
        "admin",
    )
    kerauno.must("syncsvc", "user", "desync", email)
    (row,) = [r for r in kerauno.json("authsvc", "user", "list") if r["email"] == email]
    assert (row["synced"], row["active"]) == (False, True)
    assert kerauno.json("syncsvc", "plan")["conflicts"][0]["code"] == "held_out"
    assert kerauno.run("syncsvc", "user", "sync", "nobody@company.com").returncode == 1
    assert kerauno.run("syncsvc", "user", "sync").returncode == 2


def test_a_service_that_watches_sees_an_edit_within_seconds(
    company: tuple[Installation, Scratch, str, str], samba_dc: SambaDC
) -> None:
    """Changes arrive within seconds, and each run says how long it took."""
    kerauno, scratch, people_ou, _ = company
    kerauno.must("authsvc", "directory", "set", "--auto-sync", "yes")
    odd = Oddities(scratch, people_ou)
    dns = [odd.add(f"w{n}") for n in range(3)]
    service = kerauno.spawn("syncsvc", "serve", log="sync.log")
    pause = threading.Event()

    def wait_for(username: str, **fields: object) -> float:
        began = time.monotonic()
        while time.monotonic() - began < 60:
            for row in kerauno.json("authsvc", "user", "list"):
                if row["username"] == username and fields.items() <= row.items():
                    return time.monotonic() - began
            pause.wait(0.05)
        raise AssertionError((username, fields, service.log.read_text()))

    try:
        wait_for(scratch.name("w0"), active=True)
        samba_dc.modify(dns[0], sn="Married")
        wait_for(scratch.name("w0"), last_name="Married")
        samba_dc.disable(dns[1])
        wait_for(scratch.name("w1"), active=False)
        odd.add("w9")
        wait_for(scratch.name("w9"), active=True)
    finally:
        service.stop()
    delays = [
        row["delay_seconds"]
        for row in kerauno.json("syncsvc", "runs")
        if row["trigger"] == "change" and row["status"] == "applied"
    ]
    assert len(delays) == 3
    assert all(0 <= delay < 30 for delay in delays)


def test_commands_fail_with_a_sentence_and_the_right_code(installation: Installation) -> None:
    """No traceback, no guess: 1 with a sentence when it failed, 2 for a wrong command."""
    done = installation.run("syncsvc", "once", "--json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "failed")
    assert list(json.loads(done.stdout)) == RUN_FIELDS
    assert "No directory is set up yet" in done.stderr
    for arguments in (["confirm", "1"], ["discard", "1"], ["undo", "1"]):
        done = installation.run("syncsvc", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), arguments
    assert installation.run("syncsvc", "nonsense").returncode == 2
    assert installation.run("syncsvc", "department", "import", "CN=x").returncode == 2
    assert installation.json("syncsvc", "runs") == []
