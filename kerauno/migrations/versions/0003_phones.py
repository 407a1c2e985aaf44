"""Access of desk phones to the phone book."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Access of desk phones to the phone book."""
    op.create_table(
        "phone_access",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.Column("used_from", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "kind IN ('yealink', 'grandstream', 'cisco')", name=op.f("ck_phone_access_kind")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_phone_access"),
        sa.UniqueConstraint("token_digest", name="uq_phone_access_token_digest"),
    )
