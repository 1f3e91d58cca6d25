"""What an editor, a shell or a browser talks to: the language server, the `inkling` command, the linters,
the team service.

In come protocol messages and command lines; out go suggestions, diagnostics, search results and reports.
It holds no model maths and no SQL: handlers take what a message says and call the floors below.
"""
