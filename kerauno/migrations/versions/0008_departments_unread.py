"""Why departments wait, apart from why nothing could be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the reason why the Department Search DN could not be read."""
    op.add_column(
        "directory_state", sa.Column("unread", sa.Text(), nullable=False, server_default="")
    )
