"""The records of a sync: the mirror of the directory, and its runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOGIN_ORDER = "substr(lower(coalesce(login, '')), 1, 128)"
EXTENSION_ORDER = "substr(coalesce(extension, ''), 1, 32)"


def upgrade() -> None:
    """The records of a sync: the mirror of the directory, and its runs."""
    _mirror()
    _runs()


def _mirror() -> None:
    """The directory as it was last read."""
    op.create_table(
        "seen_person",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("login", sa.Text(), nullable=True),
        sa.Column("login_attribute", sa.String(length=64), nullable=False),
        sa.Column("extension", sa.Text(), nullable=True),
        sa.Column("extension_attribute", sa.String(length=64), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=True),
        sa.Column("principal_name", sa.Text(), nullable=True),
        sa.Column("account_state", sa.String(length=16), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("conflicts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column(
            "sort_key",
            sa.String(length=512).with_variant(sa.String(length=512, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_seen_person_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_seen_person_user_id_user", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("directory_id", "guid", name="pk_seen_person"),
    )
    op.create_index(
        "ix_seen_person_directory_sort", "seen_person", ["directory_id", "sort_key", "guid"]
    )
    op.create_index(
        "ix_seen_person_directory_state",
        "seen_person",
        ["directory_id", "state", "sort_key", "guid"],
    )
    op.create_index(
        "ix_seen_person_directory_login",
        "seen_person",
        ["directory_id", sa.text(LOGIN_ORDER), "guid"],
    )
    op.create_index(
        "ix_seen_person_directory_extension",
        "seen_person",
        ["directory_id", sa.text(EXTENSION_ORDER), "guid"],
    )
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL's index entries are limited in length
        op.create_index(
            "ix_seen_person_directory_search",
            "seen_person",
            ["directory_id", "state", "search_text", "guid"],
        )
    op.create_table(
        "seen_department",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("path", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("conflicts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_seen_department_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("directory_id", "guid", name="pk_seen_department"),
    )
    op.create_table(
        "seen_member",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("department_guid", sa.String(length=36), nullable=False),
        sa.Column("person_guid", sa.String(length=36), nullable=False),
        sa.Column("via", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_seen_member_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "directory_id", "department_guid", "person_guid", name="pk_seen_member"
        ),
    )
    op.create_index("ix_seen_member_person", "seen_member", ["directory_id", "person_guid"])


def _runs() -> None:
    """Runs, their journal, requests for them, and the lease."""
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("finished", sa.DateTime(), nullable=True),
        sa.Column("phase", sa.String(length=32), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("ldap_operations", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("delay_seconds", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("plan", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("undo_of", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_run_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["undo_of"], ["run.id"], name="fk_run_undo_of_run", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )
    op.create_index("ix_run_started", "run", ["started"])
    op.create_index("ix_run_status", "run", ["status"])
    op.create_table(
        "run_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=True),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name="fk_run_change_run_id_run", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_run_change"),
    )
    op.create_index("ix_run_change_guid", "run_change", ["guid"])
    op.create_index("ix_run_change_run_id", "run_change", ["run_id", "id"])
    op.create_table(
        "run_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("requested_at", sa.DateTime(), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_run_request_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name="fk_run_request_run_id_run", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_run_request"),
    )
    op.create_index("ix_run_request_taken_at", "run_request", ["taken_at"])
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
