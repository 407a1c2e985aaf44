"""When an attempt was let through last, and how many ended without an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. What is under way counts as let through long ago: services restart now."""
    op.add_column(
        "attempt", sa.Column("doubtful", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "attempt",
        sa.Column("taken_at", sa.DateTime(), nullable=False, server_default="2000-01-01 00:00:00"),
    )
