"""The guided tour: the whole ring, driven for real on a repository, and a report of what happened.

`editor` plays an editor over stdio against the real server in a child process, `positions` picks real places of
the repository, `stations` walks them one after the other, and `report` prints. Nothing here is used by the server.
"""
