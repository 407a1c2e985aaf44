"""The values of the directory client: frozen records, free of LDAP and of SQL."""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime
from typing import Self

from dirclient.model.errors import Misconfigured

_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Guid(str):
    """The identity of a directory object: canonical lower-case UUID text, equal only to itself.

    AD: `objectGUID` (MS-ADTS 3.1.1.1.4), mixed-endian on the wire. OpenLDAP: `entryUUID`.
    Everything else about an object (DN, name, mail) may change; this does not.
    """

    __slots__ = ()

    @classmethod
    def from_ad(cls, octets: bytes) -> Self:
        """From the 16 octets of `objectGUID`. Raises ValueError on another length."""
        if len(octets) != 16:
            raise ValueError("a GUID is 16 octets")
        plain = (octets[3::-1] + octets[5:3:-1] + octets[7:5:-1] + octets[8:]).hex()
        return cls(f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:]}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From text in any usual form (braces, upper case). Raises ValueError on nonsense."""
        return cls(text if _CANONICAL.fullmatch(text) else uuid.UUID(text))


NO_PASSWORD_SET = datetime(1601, 1, 1, tzinfo=UTC)
"""`Person.password_set` where AD has 0: the password must be replaced (MS-ADA3 2.175)."""


class AccountState(enum.StrEnum):
    """The state of an account, as far as attributes tell. ACTIVE: AD would let it sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Person:
    """A directory account as it was read. Identity is `guid`, nothing else.

    Text is NFC-normalised and stripped; an absent or blank attribute is None. `login` is the
    username/email value (contains `@` when it is an email), `extension` the raw text of the
    first extension attribute that is present; `*_attribute` says which attribute it came from.
    `state` weighs userAccountControl, its computed bits and accountExpires (MS-ADTS 2.2.16).
    """

    guid: Guid
    dn: str
    login: str | None
    first_name: str | None
    last_name: str | None
    extension: str | None
    login_attribute: str = ""
    extension_attribute: str = ""
    display_name: str | None = None
    account_name: str | None = None  # sAMAccountName (AD), uid (OpenLDAP)
    principal_name: str | None = None  # userPrincipalName
    state: AccountState = AccountState.ACTIVE
    locked: bool = False
    must_change_password: bool = False
    password_set: datetime | None = None  # pwdLastSet / pwdChangedTime; None: not to be read
    changed: datetime | None = None  # whenChanged / modifyTimestamp, UTC
    usn: int = 0  # uSNChanged of the server that answered; 0 where there is none


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The place of an account that is not found any more.

    `deleted`: the domain has no such identity, or only its tombstone; `changed` is then when that
    was made. Of an account that is there, `expires` is when it ends or has ended, and `state` what
    it is now; None where that may not be read.
    """

    deleted: bool
    changed: datetime | None = None
    expires: datetime | None = None
    state: AccountState | None = None


class DepartmentKind(enum.StrEnum):
    """The kind of a directory department."""

    GROUP = "group"
    OU = "ou"


@dataclass(frozen=True, slots=True)
class DirectoryDepartment:
    """A security group or OU found under the Department Search DN.

    `members` are the recognized people in it, nested groups, primary-group members and
    (for an OU) everything below included. `via` names, for a member who is not direct, the
    path of nested group or OU names that leads to them. `path` is the readable place of the
    department itself, outermost first, such as ("Staff", "Sales", "EMEA").
    """

    guid: Guid
    dn: str
    name: str
    kind: DepartmentKind
    members: frozenset[Guid]
    via: Mapping[Guid, tuple[str, ...]] = dataclass_field(default_factory=dict)
    path: tuple[str, ...] = ()
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a read has seen, in the terms of one server. Worthless on any other.

    `server_id` is the AD invocationId (MS-ADTS 3.1.1.1.9) or, elsewhere, the server's address;
    `usn` its highestCommittedUSN when the read began; `cookie` what OpenLDAP
    counts by instead, its contextCSN.
    """

    server_id: str
    usn: int
    cookie: bytes = b""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How far a server has come: with its own changes, and with those of the others.

    `server` is its address, for people. `vector` maps the `server_id` of others to the `usn` up to
    which their changes are here; see `dirclient.operations.replication_state`.
    """

    cursor: Cursor
    vector: Mapping[str, int]
    server: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the directory that was not read, because its search DN is gone.

    `field` is the name of the `Profile` field at fault, `message` and `remedy` a sentence each.
    """

    field: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return both sentences, for an administrator."""
        return f"{self.message} {self.remedy}".strip()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete picture: everyone recognized and every directory department.

    It exists only when every page, range and result code was good to the end; a reader that
    cannot prove that raises `Incomplete`. `read_at` is UTC by this machine's clock,
    `clock_offset` the directory's clock minus ours in seconds, `operations` the number of LDAP
    requests the read cost, `warnings` sentences for an administrator (referrals passed over …).
    `deletions_visible` says whether `catch_up` sees deletions by itself; else `sweep` is needed.
    `hidden` are identities that the directory names as members but does not let the service
    account see: nobody may conclude that they left. `memory` is what a Watcher needs to bring the
    snapshot up to date; it is opaque and lives no longer than the process.

    `server` is the address of who answered, and `vector` how far it had followed other servers when
    the read began, as in `Knowledge`; empty where that was not asked for or is not told. `sources`
    is set where the server only has what others wrote: how far it had followed them at the end.

    `unlisted` are departments that are there and have no recognized person, which an exact search
    DN (Advanced) does not list: nobody may conclude that they are gone.

    `unread` is set while the Department Search DN is gone. People are complete all the same, but
    `departments` is empty, and nothing may be concluded about departments or their members.
    """

    people: Mapping[Guid, Person]
    departments: Mapping[Guid, DirectoryDepartment]
    cursor: Cursor
    read_at: datetime
    operations: int
    clock_offset: float = 0.0
    warnings: tuple[str, ...] = ()
    deletions_visible: bool = False
    hidden: frozenset[Guid] = frozenset()
    unlisted: Mapping[Guid, DirectoryDepartment] = dataclass_field(default_factory=dict)
    unread: Unread | None = None
    server: str = ""
    vector: Mapping[str, int] = dataclass_field(default_factory=dict)
    sources: Mapping[str, int] = dataclass_field(default_factory=dict)
    memory: object = dataclass_field(default=None, compare=False, repr=False)

    @property
    def marks(self) -> tuple[Cursor, ...]:
        """Return what another server must have reached to know all of this
        (`dirclient.operations.replication_state`).

        Nobody follows a read-only domain controller: what it showed
        is known to whoever has followed its sources as far.
        """
        from_others = tuple(Cursor(server_id, usn) for server_id, usn in self.sources.items())
        return from_others or (self.cursor,)

    @property
    def knowledge(self) -> Knowledge:
        """How far the server had come that this was read from."""
        return Knowledge(self.cursor, self.vector, self.server)

    def whole(self) -> Self:
        """Return this snapshot. Raises `Misconfigured` where departments were not read."""
        if self.unread is not None:
            gone = self.unread
            raise Misconfigured(gone.message, field=gone.field, remedy=gone.remedy)
        return self


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of a server of a profile, as this process knows it.

    While it is set aside: the `operation` that failed (connect, bind or search) and the `reason`,
    `since` when, and when it will be asked again at the latest.
    """

    address: str
    up: bool
    operation: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None


class LoginForm(enum.StrEnum):
    """How a sign-in name was written."""

    BARE = "bare"  # john.doe
    EMAIL = "email"  # john.doe@company.com
    DOWN_LEVEL = "down-level"  # COMPANY\john.doe


@dataclass(frozen=True, slots=True)
class Login:
    """A parsed sign-in name: NFC, stripped, bounded. See `dirclient.model.login_name`."""

    form: LoginForm
    name: str  # the part without any domain
    domain: str = ""  # after @ or before \, as typed

    def __str__(self) -> str:
        if self.form is LoginForm.EMAIL:
            return f"{self.name}@{self.domain}"
        if self.form is LoginForm.DOWN_LEVEL:
            return f"{self.domain}\\{self.name}"
        return self.name


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """When the domain locks an account (MS-ADTS 3.1.1.1.12; PSOs included where readable).

    `threshold` wrong passwords within `window` seconds lock for `duration` seconds.
    threshold 0: never locks. `source` says where it was read ("domain", a PSO's name) for people.
    """

    threshold: int
    window: int
    duration: int
    source: str = "domain"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a connection test. `remedy` is set when it failed or deserves a warning."""

    name: str  # resolve tcp tls bind level user_search_dn department_search_dn people departments …
    ok: bool
    summary: str
    seconds: float
    field: str = ""
    remedy: str = ""
    warning: bool = False  # passed, but an administrator should look
    data: Mapping[str, object] = dataclass_field(default_factory=dict)
