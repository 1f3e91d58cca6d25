"""What acts on the user's text on their behalf, and never touches it directly.

Two ways in: `fix` mends one finding; `loop` lets a chat model work on a task with the tools of `toolbox`. Both try
edits on shadow copies and have them linted; what comes out are edits or proposals, and `undo` takes applied ones back
alone. `mcp_face` gives search, files and findings, only to read, to other agents. Knows nothing of the editor's
protocol: whoever calls passes the `Project` and the `Chat`, and decides what to apply.
"""
