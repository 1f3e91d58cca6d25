"""What is offered to a completion: imported definitions first, then similar code, never the file itself."""

from pathlib import Path

import pytest

from index.builder import Builder
from index.context import Ask, Catalog, imported_files
from index.relevance import WRITTEN, Features, Relevance, install, installed, relevance_file
from index.search import Search
from tests.growth import growth
from tests.unit.index.workspace import repository

ENGINE = "class Engine:\n    def ignite(self, spark: int) -> bool:\n        return spark > 3\n"
FILES: dict[str, str | bytes] = {
    "app/main.py": "from app.engine import Engine\n\n\ndef run():\n    Engine().ignite(4)\n",
    "app/engine.py": ENGINE,
    "app/wheels/__init__.py": "def rotate(turns):\n    return turns\n",
    "app/similar.py": "def drive(engine):\n    engine.ignite(spark=5)\n    rotate(turns=3)\n",
    "web/main.ts": "import { Motor } from './motor';\n",
    "web/motor.ts": "export class Motor {\n  start(): void {}\n}\n",
    "web/gear/index.ts": "export function shift(gear: number) {}\n",
    "notes.md": "# ignite\n\nThe engine and its spark.\n",
    "src/pump.h": "int prime_pump(int strokes);\n",
    "src/main.c": '#include "pump.h"\nint main(void) { return 0; }\n',
    "java/shop/Basket.java": "package shop;\nclass Basket { int total() { return 0; } }\n",
    "java/shop/app/Main.java": "package shop.app;\nimport shop.Basket;\nclass Main {}\n",
}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    root = repository(tmp_path / "workspace", FILES)
    Builder(root, None).build()
    return Search(root, None)


def found(search: Search, path: str, prefix: str, suffix: str = "", limit: int = 5, max_chars: int = 5000) -> list[str]:
    return [hit.path for hit in search.context(Ask(path, prefix, suffix, limit, max_chars))]


@pytest.mark.parametrize(
    ("path", "prefix", "first"),
    [
        ("app/main.py", "from app.engine import Engine\n\nEngine().", "app/engine.py"),
        ("app/main.py", "from .engine import (\n    Engine,  # fast\n)\n", "app/engine.py"),
        ("app/main.py", "from . import engine\n\nengine.Engine().ignite", "app/engine.py"),
        ("app/main.py", "from . import (  # (all of it)\n    engine,\n)\n\nengine.Engine()", "app/engine.py"),
        ("app/main.py", "import app.engine\n\napp.engine.Engine", "app/engine.py"),
        ("app/main.py", "from app.wheels import rotate as turn\n", "app/wheels/__init__.py"),
        ("app/main.py", "from workspace.app.engine import Engine\n", "app/engine.py"),
        ("tests/test_it.py", "from ..app.engine import Engine\n", "app/engine.py"),
        ("web/main.ts", "import { Motor } from './motor';\nnew Motor().", "web/motor.ts"),
        ("web/main.ts", "import { Motor } from './motor.js';\nnew Motor().", "web/motor.ts"),
        ("web/main.ts", "const { shift } = require('./gear');\nshift(", "web/gear/index.ts"),
        ("web/deep/main.ts", "import type { Motor } from '../motor'\nlet m: Motor", "web/motor.ts"),
    ],
)
def test_what_is_imported_comes_first(search: Search, path: str, prefix: str, first: str) -> None:
    assert found(search, path, prefix)[0] == first


def test_similar_code_in_the_same_language_comes_without_an_import(search: Search) -> None:
    assert set(found(search, "new.py", "car.ignite(spark=")) == {"app/similar.py", "app/engine.py", "app/main.py"}


def test_the_active_file_is_never_offered(search: Search) -> None:
    assert "app/engine.py" not in found(search, "app/engine.py", ENGINE + "from app.engine import Engine\nignite spark")


@pytest.mark.parametrize(
    ("path", "prefix", "first"),
    [
        ("src/main.c", "prime_pump(", "src/pump.h"),
        ("java/shop/app/Main.java", "new Basket().", "java/shop/Basket.java"),
    ],
)
def test_what_the_index_knows_to_be_imported_comes_first(search: Search, path: str, prefix: str, first: str) -> None:
    assert found(search, path, prefix)[0] == first


def test_the_definition_of_a_name_near_the_cursor_comes_before_its_uses(search: Search) -> None:
    assert found(search, "new.py", "def f(car):\n    car.ignite(")[0] == "app/engine.py"


def test_what_was_edited_a_moment_ago_takes_part(search: Search) -> None:
    ask = Ask("new.py", "nothing_known = ", "", 5, 5000, (("notes.md", 2), ("gone.py", 1), ("app/engine.py", 1)))
    assert [hit.path for hit in search.context(ask)] == ["notes.md", "app/engine.py"]


def test_weights_may_say_that_nothing_helps(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", FILES)
    Builder(root, None).build()
    install(Relevance(WRITTEN.weights._replace(always=-9.0), "night-1"))
    assert found(Search(root, None), "app/main.py", "from app.engine import Engine\n\nEngine().") == []


def test_weights_that_make_no_sense_are_not_used() -> None:
    install(Relevance(Features(shared=0.5), "night-1"))
    assert installed() == Relevance(Features(shared=0.5), "night-1")
    relevance_file().write_text('{"name": "night-2", "weights": {"imported": 1}}')
    assert installed() == WRITTEN


def test_limits_hold(search: Search) -> None:
    prefix = "from app.engine import Engine\nEngine().ignite(spark, rotate(turns"
    assert len(found(search, "new.py", prefix, limit=1)) == 1
    hits = search.context(Ask("new.py", prefix, "", 9, 100))
    assert hits
    assert sum(len(hit.text) for hit in hits) <= 100


@pytest.mark.parametrize("prefix", ["from .....engine import Engine\n", "import os, json\n", "from x import *\n"])
def test_what_is_no_file_of_the_workspace_is_not_imported(prefix: str) -> None:
    catalog = Catalog(files={"app/engine.py": 1}, by_name={"engine.py": ["app/engine.py"]})
    assert imported_files("app/main.py", prefix, catalog) == {}


@pytest.mark.parametrize(
    "prefix",
    [
        "from " + "." * 39_000,
        "from" + " " * 39_000,
        "from a import (\n" * 2500,
        "import " + "a." * 19_000 + "b",
        "from a import (" + "#" * 39_000,
        "from a import (#" * 2500,
        "from a import (\n" + "#(\n" * 9000,
    ],
)
def test_no_text_takes_long_to_be_read_for_imports(prefix: str) -> None:
    catalog = Catalog(package="a", files={"app/engine.py": 1}, by_name={"engine.py": ["app/engine.py"]})
    assert imported_files("app/main.py", prefix, catalog) == {}
    assert growth(lambda size: imported_files("app/main.py", prefix[:size], catalog), 4_000, 32_000) < 24  # not 64


def test_what_is_named_twice_leaves_room_for_others(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.context.MOST_READ", 2)
    prefix = "from app.engine import Engine\n\nEngine().ignite(spark=rotate("  # it is imported, and two of its names
    assert len(found(search, "new.py", prefix)) == 2
