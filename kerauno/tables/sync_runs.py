"""Runs of the sync, their journal, the requests for them, and who may run now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from kerauno.tables.base import Base


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
    """The lease of the process that may run a sync. `token` only grows and fences off earlier
    holders."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(255), default="")
    token: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime | None]
