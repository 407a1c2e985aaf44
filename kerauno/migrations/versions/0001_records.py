"""The platform's records: users, numbers, departments, sessions, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The platform's records: users, numbers, departments, sessions, audit."""
    _directory()
    _users()
    _departments()
    _signing_in()


def _directory() -> None:
    """The directory's settings, and what was last known of it."""
    op.create_table(
        "directory",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("sealed_password", sa.Text(), nullable=False),
        sa.Column("auto_sync", sa.Boolean(), nullable=False),
        sa.Column("login_without_domain", sa.Boolean(), nullable=False),
        sa.Column("ring_group_first", sa.String(length=10), nullable=True),
        sa.Column("ring_group_last", sa.String(length=10), nullable=True),
        sa.Column("sync_interval", sa.Integer(), nullable=False),
        sa.Column("reserve_days", sa.Integer(), nullable=False),
        sa.Column("guard_count", sa.Integer(), nullable=False),
        sa.Column("guard_percent", sa.Integer(), nullable=False),
        sa.Column("role_groups", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("updated_by", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_directory"),
        sa.UniqueConstraint("name", name="uq_directory_name"),
    )
    op.create_table(
        "directory_state",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.String(length=255), nullable=False),
        sa.Column("usn", sa.Integer(), nullable=False),
        sa.Column("cookie", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", sa.DateTime(), nullable=True),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("lockout_threshold", sa.Integer(), nullable=True),
        sa.Column("lockout_window", sa.Integer(), nullable=True),
        sa.Column("lockout_read_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_directory_state_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("directory_id", name="pk_directory_state"),
    )


def _users() -> None:
    """Users and their ties to people in the directory."""
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("username_key", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("first_name", sa.String(length=255), nullable=False),
        sa.Column("last_name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("deactivated_at", sa.DateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("role IN ('user', 'manager', 'admin')", name=op.f("ck_user_role")),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("email_key", name="uq_user_email_key"),
        sa.UniqueConstraint("subject", name="uq_user_subject"),
        sa.UniqueConstraint("username_key", name="uq_user_username_key"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_user_search", "user", ["username_key", "email_key", "first_name", "last_name"]
        )
    op.create_index(
        "ix_user_order", "user", [sa.text("lower(last_name)"), sa.text("lower(first_name)"), "id"]
    )
    op.create_table(
        "link",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("principal_key", sa.String(length=320), nullable=True),
        sa.Column("account_key", sa.String(length=255), nullable=True),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("linked_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "origin IN ('sync', 'sign-in', 'admin', 'department')", name=op.f("ck_link_origin")
        ),
        sa.CheckConstraint("scope IN ('full', 'login')", name=op.f("ck_link_scope")),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_link_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_link_user_id_user", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name="pk_link"),
        sa.UniqueConstraint("directory_id", "guid", name="uq_link_directory_id_guid"),
    )
    op.create_index("ix_link_account_key", "link", ["account_key"])
    op.create_index("ix_link_principal_key", "link", ["principal_key"])
    op.create_table(
        "held_out",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("held_at", sa.DateTime(), nullable=False),
        sa.Column("held_by", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_held_out_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_held_out_user_id_user", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("directory_id", "guid", name="pk_held_out"),
    )
    op.create_table(
        "link_proposal",
        sa.Column("directory_id", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"],
            ["directory.id"],
            name="fk_link_proposal_directory_id_directory",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_link_proposal_user_id_user", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("directory_id", "guid", name="pk_link_proposal"),
    )


def _departments() -> None:
    """Departments, ring groups, and the number space."""
    op.create_table(
        "department",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("directory_id", sa.Integer(), nullable=True),
        sa.Column("guid", sa.String(length=36), nullable=True),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("imported_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["directory_id"], ["directory.id"], name="fk_department_directory_id_directory"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_department"),
        sa.UniqueConstraint("directory_id", "guid", name="uq_department_directory_id_guid"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ring_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("department_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("strategy", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["department_id"],
            ["department.id"],
            name="fk_ring_group_department_id_department",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ring_group"),
        sa.UniqueConstraint("department_id", name="uq_ring_group_department_id"),
    )
    op.create_table(
        "membership",
        sa.Column("department_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("static", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["department_id"],
            ["department.id"],
            name="fk_membership_department_id_department",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_membership_user_id_user", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("department_id", "user_id", name="pk_membership"),
    )
    op.create_index("ix_membership_user_id", "membership", ["user_id"])
    op.create_table(
        "number",
        sa.Column("number", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("ring_group_id", sa.Integer(), nullable=True),
        sa.Column("reserved_until", sa.DateTime(), nullable=True),
        sa.CheckConstraint("ltrim(number, '0123456789') = ''", name=op.f("ck_number_digits")),
        sa.CheckConstraint(
            "(user_id IS NULL) <> (ring_group_id IS NULL)", name=op.f("ck_number_one_holder")
        ),
        sa.CheckConstraint("length(number) BETWEEN 2 AND 10", name=op.f("ck_number_length")),
        sa.ForeignKeyConstraint(
            ["ring_group_id"],
            ["ring_group.id"],
            name="fk_number_ring_group_id_ring_group",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_number_user_id_user", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_number"),
        sa.UniqueConstraint("ring_group_id", name="uq_number_ring_group_id"),
        sa.UniqueConstraint("user_id", name="uq_number_user_id"),
    )


def _signing_in() -> None:
    """Sessions, the throttle and the audit."""
    op.create_table(
        "session",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("handle", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_session_user_id_user", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sa.UniqueConstraint("handle", name="uq_session_handle"),
    )
    op.create_index("ix_session_expires_at", "session", ["expires_at"])
    op.create_index("ix_session_user_id", "session", ["user_id"])
    op.create_table(
        "attempt",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("counted_from", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_attempt"),
    )
    op.create_index("ix_attempt_counted_from", "attempt", ["counted_from"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("event", sa.String(length=48), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("guid", sa.String(length=36), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_audit_user_id_user", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    some = sa.text("code <> ''")
    op.create_index("ix_audit_code", "audit", ["code"], sqlite_where=some, postgresql_where=some)
    op.create_index("ix_audit_event", "audit", ["event"])
    some = sa.text("guid IS NOT NULL")
    op.create_index(
        "ix_audit_guid_at", "audit", ["guid", "at"], sqlite_where=some, postgresql_where=some
    )
    op.create_index("ix_audit_user_id_at", "audit", ["user_id", "at"])
