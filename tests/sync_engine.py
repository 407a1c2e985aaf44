"""An engine on a real database and a directory in memory, for tests of whole runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import Person
from kerauno.accounts import users
from kerauno.accounts.users import NewUser
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from kerauno.sync import directory_settings
from kerauno.tables.core import (
    Department,
    Link,
    Membership,
    Number,
    RingGroup,
    SeenDepartment,
    SeenMember,
    SeenPerson,
    SyncExclusion,
    User,
)
from provisioning.plan import Mode
from syncsvc.runs.engine import Engine, RunOptions

PROFILE = {
    "servers": ["dc.goodcompany.local"],
    "username": "reader@goodcompany.local",
    "user_search_dn": "OU=Staff,DC=goodcompany,DC=local",
    "department_search_dn": "OU=Departments,DC=goodcompany,DC=local",
}
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that only tests move, by a little at each look so that nothing is simultaneous."""

    def __init__(self) -> None:
        self.instant = START

    def __call__(self) -> datetime:
        self.instant += timedelta(milliseconds=1)
        return self.instant

    def move(self, **by: float) -> None:
        """Let time pass."""
        self.instant += timedelta(**by)


class Sync:
    """Everything a test of runs needs in one place."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.db = database
        self.clock = Clock()
        self.fake = FakeDirectory(now=self.clock)
        self.sealer = Sealer(folder / "secret.key", create=True)
        self.engine = self.another()
        self.set()

    def another(self) -> Engine:
        """A second service on the same database and directory."""
        return Engine(self.db, self.sealer, lambda _profile: self.fake, now=self.clock)

    def set(self, **changes: Any) -> None:
        """Save settings of the directory."""
        values = {"profile": PROFILE, "sealed_password": self.sealer.seal("secret")} | changes
        with self.db.write() as s:
            directory_settings.save(s, values, by="test", now=self.clock())

    def add_local(self, name: str, extension: str | None = None, **fields: str) -> int:
        """A local user of the company."""
        new = NewUser(
            email=f"{name}@company.com",
            first_name="Local",
            last_name="User",
            extension=extension,
            **fields,
        )
        with self.db.write() as s:
            return users.create(s, new, self.clock()).id

    def department_dn(self, name: str) -> str:
        """Return where the directory department of this name is."""
        return next(d.dn for d in self.fake.read().departments.values() if d.name == name)

    def people(self, count: int, first: int = 1) -> list[Person]:
        """Add so many complete people."""
        return [
            self.fake.add_person(f"p{n}.q{n}", extension=str(1000 + n))
            for n in range(first, first + count)
        ]

    def run(self, mode: Mode | None = None, trigger: str = "cli", **more: Any) -> dict[str, Any]:
        """One run."""
        return self.engine.run(RunOptions(trigger, mode=mode, wait=0.0, **more))

    def build(self, **more: Any) -> dict[str, Any]:
        """Synchronize Users."""
        return self.run(Mode.BUILD, **more)

    def rows(self, table: Any) -> list[dict[str, Any]]:
        """Every row of a table, as data."""
        with self.db.read() as s:
            found = s.execute(select(table.__table__).order_by(*table.__table__.primary_key))
            return [dict(row._mapping) for row in found]

    def users(self) -> dict[str, dict[str, Any]]:
        """Users with number and link, by username."""
        numbers = {r["user_id"]: r for r in self.rows(Number) if r["user_id"]}
        links = {r["user_id"]: r for r in self.rows(Link)}
        return {
            row["username"]: row
            | {
                "extension": numbers.get(row["id"], {}).get("number"),
                "reserved_until": numbers.get(row["id"], {}).get("reserved_until"),
                "guid": links.get(row["id"], {}).get("guid"),
                "origin": links.get(row["id"], {}).get("origin"),
            }
            for row in self.rows(User)
        }

    def members(self, name: str) -> AbstractSet[str]:
        """Usernames of a department's members."""
        with self.db.read() as s:
            return set(
                s.scalars(
                    select(User.username)
                    .join(Membership, Membership.user_id == User.id)
                    .join(Department, Department.id == Membership.department_id)
                    .where(Department.name == name)
                )
            )

    def state(self) -> dict[str, Any]:
        """Everything that an undo must bring back; bookkeeping left out."""
        without = {"id", "updated_at", "version", "subject", "created_at", "linked_at"}
        users = {
            name: {k: v for k, v in row.items() if k not in without}
            for name, row in self.users().items()
        }
        rings = {r["id"]: r["department_id"] for r in self.rows(RingGroup)}
        numbers = {
            rings[r["ring_group_id"]]: r["number"] for r in self.rows(Number) if r["ring_group_id"]
        }
        departments = {
            r["name"]: (r["guid"], r["dn"], numbers.get(r["id"]), self.members(r["name"]))
            for r in self.rows(Department)
        }
        return {"users": users, "departments": departments}

    def mirror(self) -> dict[str, Any]:
        """The mirror, whole."""
        return {t.__tablename__: self.rows(t) for t in (SeenPerson, SeenDepartment, SeenMember)}

    def held_out(self) -> AbstractSet[str]:
        """Identities held out."""
        return {row["guid"] for row in self.rows(SyncExclusion)}


class Interrupted(BaseException):
    """Thrown into the middle of a run; nothing catches it, as nothing catches a kill."""


class Saboteur:
    """Counts the statements of a database and fails at the chosen one, like a crash there."""

    def __init__(self, at: int, failure: Callable[[], BaseException] = Interrupted) -> None:
        self.left = at
        self.failure = failure
        self.thread = threading.get_ident()
        self.statements = 0

    def add(self, sql: str) -> None:
        """Called before each statement."""
        if threading.get_ident() != self.thread:
            return
        self.statements += 1
        self.left -= 1
        if self.left == 0:
            raise self.failure()
