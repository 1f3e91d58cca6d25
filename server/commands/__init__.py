"""What a person types after `inkling`, grouped: one module per group, each with `register(app)`.

A command parses its options, calls the floors below, and prints: rich tables for people, one JSON value on
standard output with `--json`. It imports what it needs when it runs, so that `inkling --help` stays instant.
"""
