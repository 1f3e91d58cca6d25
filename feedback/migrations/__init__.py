"""How the tables came about: one file per step in `versions/`, run by `feedback.database` from inside the package.

In comes an open connection, out comes a database at `feedback.schema.REVISION`. Steps are never edited once released.
"""
