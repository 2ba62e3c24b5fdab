"""Run by Alembic: applies the migrations on the connection that `store.upgrade` hands it."""

from alembic import context

from verbatim.store.tables import Table
from verbatim.store.upgrade import CONNECTION

context.configure(
    connection=context.config.attributes[CONNECTION],
    target_metadata=Table.metadata,
    # SQLite can alter little in place; Alembic copies the table where it cannot.
    render_as_batch=True,
)
context.run_migrations()
