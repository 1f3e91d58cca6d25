"""Where things lie on disk. `INKLING_HOME` moves all of it below one folder (tests, the tour, portable use)."""

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Models, adapters, the feedback database: what must not be lost."""
    home = os.environ.get("INKLING_HOME")
    return Path(home) / "data" if home else Path(platformdirs.user_data_dir("inkling", appauthor=False))


def cache_folder() -> Path:
    """Indexes and downloads: what can be made again."""
    home = os.environ.get("INKLING_HOME")
    return Path(home) / "cache" if home else Path(platformdirs.user_cache_dir("inkling", appauthor=False))


def config_folder() -> Path:
    """The user's own settings file."""
    home = os.environ.get("INKLING_HOME")
    return Path(home) / "config" if home else Path(platformdirs.user_config_dir("inkling", appauthor=False))


def models_folder() -> Path:
    """Downloaded base and embedding weights, one folder each. `INKLING_MODELS` shares them between homes."""
    shared = os.environ.get("INKLING_MODELS")
    return Path(shared) if shared else data_folder() / "models"


def adapters_folder() -> Path:
    """LoRA adapters and the registry that says which one is champion."""
    return data_folder() / "adapters"


def feedback_database() -> Path:
    """The SQLite file with suggestions, outcomes and consent."""
    return data_folder() / "feedback.sqlite"


def index_folder() -> Path:
    """One SQLite file per workspace, with the vectors in it."""
    return cache_folder() / "index"


def documents_folder() -> Path:
    """Documents as the model has read them, so that they need not be read again."""
    return cache_folder() / "documents"


def logs_folder() -> Path:
    """Log files of the server and of nights."""
    return cache_folder() / "logs"
