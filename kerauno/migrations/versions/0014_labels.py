"""Departments get labels: names in headers and claims that no look-alike shares."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kerauno.accounts.department_labels import (
    Labels,  # the key must be the running version's, which compares by it
)
from kerauno.base.visible_text import visible

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_DEPARTMENT = sa.table(
    "department",
    *map(sa.column, ("id", "directory_id", "guid", "name", "label", "label_key")),
)
_SEEN = sa.table("seen_department", *map(sa.column, ("directory_id", "guid", "name")))
_SAME = sa.and_(
    _SEEN.c.directory_id == _DEPARTMENT.c.directory_id, _SEEN.c.guid == _DEPARTMENT.c.guid
)
_NAME = sa.func.coalesce(_SEEN.c.name, _DEPARTMENT.c.name)


def upgrade() -> None:
    """Add the columns and label the departments that there are.

    Names were stored without the signs that nobody sees; the mirror still has these. Who bears a
    name without any comes first, then who was imported first.
    """
    label = sa.Column("label", sa.Text(), server_default="", nullable=False)
    label_key = sa.Column("label_key", sa.String(length=64), server_default="", nullable=False)
    for column in (label, label_key):
        op.add_column("department", column)
    here = op.get_bind()
    rows = here.execute(
        sa.select(_DEPARTMENT.c.id, _DEPARTMENT.c.guid, _NAME).select_from(
            _DEPARTMENT.outerjoin(_SEEN, _SAME)
        )
    ).all()
    labels = Labels(set())
    for id, guid, name in sorted(rows, key=lambda row: (visible(row[2]) != row[2], row[0])):
        given, key = labels.give(name[:255], guid)
        here.execute(
            sa.update(_DEPARTMENT).where(_DEPARTMENT.c.id == id).values(label=given, label_key=key)
        )
    op.create_index("ix_department_label_key", "department", ["label_key"], unique=True)
