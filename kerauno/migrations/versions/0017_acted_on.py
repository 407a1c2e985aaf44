"""On whose word the records rest, and since when the server that answers lags behind it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_STATE = sa.table(
    "directory_state",
    sa.column("directory_id", sa.Integer()),
    sa.column("server_id", sa.String()),
    sa.column("usn", sa.Integer()),
    sa.column("acted_on", sa.JSON()),
)


def upgrade() -> None:
    """Add the columns. What was last read is what was acted on, as far as is known."""
    for column in (
        sa.Column("acted_on", sa.JSON(none_as_null=True), nullable=False, server_default="{}"),
        sa.Column("lagging", sa.Text(), nullable=False, server_default=""),
        sa.Column("lagging_since", sa.DateTime(), nullable=True),
    ):
        op.add_column("directory_state", column)
    here = op.get_bind()
    read = sa.select(_STATE.c.directory_id, _STATE.c.server_id, _STATE.c.usn)
    for directory_id, server_id, usn in here.execute(read.where(_STATE.c.server_id != "")).all():
        mark = {server_id: {"usn": usn, "cookie": "", "server": ""}}
        change = sa.update(_STATE).where(_STATE.c.directory_id == directory_id)
        here.execute(change.values(acted_on=mark))
