"""Browsers in which a person has signed in before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the key by which a user's known browsers are told."""
    op.add_column("user", sa.Column("browser_key", sa.String(length=32), nullable=True))
