"""The table of what desk phones read the phone book with."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from kerauno.tables.core import Base


class PhoneAccess(Base):
    """An address under which phones of one make read the phone book. Only a digest is kept.

    `kind` is the make, which decides the XML: yealink, grandstream or cisco.
    """

    __tablename__ = "phone_access"
    __table_args__ = (CheckConstraint("kind IN ('yealink', 'grandstream', 'cisco')", name="kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(255), default="")
    used_at: Mapped[datetime | None]
    used_from: Mapped[str] = mapped_column(String(64), default="")
