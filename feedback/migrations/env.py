"""Where Alembic starts, on a connection opened by `feedback.database`. There is no alembic.ini and no offline mode."""

from alembic import context

from feedback.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
