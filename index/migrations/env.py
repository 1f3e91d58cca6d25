"""Where Alembic starts, on a connection opened by `index.database`. There is no alembic.ini and no offline mode."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
