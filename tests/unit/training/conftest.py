"""The base that nights are tried on: tiny, made once a session, and it knows its language."""

from pathlib import Path

import pytest

from model.prompt import Budget, Format, Layout
from model.tokens import Tokens
from tests.unit.training.tiny_language import make_base


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of downloaded weights."""
    folder = tmp_path_factory.mktemp("tiny-base")
    make_base(folder)
    return folder


@pytest.fixture(scope="module")
def layout(tiny_base: Path) -> Layout:
    """Small windows of that base, which fills in the middle."""
    tokens = Tokens(tiny_base)
    return Layout(
        tokens, Budget(documents=200, document=80, tail=60, grid=4, suffix=20), Format.of(tokens, fills_middle=True)
    )
