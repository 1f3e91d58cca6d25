"""What Inkling knows about a workspace: files cut into chunks, their words and their embeddings.

A folder comes in; ranked chunks (`Hit`) and definitions (`Symbol`) go out. Each workspace has a SQLite file of its
own, vectors are shared by all. Nothing here is worth a backup: every byte can be made again from the folder and the
embedding model. What is shipped for that model lies in `weights/`; `lora` reads it, and adapters for the floor above;
`lexical`, `rankings` and `late` compare a question with chunks by words, by name and meaning, and part by part;
`fusion` makes one ranking of that. `housekeeping` removes what is kept about folders that are gone. `globs` reads
patterns of paths without ever waiting; `priority` lets a process of ours give way to the user's.
"""
