"""The owner of a kept request and the session that is asked: requests of strangers are bounded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of requests again: those in it last fifteen minutes, and start again."""
    op.drop_table("authorization_request")
    op.create_table(
        "authorization_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("params", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("owner", sa.String(length=160), nullable=False),
        sa.Column("session_handle", sa.String(length=32), nullable=True),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["client.id"],
            name="fk_authorization_request_client_id_client",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_authorization_request"),
    )
    for column in ("client_id", "owner", "expires_at"):
        op.create_index(f"ix_authorization_request_{column}", "authorization_request", [column])
    op.add_column(
        "device_grant",
        sa.Column("owner", sa.String(length=160), server_default="", nullable=False),
    )
    op.create_index("ix_device_grant_owner", "device_grant", ["owner"])
