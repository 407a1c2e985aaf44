"""Leavers give username and email up to whom AD gives them; every conflict has a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from dirclient.model.directory_objects import AccountState
from kerauno.accounts import dial_plan, users
from kerauno.accounts.users import NewUser
from kerauno.database.engine import Database
from provisioning.mapping_rules import Code
from syncsvc.runs import departments, plan_review, single_user
from syncsvc.runs.engine import RunOptions
from tests.sync_engine import Sync

CLI = RunOptions("cli", wait=0.0)


@pytest.fixture
def sync(database: Database, tmp_path: Path) -> Sync:
    sync = Sync(database, tmp_path)
    sync.set(auto_sync=True)
    return sync


def conflicts(sync: Sync) -> list[tuple[str, str]]:
    """Code and remedy of every conflict of the present plan, departments' too."""
    made = sync.engine.preview().plan
    return [(each.code, each.remedy) for each in (*made.conflicts, *made.department_conflicts)]


def held(sync: Sync) -> dict[str, tuple[str, str | None, bool]]:
    """Email, extension and whether active, by username."""
    return {
        name: (row["email"], row["extension"], row["active"]) for name, row in sync.users().items()
    }


def left_name(sync: Sync) -> str:
    """By what the leaver who was p1.q1 is known now."""
    return next(name for name in sync.users() if re.fullmatch(r"p1\.q1 \(left \d+\)", name))


def test_addresses_that_move_up_after_a_leaver_and_back_by_undo(sync: Sync) -> None:
    people = sync.people(20)
    sync.run()
    before = sync.state()
    first, second, third = people[:3]
    sync.fake.remove_person(first.guid)
    sync.fake.change_person(second.guid, login=first.login)
    sync.fake.change_person(third.guid, login=second.login)
    report = sync.run()
    assert (report["deactivated"], report["updated"], report["conflicts"]) == (1, 2, 0)
    left = left_name(sync)
    assert {name: held(sync)[name] for name in ("p1.q1", "p2.q2", left)} == {
        "p1.q1": ("p1.q1@company.com", "1002", True),
        "p2.q2": ("p2.q2@company.com", "1003", True),
        left: (left.replace("p1.q1", "p1.q1@company.com"), "1001", False),
    }
    reserved = sync.users()[left]["reserved_until"]
    assert reserved > sync.clock() + timedelta(days=29)
    assert sync.run()["status"] == "unchanged"
    _, could_not = plan_review.undo(sync.engine, report["run"], CLI)
    assert (could_not, sync.state()) == ([], before)


def test_a_leaver_of_an_earlier_run_keeps_the_reserved_number_and_returns_with_it(
    sync: Sync,
) -> None:
    people = sync.people(20)
    sync.run()
    leaver, other = people[:2]
    sync.fake.change_person(leaver.guid, state=AccountState.DISABLED)
    sync.run()
    reserved = sync.users()["p1.q1"]["reserved_until"]
    before = sync.state()
    sync.fake.change_person(other.guid, login=leaver.login)
    taken = sync.run()
    assert (taken["updated"], taken["deactivated"]) == (2, 0)
    _, could_not = plan_review.undo(sync.engine, taken["run"], CLI)
    assert (could_not, sync.state()) == ([], before)
    assert sync.run()["updated"] == 2
    assert sync.users()[left_name(sync)]["reserved_until"] == reserved
    sync.fake.change_person(leaver.guid, state=AccountState.ACTIVE, login="p21.q21@company.com")
    assert sync.run()["reactivated"] == 1
    assert held(sync)["p21.q21"] == ("p21.q21@company.com", "1001", True)
    sync.fake.change_person(leaver.guid, login=leaver.login)
    sync.fake.change_person(other.guid, login=other.login)
    assert sync.run()["updated"] == 2
    assert held(sync)["p1.q1"] == ("p1.q1@company.com", "1001", True)
    assert held(sync)["p2.q2"] == ("p2.q2@company.com", "1002", True)


# ---- the remedy of every conflict


@dataclass(frozen=True)
class Trouble:
    """A conflict: how it comes about, what its remedy says, and doing that.

    The person in question is p1.q1 with extension 1001, and a user without the conflict.
    """

    code: Code
    remedy: str
    cause: Callable[[Sync], object]
    cure: Callable[[Sync], object]
    username: str = "p1.q1"


def doing(*steps: Callable[[Sync], object]) -> Callable[[Sync], None]:
    """These steps, one after the other."""

    def do(sync: Sync) -> None:
        for step in steps:
            step(sync)

    return do


def change(sync: Sync, **fields: object) -> None:
    """Change the person in AD."""
    person = next(p for p in sync.fake.read().people.values() if p.account_name == "p1.q1")
    sync.fake.change_person(person.guid, **fields)


def leave(sync: Sync, name: str, role: str = "user") -> None:
    """Somebody who was built, and then deleted in AD."""
    person = sync.fake.add_person(name, extension="7000")
    change(sync, state=AccountState.DISABLED)
    sync.run()
    with sync.db.write() as s:
        users.set_role(s, sync.users()[name]["id"], role, sync.clock())
    sync.fake.remove_person(person.guid)
    run = sync.run()
    if run["status"] == "held":
        plan_review.confirm(sync.engine, run["run"], CLI)
    change(sync, state=AccountState.ACTIVE)


def desync_and_sync(sync: Sync, old: str, new: str) -> None:
    """De-Sync, then Sync with AD."""
    single_user.desync_user(sync.engine, old, by="test")
    single_user.sync_user(sync.engine, new, by="test")


def set_user(sync: Sync, name: str, **fields: str) -> None:
    """Change a user in Kerauno."""
    with sync.db.write() as s:
        users.change(s, sync.users()[name]["id"], fields, sync.clock())


def add_pat(sync: Sync) -> None:
    """A local user with the username p1.q1 and another email."""
    new = NewUser("pat@home.org", "Pat", "Doe", username="p1.q1")
    with sync.db.write() as s:
        users.create(s, new, sync.clock())


def add_inactive(sync: Sync) -> None:
    """A local user with the email of p1.q1 who was deactivated."""
    now = sync.clock()
    with sync.db.write() as s:
        user = users.create(s, NewUser("p1.q1@company.com", "Pat", "Doe"), now)
        users.deactivate(s, [user.id], now, reserve_until=now)


def free(sync: Sync, name: str) -> None:
    """Free a leaver's reserved number."""
    with sync.db.write() as s:
        dial_plan.free_user(s, sync.users()[name]["id"])


def import_sales(sync: Sync, number: str) -> dict[str, object]:
    """Import the department Sales with this number."""
    return departments.import_department(sync.engine, CLI, sync.department_dn("Sales"), number)


SAME = "If both are the same person"
PROBLEMS = {
    "name": Trouble(
        Code.NAME_MISSING,
        "Fill in the first name (givenName) in AD.",
        lambda sync: change(sync, first_name=None),
        lambda sync: change(sync, first_name="Pat"),
    ),
    "email": Trouble(
        Code.EMAIL_MISSING,
        "Fill in the e-mail address (mail) or the user logon name in AD.",
        lambda sync: change(sync, login=None),
        lambda sync: change(sync, login="p1.q1@company.com"),
    ),
    "invalid email": Trouble(
        Code.EMAIL_INVALID,
        "Correct the address in AD: it needs the form name@company.com, without blanks and "
        "without characters that cannot be seen.",
        lambda sync: change(sync, login="p1 q1@company.com"),
        lambda sync: change(sync, login="p1.q1@company.com"),
    ),
    "extension": Trouble(
        Code.EXTENSION_MISSING,
        "Fill in the extension (ipPhone, or telephoneNumber with x1234) in AD.",
        lambda sync: change(sync, extension=None),
        lambda sync: change(sync, extension="+1 317 555 0100 x1234"),
    ),
    "invalid extension": Trouble(
        Code.EXTENSION_INVALID,
        "Use 2 to 10 digits, or a phone number with its extension, such as +1 317 555 0100 x1234.",
        lambda sync: change(sync, extension="7"),
        lambda sync: change(sync, extension="+1 317 555 0100 x1234"),
    ),
    "a user's extension": Trouble(
        Code.EXTENSION_TAKEN,
        "Give this person another extension in AD, or free 1001 in Kerauno.",
        lambda sync: sync.add_local("front.desk", "1001"),
        lambda sync: set_user(sync, "front.desk", extension=""),
    ),
    "a ring group's extension": Trouble(
        Code.EXTENSION_TAKEN,
        "Give this person another extension in AD, or free 1001 in Kerauno.",
        lambda sync: sync.fake.add_department("Sales") and import_sales(sync, "1001"),
        lambda sync: departments.unimport_department(sync.engine, CLI, sync.department_dn("Sales")),
    ),
    "a leaver's extension": Trouble(
        Code.EXTENSION_TAKEN,
        f"{SAME}, who came back with a new account: De-Sync old.one, then Sync with AD. "
        "Otherwise give this person another extension in AD, or free 7000 in Kerauno.",
        doing(
            lambda sync: leave(sync, "old.one"),
            lambda sync: change(sync, extension="7000"),
        ),
        lambda sync: free(sync, "old.one"),
    ),
    "an own extension under a new account": Trouble(
        Code.EXTENSION_TAKEN,
        f"{SAME}, who came back with a new account: De-Sync old.one, then Sync with AD. "
        "Otherwise give this person another extension in AD, or free 7000 in Kerauno.",
        doing(
            lambda sync: leave(sync, "old.one"),
            lambda sync: change(sync, extension="7000", login="old.one@company.com"),
        ),
        lambda sync: desync_and_sync(sync, "old.one@company.com", "old.one@company.com"),
        "old.one",
    ),
    "an extension that two claim": Trouble(
        Code.EXTENSION_TAKEN,
        "Two AD accounts claim 1001: change the extension of one of them in AD.",
        lambda sync: sync.fake.add_person("other.one", extension="1001"),
        lambda sync: change(sync, extension="1002"),
    ),
    "a local user's username": Trouble(
        Code.USERNAME_TAKEN,
        f"{SAME}: Confirm on the user's page with Sync with AD, or run: syncsvc user sync "
        "pat@home.org. Otherwise change the username in AD or in Kerauno.",
        add_pat,
        lambda sync: single_user.sync_user(sync.engine, "pat@home.org", by="test"),
    ),
    "another's username": Trouble(
        Code.USERNAME_TAKEN,
        f"{SAME}: Confirm on the user's page with Sync with AD, or run: syncsvc user sync "
        "pat@home.org. Otherwise change the username in AD or in Kerauno.",
        add_pat,
        lambda sync: set_user(sync, "p1.q1", username="pat"),
    ),
    "an administrator's email": Trouble(
        Code.EMAIL_TAKEN,
        "Confirm on the user's page with Sync with AD, or run: syncsvc user sync p1.q1@company.com",
        lambda sync: sync.add_local("p1.q1", None, role="admin"),
        lambda sync: single_user.sync_user(sync.engine, "p1.q1@company.com", by="test"),
    ),
    "an inactive local user's email": Trouble(
        Code.EMAIL_TAKEN,
        f"{SAME}: Confirm on the user's page with Sync with AD, or run: syncsvc user sync "
        "p1.q1@company.com. Otherwise change the email in AD or in Kerauno.",
        add_inactive,
        lambda sync: single_user.sync_user(sync.engine, "p1.q1@company.com", by="test"),
    ),
    "the email of an administrator who left": Trouble(
        Code.EMAIL_TAKEN,
        f"{SAME}, who came back with a new account: De-Sync old.one, then Sync with AD. "
        "Otherwise change the email in AD.",
        doing(
            lambda sync: leave(sync, "old.one", role="admin"),
            lambda sync: change(sync, login="old.one@company.com"),
        ),
        lambda sync: desync_and_sync(sync, "old.one@company.com", "old.one@company.com"),
        "old.one",
    ),
    "a synced user's email": Trouble(
        Code.EMAIL_TAKEN,
        "Change the email in AD, or that of p1.q1.",
        doing(
            lambda sync: change(sync, state=AccountState.DISABLED),
            lambda sync: sync.fake.add_person(
                "other.one", extension="1002", login="p1.q1@company.com"
            ),
            lambda sync: sync.run(),
            lambda sync: change(sync, state=AccountState.ACTIVE),
        ),
        lambda sync: change(sync, login="pat@company.com"),
        "pat",
    ),
    "an email that two claim": Trouble(
        Code.LINK_AMBIGUOUS,
        "Two AD accounts claim user p1.q1 (Local User): change the address of one of them in AD.",
        lambda sync: (
            sync.add_local("p1.q1")
            and sync.fake.add_person("other.one", extension="1002", login="p1.q1@company.com")
        ),
        lambda sync: sync.fake.change_person(
            next(p for p in sync.fake.read().people.values() if p.account_name == "other.one").guid,
            login="other.one@company.com",
        ),
    ),
    "held out": Trouble(
        Code.HELD_OUT,
        "De-synced by an administrator: press Sync with AD on the user's page to sync again.",
        lambda sync: (
            sync.run() and single_user.desync_user(sync.engine, "p1.q1@company.com", by="test")
        ),
        lambda sync: single_user.sync_user(sync.engine, "p1.q1@company.com", by="test"),
    ),
    "no ring group number": Trouble(
        Code.NUMBER_MISSING,
        "Every number from 1001 to 1001 is used: widen the range on the AD Credentials tab, or "
        "import this department with a number of its own.",
        doing(
            lambda sync: sync.set(ring_group_first="1001", ring_group_last="1001"),
            lambda sync: sync.fake.add_department("Sales"),
        ),
        lambda sync: import_sales(sync, "600"),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_remedy_of_a_conflict_ends_it(
    sqlite_database: Database, name: str, tmp_path: Path
) -> None:
    sync, trouble = Sync(sqlite_database, tmp_path), PROBLEMS[name]
    sync.set(auto_sync=True)
    sync.people(1)
    trouble.cause(sync)
    assert (trouble.code, trouble.remedy) in conflicts(sync)
    trouble.cure(sync)
    sync.run()
    assert conflicts(sync) == []
    built = sync.users()[trouble.username]
    assert (built["active"], built["guid"]) == (
        True,
        next(p.guid for p in sync.fake.read().people.values() if p.account_name == "p1.q1"),
    )


def test_every_conflict_has_its_remedy_tried() -> None:
    """Disabled and expired people are left, and a number that is taken is refused at once."""
    others = {Code.ACCOUNT_DISABLED, Code.ACCOUNT_EXPIRED, Code.NUMBER_TAKEN}
    assert {trouble.code for trouble in PROBLEMS.values()} | others == set(Code)
