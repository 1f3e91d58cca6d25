"""The base that nights are tried on: tiny, made once a session, and it knows its language."""

from pathlib import Path

import pytest

from tests.unit.training.tiny_language import make_base


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of downloaded weights."""
    folder = tmp_path_factory.mktemp("tiny-base")
    make_base(folder)
    return folder
