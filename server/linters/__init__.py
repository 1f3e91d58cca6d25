"""The linters: language servers that run as children (ruff, pyright), and any other command whose output is matched.

The unsaved text of a document comes in, `agent.findings.Finding`s go out. A linter that is missing, slow, broken or
hostile costs its own findings and one message, never the server's event loop and never the other linters' findings.
"""
