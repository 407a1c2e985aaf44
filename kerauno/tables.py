"""Every record the platform keeps for sign-in and synchronization, as typed tables.

The rules that must never be broken are constraints here, not code elsewhere: usernames and emails
are unique by their look-up key, and a number belongs to exactly one user or ring group.
Instants are UTC. Keys ending in `_key` are made by `kerauno.keys.lookup_key` (NFC, casefolded).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, stored as UTC without a zone and given back aware.

    A naive instant is a ValueError: nobody knows which it is. SQLite keeps the text that
    SQLAlchemy's own DateTime would; writing and reading it here takes a tenth of the time.
    """

    impl = DateTime
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """To what the driver stores."""
        return _to_text if dialect.name == "sqlite" else _to_naive

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Back to an aware instant."""
        del coltype
        return _from_text if dialect.name == "sqlite" else _from_naive


def _to_naive(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive datetime is not an instant; use datetime.now(UTC)")
    return value.astimezone(UTC).replace(tzinfo=None)


def _to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = cast("datetime", _to_naive(value))
    return value.isoformat(" ", "microseconds")[:26]


def _from_naive(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


Sorted = String(512).with_variant(String(512, collation="C"), "postgresql")
"""Text in the order of its code points on both databases; PostgreSQL has a locale's otherwise."""


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        bytes: LargeBinary,
    }


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
    """What the sync service knows of a directory between runs; never an administrator's word."""

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
    error: Mapped[str] = mapped_column(Text, default="")  # why the last read failed, else empty
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


class HeldOut(Base):
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


class Department(Base):
    """A department. One that AD built carries the directory object's identity."""

    __tablename__ = "department"
    __table_args__ = (
        UniqueConstraint("directory_id", "guid"),
        {"sqlite_autoincrement": True},  # the journal speaks of departments that are gone
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
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


LOGIN_ORDER = "substr(lower(coalesce(login, '')), 1, 128)"
EXTENSION_ORDER = "substr(coalesce(extension, ''), 1, 32)"
"""By what people are sorted, in words that the index and the query must share to the letter."""


class SeenPerson(Base):
    """The mirror: a recognized person as AD was last seen to hold them. Rewritten only on change.

    `state`: synced, ready, conflict or held-out. `conflicts` are the plan's own, as data.
    `digest` tells a changed person from an unchanged one without comparing columns.
    """

    __tablename__ = "seen_person"
    __table_args__ = (
        Index("ix_seen_person_directory_sort", "directory_id", "sort_key", "guid"),
        Index("ix_seen_person_directory_state", "directory_id", "state", "sort_key", "guid"),
        Index("ix_seen_person_directory_login", "directory_id", text(LOGIN_ORDER), "guid"),
        Index("ix_seen_person_directory_extension", "directory_id", text(EXTENSION_ORDER), "guid"),
        # Searching reads this index alone, a fifth of the table. PostgreSQL, whose index entries
        # are limited in length, reads the table as fast.
        Index(
            "ix_seen_person_directory_search", "directory_id", "state", "search_text", "guid"
        ).ddl_if(dialect="sqlite"),
    )

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    dn: Mapped[str] = mapped_column(Text)
    first_name: Mapped[str | None] = mapped_column(Text)
    last_name: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str | None] = mapped_column(Text)
    login: Mapped[str | None] = mapped_column(Text)
    login_attribute: Mapped[str] = mapped_column(String(64), default="")
    extension: Mapped[str | None] = mapped_column(Text)  # raw text
    extension_attribute: Mapped[str] = mapped_column(String(64), default="")
    account_name: Mapped[str | None] = mapped_column(Text)
    principal_name: Mapped[str | None] = mapped_column(Text)
    account_state: Mapped[str] = mapped_column(String(16), default="active")
    locked: Mapped[bool] = mapped_column(default=False)
    must_change_password: Mapped[bool] = mapped_column(default=False)
    changed: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16))
    conflicts: Mapped[list[Any]] = mapped_column(default=list)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="SET NULL"))
    sort_key: Mapped[str] = mapped_column(Sorted)
    search_text: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))


class SeenDepartment(Base):
    """The mirror of a directory department. `state`: imported or available."""

    __tablename__ = "seen_department"

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    dn: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(8))
    path: Mapped[list[Any]] = mapped_column(default=list)
    members: Mapped[int] = mapped_column(default=0)
    conflicts: Mapped[list[Any]] = mapped_column(default=list)
    digest: Mapped[str] = mapped_column(String(64))


class SeenMember(Base):
    """The mirror of one membership; `via` is the path of names for a member who is not direct."""

    __tablename__ = "seen_member"
    __table_args__ = (Index("ix_seen_member_person", "directory_id", "person_guid"),)

    directory_id: Mapped[int] = mapped_column(
        ForeignKey("directory.id", ondelete="CASCADE"), primary_key=True
    )
    department_guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    person_guid: Mapped[str] = mapped_column(String(36), primary_key=True)
    via: Mapped[list[Any]] = mapped_column(default=list)


class Run(Base):
    """One execution (or held plan) of a sync.

    `status`: running, applied, unchanged, held, failed, discarded, expired, undone.
    `phase`, `done`, `total` are its live progress. `plan` is kept only while held.
    """

    __tablename__ = "run"

    id: Mapped[int] = mapped_column(primary_key=True)
    directory_id: Mapped[int] = mapped_column(ForeignKey("directory.id", ondelete="CASCADE"))
    trigger: Mapped[str] = mapped_column(String(16))  # timer change console cli
    kind: Mapped[str] = mapped_column(String(16), default="keep")  # keep build import undo …
    status: Mapped[str] = mapped_column(String(16), index=True)
    started: Mapped[datetime] = mapped_column(index=True)
    finished: Mapped[datetime | None]
    phase: Mapped[str] = mapped_column(String(32), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    complete: Mapped[bool] = mapped_column(default=False)
    people: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ldap_operations: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    delay_seconds: Mapped[float | None]
    error: Mapped[str] = mapped_column(Text, default="")
    plan: Mapped[dict[str, Any] | None]
    fingerprint: Mapped[str] = mapped_column(String(64), default="")  # of the records planned on
    expires_at: Mapped[datetime | None]
    undo_of: Mapped[int | None] = mapped_column(ForeignKey("run.id", ondelete="SET NULL"))
    requested_by: Mapped[str] = mapped_column(String(255), default="")


class RunChange(Base):
    """The journal: one user or department changed by a run, before and after."""

    __tablename__ = "run_change"
    __table_args__ = (Index("ix_run_change_run_id", "run_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(16))  # create link update deactivate import …
    subject: Mapped[str] = mapped_column(String(16))  # user department
    guid: Mapped[str | None] = mapped_column(String(36), index=True)
    subject_id: Mapped[int | None]
    name: Mapped[str] = mapped_column(Text, default="")
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    error: Mapped[str] = mapped_column(Text, default="")


class RunRequest(Base):
    """Work asked of the sync service by another process; taken up within a second."""

    __tablename__ = "run_request"

    id: Mapped[int] = mapped_column(primary_key=True)
    directory_id: Mapped[int] = mapped_column(ForeignKey("directory.id", ondelete="CASCADE"))
    # plan build keep confirm discard undo import unimport
    kind: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    requested_by: Mapped[str] = mapped_column(String(255), default="")
    requested_at: Mapped[datetime]
    taken_at: Mapped[datetime | None] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id", ondelete="SET NULL"))
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str] = mapped_column(Text, default="")


class Lease(Base):
    """Who may run a sync now. `token` only grows: who lost the lease is fenced off by it."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(255), default="")
    token: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime | None]


class WebSession(Base):
    """A signed-in browser. The cookie holds a random id; only its SHA-256 is here."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user_id", "user_id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # hex digest of the cookie's id
    handle: Mapped[str] = mapped_column(String(32), unique=True)  # public name, OIDC `sid`
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    method: Mapped[str] = mapped_column(String(16))  # directory local kerberos
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(255), default="")


class Attempt(Base):
    """The throttle's count for one key (an account or an address), shared by all workers and hosts.

    `pending` attempts have been let through and not yet answered; they count like failures, so
    that parallel guesses cannot pass together. `counted_from` is where the window begins: an
    account's last attempt (as AD counts), an address's first. `generation` grows whenever
    `failures` starts anew, so that a late success cannot forgive what came after it.
    """

    __tablename__ = "attempt"

    key: Mapped[str] = mapped_column(String(96), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    pending: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=0)
    counted_from: Mapped[datetime] = mapped_column(index=True)


def _only(condition: str) -> dict[str, Any]:
    """An index of the rows for which this holds."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Audit(Base):
    """What happened, when, by whom, to whom. Append only; never a password or a token.

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
