"""The handlers of the language server, one module per part of the protocol.

Each module has one `register(server)`. A handler takes text, version and position out of the message before
its first `await`, calls the session, and turns the answer into protocol types; it is about fifteen lines.
"""
