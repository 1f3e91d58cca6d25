"""How the tables of an index came about: one file per step in `versions/`, run by `index.database` from in here.

In comes an open connection, out comes a database at `index.database.REVISION`. Steps are never edited once released.
"""
