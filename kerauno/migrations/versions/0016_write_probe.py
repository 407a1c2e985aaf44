"""A row that readiness writes, to see that the database takes writes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; its one row is made when it is first written."""
    op.create_table(
        "write_probe",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("written_at", sa.DateTime(), nullable=False),
    )
