"""Since when the directory says that a linked person may not sign in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is filled at the next look."""
    op.add_column("link", sa.Column("refused_since", sa.DateTime(), nullable=True))
