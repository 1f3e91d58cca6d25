"""Where a developer's side of a team lies on disk."""

from pathlib import Path

from inkling.folders import data_folder


def account_file() -> Path:
    """The address and the token."""
    return data_folder() / "team" / "account.json"


def progress_file() -> Path:
    """What was sent."""
    return data_folder() / "team" / "progress.json"


def members_file() -> Path:
    """The members of a service that runs here."""
    return data_folder() / "team" / "members.json"
