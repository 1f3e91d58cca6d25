"""A replayed cursor has parts of the files that were there, as the index finds them, and nothing stays behind."""

from pathlib import Path

import pytest

from index.database import database_path
from model.evaluation.replay_context import FolderContext
from model.prompt import Budget, Layout
from model.tokens import Tokens

PRICES = "def price_of(fruit: str) -> int:\n    return len(fruit)\n"
SHOP = "from prices import price_of\n\n\ndef total(fruits):\n    return sum("


@pytest.fixture(scope="module")
def layout(tiny_base: Path) -> Layout:
    return Layout(Tokens(tiny_base), Budget(documents=400, document=200, tail=120, suffix=32))


def test_what_is_imported_is_found_and_never_the_own_file(layout: Layout) -> None:
    with FolderContext(layout, 200, 400) as folder:
        found = folder.documents({"prices.py": PRICES, "shop.py": "price_of = 1\n"}, "shop.py", SHOP, "\n", ())
        assert [document.path for document in found] == ["prices.py"]
        assert found[0].text == PRICES


def test_files_are_those_of_the_moment(layout: Layout) -> None:
    with FolderContext(layout, 200, 400) as folder:
        dearer = PRICES.replace("len(fruit)", "2 * len(fruit)")
        for text in (PRICES, dearer, PRICES):
            (found,) = folder.documents({"prices.py": text}, "shop.py", SHOP, "\n", ())
            assert found.text == text
        assert folder.documents({"other.py": "pass\n"}, "shop.py", SHOP, "\n", ()) == ()


def test_only_what_fits_is_there(layout: Layout) -> None:
    with FolderContext(layout, 200, 3) as folder:
        assert folder.documents({"prices.py": PRICES}, "shop.py", SHOP, "\n", ()) == ()


def test_neither_folder_nor_index_stay(layout: Layout) -> None:
    with FolderContext(layout, 200, 400) as folder:
        folder.documents({"prices.py": PRICES}, "shop.py", SHOP, "\n", ())
        root = folder._root
        assert database_path(root).exists()
    assert not root.exists()
    assert not database_path(root).exists()
