"""How Alembic runs here: on the connection it is given, in the transaction that is open on it."""

from __future__ import annotations

from alembic import context

from kerauno.tables import oauth, phone_access  # noqa: F401 - their tables join the others
from kerauno.tables.core import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
