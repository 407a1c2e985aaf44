"""Less to write for each sign-in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop what only the hourly clearing out looked at, and each sign-in had to keep up.

    On SQLite the throttle's counts move into a table that is its own index.
    """
    op.drop_index("ix_session_expires_at", "session")
    op.drop_index("ix_attempt_counted_from", "attempt")
    if op.get_bind().dialect.name != "sqlite":
        return
    op.rename_table("attempt", "attempt_before")
    op.create_table(
        "attempt",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("counted_from", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_attempt"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO attempt SELECT key, failures, pending, generation, counted_from "
        "FROM attempt_before"
    )
    op.drop_table("attempt_before")
