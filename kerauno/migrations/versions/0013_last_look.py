"""When the sync service last looked at the directory with success, apart from its heartbeat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is filled at the next look."""
    op.add_column("directory_state", sa.Column("looked_at", sa.DateTime(), nullable=True))
