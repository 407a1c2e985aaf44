"""A domain controller, a database, the sync service and the web service, as processes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from kerauno.base.errors import DatabaseUnavailable
from kerauno.database.engine import Database
from kerauno.tables.core import Link, Number, Run, User
from tests.chaos.clock import Clock
from tests.chaos.console import ADMIN, PASSWORD, Console
from tests.chaos.proxy import Proxy
from tests.servers.postgres import Postgres
from tests.servers.process import Server, folder_in_memory
from tests.servers.samba import SambaDC, Scratch, remove
from tests.servers.web import Installation, configure_directory, inherited

PEOPLE = 20
TOKEN = "t" * 40


@dataclass(frozen=True, slots=True)
class Known:
    """The values of a person in Kerauno, or in AD: these three can be compared."""

    active: bool
    extension: str
    last_name: str


class World:
    """Everything that a walk needs; `close` ends it. The random numbers are the walk's own."""

    def __init__(
        self,
        chance: random.Random,
        *,
        postgres: bool | Postgres = False,
        url: str = "",
        people: int = PEOPLE,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`postgres`: whether there is one, or one that runs. `url`: another address of it.

        `settings`: more of the environment.
        """
        self.chance = chance
        self.folder = folder_in_memory("chaos")
        self.dc = SambaDC(self.folder / "samba").start()
        self.proxy = Proxy(self.dc.host, self.dc.port)
        made = Postgres().start() if postgres is True else postgres
        self.postgres = made or None
        self.clock = Clock(self.folder / "clock")
        token = self.folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        if self.postgres and not url:
            url = self.postgres.url(self.postgres.create())
        environ = {"KERAUNO_METRICS_TOKEN_FILE": str(token)} | dict(settings or {})
        self.kerauno = Installation(self.folder, url, environ | self.clock.environ)
        self.database = Database(self.kerauno.database_url)
        self.console = Console(self.kerauno)
        self.resting: Callable[[float], None] = lambda _seconds: None
        self.sync: Server | None = None
        self.service_password = self.dc.tracker.password
        self.apart: set[str] = set()  # de-synced by an administrator: AD owns them no more
        self.built: set[str] = set()  # whoever has once been a user
        self.truth_before: dict[str, tuple[str, Known]] = {}  # when the step began
        self.auto_sync = True
        self._number = 30000
        self._scratch = Scratch(self.dc)
        self._fill(people)
        self._start()

    def _fill(self, people: int) -> None:
        self.top = self._scratch.dn
        self.people_dn = self._scratch.ou("People")
        self.departments_dn = self._scratch.ou("Departments")
        hired = [self.hire() for _ in range(people)]
        self.group = self._scratch.group("sales", hired[:4], self.departments_dn)

    def _start(self) -> None:
        kerauno = self.kerauno
        kerauno.must("authsvc", "db", "upgrade")
        name = ("--first", "Ada", "--last", "Min", "--password-stdin")
        kerauno.must("authsvc", "admin", "create", ADMIN, *name, stdin=PASSWORD)
        profile = self.dc.profile(
            servers=(self.proxy.host,),
            port=self.proxy.port,
            username=self.dc.tracker.upn,
            password=self.service_password,
            user_search_dn=self.people_dn,
            department_search_dn=self.departments_dn,
        )
        configure_directory(kerauno, profile, "--auto-sync", "yes")
        kerauno.start(workers=1)
        self.console.sign_in()
        self.console.save(guard_count="1000", guard_percent="100")
        self.start_sync()

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command by the services' clock. Never raises on its exit code."""
        program, *rest = arguments
        return subprocess.run(
            [sys.executable, "-m", f"{program}.cli", *rest],
            input=stdin,
            env=inherited() | self.kerauno.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )

    # -- the services

    def start_sync(self) -> None:
        """Start the sync service; it needs a second until it works."""
        self.sync = self.kerauno.spawn("syncsvc", "serve", log="sync.log")

    def kill_sync(self) -> None:
        """End the sync service as a crash would."""
        assert self.sync
        self.sync.signal(signal.SIGKILL)
        self.sync.stop()

    def kill_web(self) -> None:
        """End the web service's first process as a crash would; its worker follows by itself."""
        assert self.kerauno.server
        self.kerauno.server.signal(signal.SIGKILL)
        self.kerauno.server.stop()

    def close(self) -> None:
        """End everything, and delete it."""
        self.database.close()
        if self.sync:
            self.sync.signal(signal.SIGCONT)
            self.sync.stop()
        self.kerauno.stop()
        self.proxy.close()
        self.dc.thaw()
        remove(self.dc)
        if self.postgres:
            self.postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self) -> str:
        """The end of what both services wrote."""
        tails = (f"--- {server.log.name}\n{server.tail()}" for server in self._servers())
        return "\n".join(tails)

    def _servers(self) -> list[Server]:
        return [one for one in (self.sync, self.kerauno.server) if one]

    def rest(self, seconds: float) -> None:
        """Let a fault last, and look at the end of it whether anybody was removed for it."""
        time.sleep(seconds)
        self.resting(seconds)

    # -- the directory

    def next_number(self) -> str:
        """An extension that nobody has had."""
        self._number += 1
        return str(self._number)

    def hire(self) -> str:
        """Add a person; gives the DN."""
        number = self.next_number()
        return self._scratch.user(f"p{number}", self.people_dn, ipPhone=number)

    def truth(self) -> dict[str, tuple[str, Known]]:
        """Everybody in the directory: GUID → DN, and what Kerauno must have of them."""
        wanted = ("objectGUID", "ipPhone", "sn", "userAccountControl")
        found = self.dc.search("(objectClass=user)", wanted, self.people_dn)
        return {_guid(one): (one["dn"], _known(one["raw_attributes"])) for one in found}

    def staff(self) -> list[str]:
        """The DNs of those whose edits must show: enabled, built and not de-synced."""
        return [
            dn
            for guid, (dn, known) in sorted(self.truth().items())
            if known.active and guid in self.built - self.apart
        ]

    # -- Kerauno

    def users(self) -> dict[str, Known]:
        """Linked users by GUID, as they are stored."""
        with self.database.read() as s:
            rows = s.execute(
                select(Link.guid, User.active, User.last_name, Number.number)
                .join(User, User.id == Link.user_id)
                .outerjoin(Number, Number.user_id == User.id)
            ).all()
        return {guid: Known(active, number or "", last) for guid, active, last, number in rows}

    def user_id(self, guid: str) -> int:
        """The user linked to a person."""
        with self.database.read() as s:
            return s.execute(select(Link.user_id).where(Link.guid == guid)).scalar_one()

    def runs(self, status: str) -> list[Run]:
        """Runs of a status, newest first."""
        with self.database.read() as s:
            return list(s.scalars(select(Run).where(Run.status == status).order_by(Run.id.desc())))

    def asked(self, question: Callable[[], Any]) -> Any:
        """The answer, or None while the database cannot be asked."""
        try:
            return question()
        except DatabaseUnavailable:
            return None

    def following(self) -> dict[str, Any]:
        """Return what /readyz says with the token: `status`, and of the directory `following`."""
        asked = urllib.request.Request(f"{self.kerauno.url}/readyz")
        asked.add_header("Authorization", f"Bearer {TOKEN}")
        try:
            with urllib.request.urlopen(asked, timeout=15) as answer:
                document: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            document = json.load(refused)
        except OSError as away:
            return {"status": f"no answer: {away}"}
        directories: list[dict[str, Any]] = document.get("directories") or [{}]
        return document | directories[0]


def _guid(entry: dict[str, Any]) -> str:
    return str(uuid.UUID(bytes_le=entry["raw_attributes"]["objectGUID"][0]))


def _known(raw: dict[str, list[bytes]]) -> Known:
    disabled = int(raw["userAccountControl"][0]) & 2
    number, last = (raw[name][0].decode() for name in ("ipPhone", "sn"))
    return Known(not disabled, number, last)
