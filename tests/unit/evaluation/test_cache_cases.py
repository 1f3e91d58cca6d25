"""Cases are the same every time, read nothing of what they ask for, and mark the names that only other files tell."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.evaluation.cache_cases import NoCasesError, Sizes, elsewhere, make_cases
from model.evaluation.cache_units import imports_of, names_in, units_of
from model.evaluation.packages import SourcePackage, read_folder
from model.prompt import Budget, Layout
from model.tokens import Tokens

SIZES = Sizes(documents=3, document=96, tail=120, continuation=16)


@pytest.fixture(scope="module")
def layout(tiny_base: Path) -> Layout:
    return Layout(Tokens(tiny_base), Budget(documents=288, attended=288, document=96, tail=120, suffix=0))


@pytest.fixture(scope="module")
def package(shop: Path) -> SourcePackage:
    return read_folder(shop)


def words(text: str) -> list[bytes]:
    """Pieces as a tokenizer might cut them: a word with the space before it."""
    return [(b" " if number else b"") + word.encode() for number, word in enumerate(text.split(" "))]


def test_the_same_seed_gives_the_same_cases_and_another_seed_others(layout: Layout, package: SourcePackage):
    first = make_cases([package], package, layout, SIZES, 6, seed=1)
    assert make_cases([package], package, layout, SIZES, 6, seed=1) == first
    assert make_cases([package], package, layout, SIZES, 6, seed=2) != first
    assert len(first) == 6


def test_a_smaller_run_begins_like_a_larger_one(layout: Layout, package: SourcePackage):
    assert make_cases([package], package, layout, SIZES, 2) == make_cases([package], package, layout, SIZES, 5)[:2]


def test_prefix_and_rest_are_the_file_and_the_tail_ends_where_the_continuation_begins(
    layout: Layout, package: SourcePackage
):
    tokens = layout.tokens
    for case in make_cases([package], package, layout, SIZES, 6):
        assert case.prefix + case.rest == package.files[case.path]
        assert len(case.prefix) > len(case.rest) or case.prefix.count("\n") > 5
        tail = tokens.decode(case.tail).decode()
        assert tail.startswith(case.path + "\n")
        assert case.prefix.endswith(tail.removeprefix(case.path + "\n"))
        assert case.rest.startswith(tokens.decode(case.continuation).decode())
        assert len(case.continuation) == SIZES.continuation == len(case.elsewhere)


def test_documents_are_of_other_files_those_that_are_imported_first(layout: Layout, package: SourcePackage):
    cases = make_cases([package], package, layout, SIZES, 8)
    assert {case.path for case in cases} == {"shop/orders.py", "shop/report.py"}
    for case in cases:
        assert case.path not in {document.path for document, _ in case.documents}
        assert all(len(ids) <= SIZES.document for _, ids in case.documents)
        assert len(case.documents) == SIZES.documents
    order = next(case for case in cases if case.path == "shop/orders.py")
    assert [document.path for document, _ in order.documents][:2] == ["shop/prices.py", "shop/notes.py"]


def test_a_copy_of_the_file_is_no_document(layout: Layout, package: SourcePackage):
    copied = replace(package, files={**package.files, "shop/old_orders.py": package.files["shop/orders.py"]})
    cases = make_cases([copied], copied, layout, SIZES, 6)
    for case in (case for case in cases if case.path == "shop/orders.py"):
        assert "shop/old_orders.py" not in {document.path for document, _ in case.documents}


def test_wrong_documents_are_of_the_other_package(layout: Layout, package: SourcePackage):
    other = SourcePackage("other", "", {f"other/{name}.py": text for name, text in package.files.items()})
    alone = make_cases([package], other, layout, SIZES, 2)
    both = make_cases([package, replace(package, name="twin")], other, layout, SIZES, 2)
    assert all(document.path.startswith("other/") for case in alone for document, _ in case.wrong)
    assert all(document.path.startswith("shop/") for case in both for document, _ in case.wrong)


def test_packages_take_turns(layout: Layout, package: SourcePackage):
    twin = replace(package, name="twin")
    cases = make_cases([package, twin], package, layout, SIZES, 4)
    assert [case.package for case in cases] == ["shop", "twin", "shop", "twin"]


def test_a_package_without_a_place_to_measure_at_is_named(layout: Layout, package: SourcePackage):
    lonely = SourcePackage("lonely", "1.0", {"lonely.py": package.files["shop/prices.py"]})
    with pytest.raises(NoCasesError, match=r"lonely==1\.0.*--documents"):
        make_cases([lonely], package, layout, SIZES, 2)


@pytest.mark.parametrize(
    ("before", "continuation", "after", "known", "marked"),
    [
        ("x = ", "fetch ( url )", "", {"fetch"}, ["fetch"]),
        ("fetch = ", "fetch ( url )", "", {"fetch"}, []),  # the tail has it already
        ("x = ", "fetch + fetch", "", {"fetch"}, ["fetch"]),  # and after its first time the continuation has it
        ("x = ", "fetched ( url )", "", {"fetch"}, []),  # another name
        ("x = fe", "tch ( url )", "", {"fetch"}, []),  # the tail has begun it
        ("x = ", "url . fet", "ch()", {"fetch"}, [" fet"]),  # cut off by the end, and still that name
        ("x = ", "url . fet", "ched()", {"fetch"}, []),
        ("x = ", "a b", "", set(), []),
    ],
)
def test_names_that_stand_only_in_other_files_are_marked(
    before: str, continuation: str, after: str, known: set[str], marked: list[str]
):
    pieces = words(continuation)
    marks = elsewhere(before.encode(), pieces, after.encode(), frozenset(known))
    found = [piece.decode() for piece, mark in zip(pieces, marks, strict=True) if mark]
    assert found == marked


def test_every_piece_of_a_marked_name_is_marked():
    pieces = [b" Http", b"Client", b"(", b"url", b")"]
    marks = elsewhere(b"x =", pieces, b"", frozenset({"HttpClient"}))
    assert marks == (True, True, False, False, False)


def test_names_are_those_of_code_without_words_of_comments_strings_and_the_language():
    code = 'class Client(Base):\n    """Sends things."""\n    def send(self, *, to):  # quickly\n        len(to.name)\n'
    assert names_in(code) == {"Client", "Base", "send", "to", "name"}
    assert names_in("def broken(") == {"broken"}


def test_units_are_the_file_in_parts_each_with_what_it_defines(layout: Layout, package: SourcePackage):
    text = package.files["shop/prices.py"]
    units = units_of("shop/prices.py", text, layout.tokens, 96)
    assert len(units) > 2
    assert "".join(unit.text for unit in units) == text
    assert frozenset().union(*(unit.defines for unit in units)) == {"Price", *(f"Price{number}" for number in range(8))}
    assert all(f"class {name}:" in unit.text for unit in units for name in unit.defines)
    assert units_of("a.py", "def broken(", layout.tokens, 96) == ()


def test_imports_name_files_of_the_package_and_what_is_taken_from_them():
    files = dict.fromkeys(["p/__init__.py", "p/a.py", "p/q/__init__.py", "p/q/b.py", "p/q/c.py"], "")
    text = "import os\nimport p.a\nfrom . import b\nfrom .c import x, y\nfrom .. import q\nfrom p import z\n"
    found = [(each.path, each.names, each.line) for each in imports_of("p/q/d.py", text, files)]
    assert found == [
        ("p/a.py", (), 2),
        ("p/q/b.py", (), 3),
        ("p/q/c.py", ("x", "y"), 4),
        ("p/q/__init__.py", (), 5),
        ("p/__init__.py", ("z",), 6),
    ]
