"""A folder for the disk tier, and somebody who is told of its trouble."""

from pathlib import Path

import pytest

from tests.unit.model.cache.folder import Reports


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "documents"
