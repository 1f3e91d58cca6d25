"""The one top-level name that an installed Inkling adds to an environment.

It holds the launcher (`__main__`) and the ground that every other package stands on: errors that are
shown to a person, the folders on disk, how large files are told apart, and the way to start a child
process, git among them. It imports nothing but the standard library and platformdirs, so that `inkling --version` costs
milliseconds.
"""

__version__ = "0.1.0"
