"""A small package to measure on, and the tiny base of the model tests."""

from pathlib import Path

import pytest

from tests.unit.evaluation.replay_language import make_reader
from tests.unit.model.conftest import make_adapter, tiny_base  # noqa: F401


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that reads pages of the tiny language."""
    folder = tmp_path_factory.mktemp("reader")
    make_reader(folder)
    return folder


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An import package of four files; `orders` and `report` import others, `prices` and `notes` do not."""
    folder = tmp_path_factory.mktemp("packages") / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("from shop.prices import Price\n")
    (folder / "prices.py").write_text(_module("Price", "amount"))
    (folder / "notes.py").write_text(_module("Note", "words"))
    (folder / "orders.py").write_text(
        f"from shop import Price\nfrom .notes import Note\n\n\n{_module('Order', 'lines')}"
    )
    (folder / "report.py").write_text(f"from . import orders\n\n\n{_module('Report', 'pages')}")
    return folder


def _module(name: str, field: str) -> str:
    classes = [
        f"class {name}{number}:\n"
        f"    def __init__(self, {field}):\n"
        f"        self.{field} = {field}\n\n"
        f"    def {field}_of_{number}(self, other):\n"
        f"        return [self.{field}, other.{field}, {number}]\n"
        for number in range(8)
    ]
    return f"class {name}:\n    {field} = 0\n\n\n" + "\n\n".join(classes)
