"""The ports of sign-in, in memory, with a clock that tests turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from authsvc.signin.decision import SignIn
from authsvc.signin.directory_connection import OpenDirectory
from authsvc.signin.outcomes import Attempt, Outcome, Reason, Verdict
from authsvc.signin.response_delay import ResponseDelay
from dirclient.config.profile import Profile
from dirclient.fake.directory import FakeDirectory
from dirclient.model.directory_objects import Guid, Login, LoginForm, Person
from kerauno.base.errors import KeyProblem, Throttled
from kerauno.base.lookup_keys import lookup_key
from kerauno.base.passwords import hash_password
from kerauno.signin.throttle import Budget, Reservation
from kerauno.signin.user_lookup import SignInUser

SAVED = datetime(2026, 11, 23, tzinfo=UTC)
LOCAL_PASSWORD = "Kerauno!Local-1"
_HASH = hash_password(LOCAL_PASSWORD)


@dataclass
class Clock:
    """A clock in which only `sleep` and `tick` pass time."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.at

    def tick(self, seconds: float) -> None:
        self.at += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass
class MemoryRecords:
    """`Records` in memory. `settled` lists what became of each attempt."""

    users: list[SignInUser] = field(default_factory=list)
    held: set[Guid] = field(default_factory=set)
    settled: list[tuple[Reason, Verdict]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    proposals: list[tuple[int, Guid]] = field(default_factory=list)
    passwords: list[tuple[int, Guid, datetime | None]] = field(default_factory=list)
    throttled: list[tuple[str, str]] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    doubtful: Counter[str] = field(default_factory=Counter)

    def find(self, login: Login) -> SignInUser | None:
        if login.form is LoginForm.EMAIL:
            return self.by_email(str(login))
        key = lookup_key(login.name)  # in these tests the account name is the username
        return next((u for u in self.users if lookup_key(u.username) == key), None)

    def by_email(self, email: str) -> SignInUser | None:
        key = lookup_key(email)
        return next((u for u in self.users if lookup_key(u.email) == key), None)

    def linked_to(self, directory_id: int, guid: Guid) -> SignInUser | None:
        return next((u for u in self.users if u.guid == guid), None)

    def held_out(self, directory_id: int, guid: Guid) -> bool:
        return guid in self.held

    def is_known(self, attempt: Attempt, user: SignInUser) -> bool:
        return attempt.known == f"known to {user.username}"

    def take(
        self, account: str, person: str, address: str, budget: Budget, *, known: bool
    ) -> Reservation:
        keys = {"account": account, "person": person} if person else {"account": account}
        for scope, key in keys.items():
            if self.failures[key] + self.open[key] >= budget.limit:
                raise Throttled(60, scope=scope, window=budget.window)
        for key in keys.values():
            self.open[key] += 1
        return Reservation(account, address, self.failures[account], 0, person)

    def give_back(self, slot: Reservation) -> None:
        for key in _counted(slot):
            self.open[key] -= 1

    def is_unsettled(self, person: str) -> bool:
        return self.doubtful[person] > 0

    def settle(self, person: str, wrong: int) -> None:
        certain = self.failures[person] - self.doubtful.pop(person)
        self.failures[person] = min(max(wrong, certain), self.failures[person])

    def note_throttled(self, attempt: Attempt, error: Throttled, *, user: SignInUser | None) -> str:
        self.throttled.append((error.scope, user.username if user else ""))
        return "THROTTLED"

    def refuse(
        self,
        attempt: Attempt,
        reason: Reason,
        slot: Reservation | None,
        settled: Verdict,
        *,
        user: SignInUser | None,
        guid: str | None,
        note: str,
    ) -> str:
        self.settled.append((reason, settled))
        self.notes.append(note)
        if slot is not None:
            self.give_back(slot)
            for key in _counted(slot):
                self.failures[key] += settled is Verdict.WRONG
            if settled is Verdict.UNKNOWN and slot.person:
                self.failures[slot.person] += 1
                self.doubtful[slot.person] += 1
        return "CODE"

    def password_changed(self, user_id: int, guid: Guid, when: datetime | None) -> None:
        self.passwords.append((user_id, guid, when))

    def propose(self, user: SignInUser, directory_id: int, guid: Guid) -> None:
        self.proposals.append((user.user_id, guid))


def _counted(slot: Reservation) -> list[str]:
    return [key for scope, key in slot.keys.items() if scope != "address"]


@dataclass
class Situation:
    """A sign-in with everything around it. Change its parts, then `try_`."""

    directory: FakeDirectory = field(default_factory=FakeDirectory)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    clock: Clock = field(default_factory=Clock)
    auto_sync: bool = False
    login_without_domain: bool = True
    configured: bool = True
    broken: bool = False
    limit: int = 5
    reserved: int = 3

    def __post_init__(self) -> None:
        pace = ResponseDelay(
            clock=self.clock, sleep=self.clock.sleep, slow=lambda: self.clock.tick(0.1)
        )
        self.sign_in = SignIn(self.records, self, self, pace)

    # Directories
    def current(self) -> OpenDirectory | None:
        if self.broken:
            raise KeyProblem("The key is another one.")
        if not self.configured:
            return None
        return OpenDirectory(
            1, 1, self.directory, self.auto_sync, self.login_without_domain, Profile(), SAVED
        )

    def at(self, saved: tuple[int, int] | None) -> OpenDirectory | None:
        return self.current()

    # Budgets
    def of(self, directory: OpenDirectory | None) -> Budget:
        return Budget(self.limit, timedelta(minutes=30), rolling=True, reserved=self.reserved)

    # What tests do
    def person(self, account: str = "john.doe", **fields: Any) -> Person:
        return self.directory.add_person(account, **fields)

    def user(self, email: str = "john.doe@company.com", **fields: object) -> SignInUser:
        made = SignInUser(
            user_id=len(self.records.users) + 1,
            username=email.partition("@")[0],
            email=email,
            first_name="John",
            last_name="Doe",
            role="user",
            active=True,
            blocked=False,
            password_hash=None,
            directory_id=None,
            guid=None,
            dn=None,
            scope=None,
            directory_version=None,
            login_without_domain=None,
        )
        made = made._replace(**fields)  # type: ignore[arg-type]
        self.records.users.append(made)
        return made

    def local(self, email: str = "ada@company.com", **fields: object) -> SignInUser:
        return self.user(email, password_hash=_HASH, **fields)

    def linked(self, person: Person, **fields: object) -> SignInUser:
        assert person.login is not None
        tie = {"directory_id": 1, "guid": person.guid, "dn": person.dn, "directory_version": 1}
        email = str(fields.pop("email", person.login))
        return self.user(email, **(tie | {"scope": "full"} | fields))

    def try_(self, name: str, password: str = "Welcome!2026", known: str = "") -> Outcome:
        return self.sign_in.decide(Attempt(name, password, "10.0.0.1", known=known))

    @property
    def reasons(self) -> list[Reason]:
        return [reason for reason, _ in self.records.settled]

    @property
    def still_open(self) -> int:
        """Attempts that were let through and not settled: each has one name."""
        return sum(n for key, n in self.records.open.items() if key.startswith("name:"))
