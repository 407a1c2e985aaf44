"""The mirror: what the directory was last seen to hold. Written by the sync service alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from kerauno.tables.base import Base, Sorted

LOGIN_ORDER = "substr(lower(coalesce(login, '')), 1, 128)"
EXTENSION_ORDER = "substr(coalesce(extension, ''), 1, 32)"
"""By what people are sorted, in words that the index and the query must share to the letter."""


class SeenPerson(Base):
    """The mirror: a recognized person as AD was last seen to hold them. Rewritten only on change.

    `state`: one of `kerauno.sync.directory_mirror.STATES`. `conflicts` are the plan's own, as data.
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
