"""The steps. Alembic runs them by their file's place; nobody imports them."""
