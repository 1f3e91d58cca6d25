"""What Inkling knows about a workspace: files cut into chunks, their words and their embeddings, in one SQLite file.

A folder comes in; ranked chunks (`Hit`) and definitions (`Symbol`) go out. Nothing here is worth a backup: every byte
can be made again from the folder and the embedding model.
"""
