"""Every record the platform keeps for sign-in and synchronization, as typed tables.

The rules that must never be broken are constraints here, not code elsewhere: usernames and emails
are unique by their look-up key, and a number belongs to exactly one user or ring group. Instants
are UTC. Keys ending in `_key` are made by `kerauno.base.lookup_keys.lookup_key` (NFC, casefolded).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from kerauno.base.lookup_keys import label_key
from kerauno.base.visible_text import visible
from kerauno.tables.base import Base, Sorted, UtcDateTime
from kerauno.tables.mirror import (
    EXTENSION_ORDER,
    LOGIN_ORDER,
    SeenDepartment,
    SeenMember,
    SeenPerson,
)
from kerauno.tables.sync_runs import Lease, Run, RunChange, RunRequest

__all__ = [
    "EXTENSION_ORDER",
    "LOGIN_ORDER",
    "USER_FIRST_ORDER",
    "USER_LAST_ORDER",
    "Attempt",
    "Audit",
    "Base",
    "Department",
    "Directory",
    "DirectoryState",
    "Lease",
    "Link",
    "LinkProposal",
    "Membership",
    "Number",
    "RingGroup",
    "Run",
    "RunChange",
    "RunRequest",
    "SeenDepartment",
    "SeenMember",
    "SeenPerson",
    "Sorted",
    "SyncExclusion",
    "Throttle",
    "User",
    "UtcDateTime",
    "WebSession",
    "WriteProbe",
]


class Directory(Base):
    """A configured directory (today exactly one), as the AD Credentials tab holds it.

    `profile` is the connection profile without its password; `version` counts saves, so that
    two administrators cannot overwrite each other unseen.
    """

    __tablename__ = "directory"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    profile: Mapped[dict[str, Any]]
    sealed_password: Mapped[str] = mapped_column(Text, default="")
    auto_sync: Mapped[bool] = mapped_column(default=False)
    login_without_domain: Mapped[bool] = mapped_column(default=False)
    ring_group_first: Mapped[str | None] = mapped_column(String(10))
    ring_group_last: Mapped[str | None] = mapped_column(String(10))
    sync_interval: Mapped[int] = mapped_column(default=3600)  # seconds between complete reads
    reserve_days: Mapped[int] = mapped_column(default=30)  # a leaver's number stays theirs
    guard_count: Mapped[int] = mapped_column(default=5)
    guard_percent: Mapped[int] = mapped_column(default=10)
    role_groups: Mapped[dict[str, Any]] = mapped_column(default=dict)  # group GUID -> role
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(255), default="")


class DirectoryState(Base):
    """The state of a directory between runs, as the sync service knows it; no settings."""

    __tablename__ = "directory_state"

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    server_id: Mapped[str] = mapped_column(String(255), default="")
    usn: Mapped[int] = mapped_column(default=0)
    cookie: Mapped[bytes] = mapped_column(default=b"")
    read_at: Mapped[datetime | None]  # last complete read
    people: Mapped[int] = mapped_column(default=0)  # of the last complete read
    heard_at: Mapped[datetime | None]  # last heartbeat of `syncsvc serve`
    looked_at: Mapped[datetime | None]  # its last look at the directory that succeeded
    error: Mapped[str] = mapped_column(Text, default="")  # why the last read failed, else empty
    unread: Mapped[str] = mapped_column(Text, server_default="")  # why departments wait, or empty
    # server_id -> how far it was when its word was last acted on, and its address
    acted_on: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    lagging: Mapped[str] = mapped_column(Text, server_default="")  # what waits for whom, or empty
    lagging_since: Mapped[datetime | None]
    lockout_threshold: Mapped[int | None]  # strictest the domain applies; None: not read yet
    lockout_window: Mapped[int | None]  # seconds
    lockout_read_at: Mapped[datetime | None]


def _new_subject() -> str:
    return uuid.uuid4().hex


USER_LAST_ORDER = "lower(last_name)"
USER_FIRST_ORDER = "lower(first_name)"
"""By what users are sorted, in words that the index and the query must share to the letter."""


class User(Base):
    """A Kerauno account. `blocked` is an administrator's word and wins over the directory's.

    `subject` is what other apps know the user by: random, never reused, never a name.
    """

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'manager', 'admin')", name="role"),
        Index("ix_user_order", text(USER_LAST_ORDER), text(USER_FIRST_ORDER), "id"),
        # Searching reads this index alone; PostgreSQL reads the table as fast.
        Index("ix_user_search", "username_key", "email_key", "first_name", "last_name").ddl_if(
            dialect="sqlite"
        ),
        {"sqlite_autoincrement": True},  # an id is never given to a second user
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(32), unique=True, default=_new_subject)
    username: Mapped[str] = mapped_column(String(255))
    username_key: Mapped[str] = mapped_column(String(255), unique=True)
    email: Mapped[str] = mapped_column(String(320))
    email_key: Mapped[str] = mapped_column(String(320), unique=True)
    first_name: Mapped[str] = mapped_column(String(255))
    last_name: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16), default="user")
    active: Mapped[bool] = mapped_column(default=True)
    blocked: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(Text)  # local users only; argon2id
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deactivated_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    browser_key: Mapped[str | None] = mapped_column(
        String(32)
    )  # see `kerauno.accounts.known_browsers`


class Number(Base):
    """The number space: an extension or a ring group number, 2 to 10 digits, unique across both.

    A number kept for a leaver stays their row with `reserved_until` set; when that has passed,
    whoever wants the number may take it.
    """

    __tablename__ = "number"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (ring_group_id IS NULL)", name="one_holder"),
        CheckConstraint("length(number) BETWEEN 2 AND 10", name="length"),
        CheckConstraint("ltrim(number, '0123456789') = ''", name="digits"),
    )

    number: Mapped[str] = mapped_column(String(10), primary_key=True)
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), unique=True
    )
    ring_group_id: Mapped[int | None] = mapped_column(
        ForeignKey("ring_group.id", ondelete="CASCADE"), unique=True
    )
    reserved_until: Mapped[datetime | None]


class Link(Base):
    """The tie between a user and a person, by objectGUID. A linked user is synced.

    `scope` is "full" when AD owns names, email, username, extension; "login" when only
    username/email (Sync with AD on one user, or the first sign-in). `origin` says who tied it:
    "sync", "sign-in", "admin", or "department" (brought in by one import alone).
    """

    __tablename__ = "link"
    __table_args__ = (
        UniqueConstraint("directory_id", "guid"),
        CheckConstraint("scope IN ('full', 'login')", name="scope"),
        CheckConstraint("origin IN ('sync', 'sign-in', 'admin', 'department')", name="origin"),
        Index("ix_link_principal_key", "principal_key"),
        Index("ix_link_account_key", "account_key"),
    )

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    directory_id: Mapped[int] = mapped_column(ForeignKey("directory.id", ondelete="CASCADE"))
    guid: Mapped[str] = mapped_column(String(36))
    dn: Mapped[str] = mapped_column(Text)
    principal_key: Mapped[str | None] = mapped_column(String(320))  # userPrincipalName
    account_key: Mapped[str | None] = mapped_column(String(255))  # sAMAccountName
    scope: Mapped[str] = mapped_column(String(8))
    origin: Mapped[str] = mapped_column(String(16))
    linked_at: Mapped[datetime]
    password_set: Mapped[datetime | None]  # when, as the directory said last; None: never told
    refused_since: Mapped[datetime | None]  # disabled or expired in the directory: no sign-in


class SyncExclusion(Base):
    """A person an administrator de-synced: the timer does not link them again."""

    __tablename__ = "held_out"

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    held_at: Mapped[datetime]
    held_by: Mapped[str] = mapped_column(String(255), default="")


class LinkProposal(Base):
    """A link that needs an administrator's word: an administrator's account matched by name."""

    __tablename__ = "link_proposal"

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    proposed_at: Mapped[datetime]


def _plain_label(context: Any) -> str:
    """Of a department that is made without a label: its name, which then has to be free."""
    return visible(context.get_current_parameters()["name"])


def _plain_label_key(context: Any) -> str:
    return label_key(_plain_label(context))


class Department(Base):
    """A department. One that AD built carries the directory object's identity.

    `name` is as AD has it; `label` is the name for people and apps, which no other department's
    label looks like (`kerauno.accounts.department_labels`).
    """

    __tablename__ = "department"
    __table_args__ = (
        UniqueConstraint("directory_id", "guid"),
        {"sqlite_autoincrement": True},  # the journal speaks of departments that are gone
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(Text, default=_plain_label, server_default="")
    label_key: Mapped[str] = mapped_column(
        String(64), default=_plain_label_key, server_default="", index=True, unique=True
    )
    directory_id: Mapped[int | None] = mapped_column(ForeignKey("directory.id"))
    guid: Mapped[str | None] = mapped_column(String(36))
    dn: Mapped[str] = mapped_column(Text, default="")
    kind: Mapped[str] = mapped_column(String(8), default="group")
    imported_at: Mapped[datetime]


class RingGroup(Base):
    """A department's one ring group. It rings the department's active members, all at once."""

    __tablename__ = "ring_group"

    id: Mapped[int] = mapped_column(primary_key=True)
    department_id: Mapped[int] = mapped_column(
        ForeignKey("department.id", ondelete="CASCADE"), unique=True
    )
    name: Mapped[str] = mapped_column(String(255))
    strategy: Mapped[str] = mapped_column(String(16), default="ring-all")


class Membership(Base):
    """A user in a department, and so in its ring group. `static`: AD's, and not removable here."""

    __tablename__ = "membership"

    department_id: Mapped[int] = mapped_column(
        ForeignKey("department.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    static: Mapped[bool] = mapped_column(default=True)


class WebSession(Base):
    """A signed-in browser. The cookie holds a random id; only its SHA-256 is here."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user_id", "user_id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # hex digest of the cookie's id
    handle: Mapped[str] = mapped_column(String(32), unique=True)  # public name, OIDC `sid`
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    method: Mapped[str] = mapped_column(String(16))  # directory local kerberos
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(255), default="")


class Attempt(Base):
    """The throttle's count for one key (an account or an address), shared by all workers and hosts.

    `pending` attempts have been let through and not yet answered; they count like failures, so
    that parallel guesses cannot pass together. `counted_from` is where the window begins: an
    account's last attempt (as AD counts), an address's first. `generation` grows whenever
    `failures` starts again, so that a late success cannot forgive what came after it.

    `taken_at` is when one was let through last: who has not answered long after that never will.
    Of the failures, `doubtful` are those of which only the directory knows whether it counted them.
    """

    __tablename__ = "attempt"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it

    key: Mapped[str] = mapped_column(String(96), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    pending: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=0)
    counted_from: Mapped[datetime]
    doubtful: Mapped[int] = mapped_column(default=0, server_default="0")
    taken_at: Mapped[datetime] = mapped_column(server_default="2000-01-01 00:00:00")


class WriteProbe(Base):
    """The one row that is written to see that the database takes writes."""

    __tablename__ = "write_probe"

    id: Mapped[int] = mapped_column(primary_key=True)
    written_at: Mapped[datetime]


class Throttle(Base):
    """A key whose attempts were used up, as the last refused attempt told of it.

    `scope` is account, person or address; `label` says whose it is in words. `refused` attempts
    share the audit event of `code`, which began at `noted_at`.
    """

    __tablename__ = "throttle"

    key: Mapped[str] = mapped_column(String(96), primary_key=True)
    scope: Mapped[str] = mapped_column(String(8))
    label: Mapped[str] = mapped_column(String(320))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    limit: Mapped[int]
    seconds: Mapped[int]  # that the window lasts
    refused: Mapped[int]
    code: Mapped[str] = mapped_column(String(8))
    noted_at: Mapped[datetime]


def _only(condition: str) -> dict[str, Any]:
    """An index of the rows for which this holds."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Audit(Base):
    """An event: what happened, when, by whom, to whom. Append only; never a password or a token.

    `code` is short enough to be read out over the phone; `detail` is for the administrator.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_user_id_at", "user_id", "at"),
        # Most events have neither of these; the indexes hold only those that have.
        Index("ix_audit_guid_at", "guid", "at", **_only("guid IS NOT NULL")),
        Index("ix_audit_code", "code", **_only("code <> ''")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(48), index=True)
    outcome: Mapped[str] = mapped_column(String(32), default="")
    actor: Mapped[str] = mapped_column(String(255), default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    guid: Mapped[str | None] = mapped_column(String(36))
    address: Mapped[str] = mapped_column(String(64), default="")
    code: Mapped[str] = mapped_column(String(12), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
