"""The shape of the code: which floor may import which, what is heavy, how long a file may be.

Everything is read from the syntax trees of the tracked and untracked files; nothing is imported.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("server", "agent", "model", "feedback", "index")
FLOORS = {"server": 4, "agent": 3, "model": 2, "feedback": 1, "index": 1, "inkling": 0}
LONGEST = 450

# Importing one of these takes from half a second to many.
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "onnxruntime", "peft", "accelerate", "trl"}

# Outside `model/`, the modules that may import something heavy at their top because they are themselves only
# imported inside functions. Inside `model/` that is decided by who imports whom (see the test).
IMPORTED_LATE = {"index/embedding.py"}

# The one step upwards: the launcher hands over to the command line.
HAND_OVER = ("server/launch/inkling/__main__.py", "server.cli")

SQL = {"sqlalchemy", "sqlite3", "alembic"}
EDITOR = {"lsprotocol", "pygls"}
EMBEDDING = "index/embedding.py"


@dataclass(frozen=True)
class Import:
    """One imported module, where, and whether it happens as soon as the file itself is imported."""

    file: str
    line: int
    module: str
    at_once: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def files() -> tuple[str, ...]:
    """Our Python files, relative to the root."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found if "node_modules" not in path.parts))


def package_of(file: str) -> str:
    """The floor's name: the launcher in `server/launch/` is the ground."""
    return "inkling" if file.startswith("server/launch/inkling/") else file.partition("/")[0]


@cache
def imports() -> tuple[Import, ...]:
    return tuple(each for file in files() if file != "server/launch/build_hook.py" for each in imports_of(file))


def imports_of(file: str) -> Iterator[Import]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"), file)
    yield from _walk(tree, file, True)


def _walk(node: ast.AST, file: str, at_once: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(file, child.lineno, alias.name, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            yield Import(file, child.lineno, module, at_once)
            # `from index import search` may mean the module index.search
            names = [f"{module}.{alias.name}" for alias in child.names]
            yield from (Import(file, child.lineno, name, at_once) for name in names if _file_of(name))
        elif isinstance(child, ast.If) and _is_for_types(child.test):
            for other in child.orelse:
                yield from _walk(other, file, at_once)
        else:
            late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, file, at_once and not late)


def _is_for_types(test: ast.expr) -> bool:
    """`if TYPE_CHECKING:` never runs."""
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def test_a_floor_imports_only_the_floors_below_it() -> None:
    wrong = [
        str(each)
        for each in imports()
        if each.top in FLOORS
        and (each.file, each.module) != HAND_OVER
        and each.top != package_of(each.file)
        and FLOORS[each.top] >= FLOORS[package_of(each.file)]
    ]
    assert wrong == []


def test_no_import_is_relative() -> None:
    assert [str(each) for each in imports() if each.module.startswith(".")] == []


def test_no_code_imports_the_tests() -> None:
    assert [str(each) for each in imports() if each.top == "tests"] == []


def test_torch_stays_above_the_first_floor() -> None:
    wrong = [
        str(each)
        for each in imports()
        if package_of(each.file) in ("feedback", "index")
        and each.top in ("torch", "sentence_transformers", "transformers")
        and not (each.file == EMBEDDING and each.top != "transformers")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["model", "agent"])
def test_models_and_agents_know_no_editor_and_no_sql(package: str) -> None:
    assert [str(each) for each in imports() if package_of(each.file) == package and each.top in SQL | EDITOR] == []


def test_outside_the_model_nothing_heavy_is_imported_at_once() -> None:
    """Neither directly nor through our own modules: this is what keeps `inkling --help` and the server's start fast."""
    light = [file for file in files() if not file.startswith("model/") and file not in IMPORTED_LATE]
    wrong = {file: chain for file in light if (chain := _way_to_something_heavy(file, frozenset()))}
    assert wrong == {}


def _way_to_something_heavy(file: str, seen: frozenset[str]) -> str:
    """The chain of imports at module level that ends in a heavy package, or ""."""
    for each in _at_once().get(file, ()):
        if each.top in HEAVY:
            return str(each)
        target = _file_of(each.module)
        if target and target not in seen and (chain := _way_to_something_heavy(target, seen | {file})):
            return f"{each}; {chain}"
    return ""


@cache
def _at_once() -> dict[str, tuple[Import, ...]]:
    return {file: tuple(each for each in imports() if each.file == file and each.at_once) for file in files()}


@cache
def _file_of(module: str) -> str:
    """The file of one of our modules, "" for anybody else's."""
    place = module.replace(".", "/")
    return next((file for file in (f"{place}.py", f"{place}/__init__.py") if file in files()), "")


def test_the_list_of_late_modules_names_only_what_is_there() -> None:
    assert {place for place in IMPORTED_LATE if not (ROOT / place).exists()} == set()


def test_the_ground_needs_nothing_but_platformdirs() -> None:
    known = sys.stdlib_module_names | {"inkling", "platformdirs", "server"}
    assert [str(each) for each in imports() if package_of(each.file) == "inkling" and each.top not in known] == []


def test_no_file_is_too_long() -> None:
    lengths = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files()}
    assert {file: length for file, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("file", [file for file in files() if file.endswith("__init__.py")])
def test_every_folder_says_what_lives_in_it(file: str) -> None:
    assert (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").strip()


def test_every_module_opens_with_a_docstring() -> None:
    trees = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in files()}
    assert [file for file, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_every_folder_with_code_is_a_package() -> None:
    folders = {Path(file).parent for file in files() if not file.startswith("server/launch/")}
    folders -= {Path("feedback/migrations/versions")}  # scripts that alembic runs by their file's place
    assert [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


def test_no_module_is_named_after_nothing() -> None:
    nothing = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py", "manager.py"}
    assert [file for file in files() if Path(file).name in nothing] == []


def test_no_module_knows_where_somebodys_checkout_lies() -> None:
    found = [
        file
        for file in files()
        if any(root in (ROOT / file).read_text(encoding="utf-8") for root in ("/root/", "/home/runner"))
    ]
    assert found == []
