"""The team service: facts from people who chose to share them, nights on all of them, adapters back to everybody.

`members` and `ingest` and `dashboard` make up `service`, which an admin runs; `account` and `sync` are what a
developer's machine does.
"""
