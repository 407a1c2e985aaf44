"""The state of the directory in memory, and what its administrator does to it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dirclient.mapping.replication_conflicts import in_conflict
from dirclient.model.directory_objects import (
    AccountState,
    DepartmentKind,
    DirectoryDepartment,
    Guid,
    LockoutPolicy,
    Person,
    ServerState,
    Unread,
)
from dirclient.model.errors import Misconfigured, Refused, Unavailable
from dirclient.wire import dn_syntax

BASE = "DC=goodcompany,DC=local"


@dataclass(slots=True)
class Account:
    """A person, and what nobody reads."""

    person: Person
    password: str
    in_scope: bool
    refusal: type[Refused] | None = None
    wrong: int = 0
    wrong_at: datetime = datetime(1601, 1, 1, tzinfo=UTC)
    policy: LockoutPolicy | None = None
    expires: datetime | None = None

    @property
    def recognized(self) -> bool:
        """Return whether the person is found under the User Search DN."""
        return self.in_scope and not in_conflict(self.person.dn)


class FakeStore:
    """People, departments, switches and counters of a `FakeDirectory`, which see."""

    def __init__(
        self,
        *,
        policy: LockoutPolicy | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.policy = policy or LockoutPolicy(0, 0, 0)
        self.down = self.hung = False
        self.incomplete = False
        self.unread: Unread | None = None
        self.advanced = False  # departments without a recognized person are not listed
        self.service_refused_for: float | None = None
        self.people_lost: Misconfigured | None = None  # the User Search DN is gone
        self.encrypted = True
        self.deletions_visible = True
        self.netbios, self.dns_domain = "COMPANY", "goodcompany.local"
        self.server = ServerState("dc.goodcompany.local", True)
        self.server_id = str(uuid.uuid4())
        self.usn = 1000
        self.vector: dict[str, int] = {}  # how far other servers were followed
        self.read_only = False
        self.binds = 0
        self.operations = 0
        self.on_operation: Callable[[str], None] | None = None
        self._watchers: list[Callable[[ServerState], None]] = []
        self.accept_password: Callable[[str], bool] = lambda new: len(new) >= 7
        self._now = now
        self._accounts: dict[Guid, Account] = {}
        self._departments: dict[Guid, DirectoryDepartment] = {}
        self._deleted: dict[Guid, datetime] = {}
        self._lock = threading.RLock()

    # -- what an administrator of the directory does

    def add_person(
        self,
        account: str,
        *,
        password: str = "Welcome!2026",  # noqa: S107 - a made-up person's
        in_scope: bool = True,
        **fields: Any,
    ) -> Person:
        """Add a person: fields of `Person`, those not given made up from the account name."""
        first, _, last = account.partition(".")
        made: dict[str, Any] = {
            "guid": Guid(uuid.uuid4()),
            "dn": f"CN={dn_syntax.escape(account)},OU=Staff,{BASE}",
            "login": f"{account}@company.com",
            "first_name": first.capitalize(),
            "last_name": last.capitalize() or "Doe",
            "extension": None,
            "login_attribute": "mail",
            "extension_attribute": "ipphone",
            "account_name": account,
            "principal_name": f"{account}@{self.dns_domain}",
        } | fields
        with self._lock:
            made = {"password_set": self._now()} | made
            person = Person(**made, changed=self._now(), usn=self._tick())
            self._accounts[person.guid] = Account(person, password, in_scope)
        return person

    def change_person(self, guid: Guid, **fields: Any) -> Person:
        """Change fields of a person; the identity stays."""
        with self._lock:
            account = self._accounts[guid]
            account.person = replace(
                account.person, **fields, changed=self._now(), usn=self._tick()
            )
            return account.person

    def set_scope(self, guid: Guid, in_scope: bool) -> None:
        """Move a person into or out of the User Search DN."""
        with self._lock:
            self._accounts[guid].in_scope = in_scope
            self._tick()

    def set_password(self, guid: Guid, password: str) -> None:
        """Set a password, as an administrator does."""
        with self._lock:
            self._set_password(self._accounts[guid], password)

    def _set_password(self, account: Account, password: str) -> None:
        account.password = password
        now = self._now()
        account.person = replace(
            account.person,
            password_set=now,
            must_change_password=False,
            changed=now,
            usn=self._tick(),
        )

    def refuse(self, guid: Guid, refusal: type[Refused] | None) -> None:
        """Refuse the person's binds with this: `PasswordWasRight` kinds only the right password."""
        with self._lock:
            self._accounts[guid].refusal = refusal

    def set_policy(self, guid: Guid, policy: LockoutPolicy | None) -> None:
        """A fine-grained lockout policy for one person."""
        with self._lock:
            self._accounts[guid].policy = policy

    def count_wrong(self, guid: Guid, times: int) -> None:
        """Count wrong passwords of a person that were tried elsewhere, or not answered."""
        with self._lock:
            account = self._accounts[guid]
            account.wrong, account.wrong_at = account.wrong + times, self._now()

    def expire(self, guid: Guid, at: datetime) -> None:
        """Let an account have expired at a time."""
        with self._lock:
            self._accounts[guid].expires = at
        self.change_person(guid, state=AccountState.EXPIRED)

    def unlock(self, guid: Guid) -> None:
        """Let a person try again."""
        with self._lock:
            self._accounts[guid].wrong = 0

    def remove_person(self, guid: Guid) -> None:
        """Delete a person."""
        with self._lock:
            del self._accounts[guid]
            self._deleted[guid] = self._now()
            for key, department in self._departments.items():
                self._departments[key] = replace(department, members=department.members - {guid})
            self._tick()

    def add_department(
        self,
        name: str,
        members: Iterable[Guid] = (),
        *,
        kind: DepartmentKind = DepartmentKind.GROUP,
        **fields: Any,
    ) -> DirectoryDepartment:
        """Add a group or OU; members are effective ones."""
        attribute = "CN" if kind is DepartmentKind.GROUP else "OU"
        made: dict[str, Any] = {
            "guid": Guid(uuid.uuid4()),
            "dn": f"{attribute}={dn_syntax.escape(name)},OU=Departments,{BASE}",
            "path": ("Departments", name),
        } | fields
        with self._lock:
            self._tick()
            department = DirectoryDepartment(
                name=name, kind=kind, members=frozenset(members), changed=self._now(), **made
            )
            self._departments[department.guid] = department
        return department

    def change_department(self, guid: Guid, **fields: Any) -> DirectoryDepartment:
        """Change fields of a department; the identity stays."""
        if "members" in fields:
            fields["members"] = frozenset(fields["members"])
        with self._lock:
            self._tick()
            changed = replace(self._departments[guid], **fields, changed=self._now())
            self._departments[guid] = changed
        return changed

    def remove_department(self, guid: Guid) -> None:
        """Delete a department; its people stay."""
        with self._lock:
            del self._departments[guid]
            self._tick()

    def lose_departments(self, why: Unread | None) -> None:
        """Rename or remove the Department Search DN; None brings it back."""
        with self._lock:
            self.unread = why
            self._tick()

    def restore_database(self) -> None:
        """Act as a restored server does: with another invocationId, after the old one."""
        with self._lock:
            self.vector[self.server_id] = self.usn
            self.server_id = str(uuid.uuid4())

    def replicate(self, source: FakeStore) -> None:
        """Take over all that another server of the domain has, as a replication cycle does."""
        with self._lock, source._lock:
            self._accounts = {guid: replace(a) for guid, a in source._accounts.items()}
            self._departments = dict(source._departments)
            self.vector |= source.vector | {source.server_id: source.usn}
            self.vector.pop(self.server_id, None)
            self._tick()

    def tell_of_server(self, state: ServerState) -> None:
        """Let the one server be set aside, or come back."""
        self.server = state
        for callback in self._watchers:
            callback(state)

    def _tick(self) -> int:
        self.usn += 1
        return self.usn

    def _operation(self, name: str) -> None:
        with self._lock:
            self.operations += 1
        if self.on_operation is not None:
            self.on_operation(name)
        if self.down:
            raise Unavailable("No directory server can be reached.", tried=("fake: down",))
        if self.hung:
            raise Unavailable(
                "The directory did not answer in time.", tried=("fake: silent",), was_sent=True
            )
