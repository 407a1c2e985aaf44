"""Names of audited events in one style."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NOW = {
    "app.sign-in": "app-sign-in",
    "app.sign-out": "app-sign-out",
    "app.consent": "app-consent",
    "app.device": "app-device",
    "user.synced": "user-synced",
    "user.desynced": "user-desynced",
    "directory-saved": "settings-saved",  # by command; in the console it had that name
}


def upgrade() -> None:
    """Give the events that are kept their present names, so that one filter finds all of a kind."""
    rename = sa.text("UPDATE audit SET event = :after WHERE event = :before")
    for before, after in _NOW.items():
        op.get_bind().execute(rename, {"before": before, "after": after})
