"""When the directory says that a person's password was set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is filled at the next look, which ends nobody's sessions."""
    op.add_column("link", sa.Column("password_set", sa.DateTime(), nullable=True))
