"""Cases are the same every time, put together they are the file, and their documents are of other files."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.evaluation.completion_cases import LONGEST, CompletionCase, NoPlacesError, Sizes, make_cases
from model.evaluation.completion_spans import TASKS
from model.evaluation.packages import SourcePackage
from model.prompt import Layout
from model.tokens import Tokens

SIZES = Sizes(documents=3, document=96, tail=120, suffix=32)


def module(name: str, imports: str = "") -> str:
    functions = [
        f"def {name}_{number}(first, second):\n"
        f"    total = first + {number}\n"
        f"    for step in range({number}):\n"
        f"        total += second * step\n"
        f"    return total\n"
        for number in range(8)
    ]
    return imports + "\n\n".join(functions)


MILL = SourcePackage(
    "mill",
    "1.0",
    {
        "mill/__init__.py": "from mill.grain import grain_3\n",
        "mill/flour.py": module("flour", "from mill import grain_3\nfrom .water import water_1\n\n\n"),
        "mill/grain.py": module("grain"),
        "mill/water.py": module("water"),
    },
)


@pytest.fixture(scope="module")
def layout(tiny_base: Path) -> Layout:
    return Layout(Tokens(tiny_base), SIZES.budget)


def of_flour(cases: tuple[CompletionCase, ...]) -> list[CompletionCase]:
    return [case for case in cases if case.path == "mill/flour.py"]


def test_the_same_seed_gives_the_same_cases_and_another_seed_others(layout: Layout):
    first = make_cases([MILL], layout, SIZES, 6, seed=1)
    assert make_cases([MILL], layout, SIZES, 6, seed=1) == first
    assert make_cases([MILL], layout, SIZES, 6, seed=2) != first
    assert [case.task for case in first] == [task for task in TASKS for _ in range(6)]


def test_a_smaller_run_begins_like_a_larger_one(layout: Layout):
    small, large = (make_cases([MILL], layout, SIZES, count) for count in (2, 5))
    for task in TASKS:
        assert [case for case in small if case.task == task] == [case for case in large if case.task == task][:2]


def test_put_together_a_case_is_its_file(layout: Layout):
    for case in make_cases([MILL], layout, SIZES, 12):
        assert case.prefix + case.middle + case.suffix == MILL.files[case.path]
        assert case.middle.strip()
        assert case.suffix.strip()
        assert len(layout.tokens.encode(case.middle)) <= LONGEST


def test_documents_are_of_other_files_and_fit_together(layout: Layout):
    for case in make_cases([MILL], layout, SIZES, 12):
        assert case.documents
        assert case.path not in {document.path for document in case.documents}
        assert len(layout.fitting(case.documents)) == len(case.documents)


def test_documents_that_define_what_is_imported_come_first(layout: Layout):
    cases = of_flour(make_cases([MILL], layout, SIZES, 12))
    assert cases
    for case in cases:
        assert [document.path for document in case.documents[:2]] == ["mill/grain.py", "mill/water.py"]
        assert "def grain_3" in case.documents[0].text
        assert "def water_1" in case.documents[1].text


def test_a_copy_of_the_file_is_no_document(layout: Layout):
    copied = replace(MILL, files={**MILL.files, "mill/old_flour.py": MILL.files["mill/flour.py"]})
    for case in of_flour(make_cases([copied], layout, SIZES, 12)):
        assert "mill/old_flour.py" not in {document.path for document in case.documents}


def test_a_middle_that_a_document_spells_is_marked(layout: Layout):
    cases = make_cases([MILL], layout, SIZES, 12)
    assert any(case.copied for case in cases)
    for case in cases:
        assert case.copied == any(case.middle in document.text for document in case.documents)


def test_a_request_shows_no_more_than_it_is_asked_to(layout: Layout):
    case = make_cases([MILL], layout, SIZES, 1)[0]
    bare, full = case.request(documents=False, suffix=False), case.request(documents=True, suffix=True)
    assert (bare.documents, bare.suffix) == ((), "")
    assert (full.documents, full.suffix) == (case.documents, case.suffix)
    assert bare.prefix == full.prefix == case.prefix


def test_packages_take_turns(layout: Layout):
    cases = make_cases([MILL, replace(MILL, name="twin")], layout, SIZES, 4)
    assert [case.package for case in cases[:4]] == ["mill==1.0", "twin==1.0"] * 2


@pytest.mark.parametrize(
    "files", [{}, {"alone.py": module("alone")}, {"a.py": "x = 1\n", "b.py": "y = 2\n"}], ids=["none", "one", "small"]
)
def test_a_package_without_places_is_named(layout: Layout, files: dict[str, str]):
    with pytest.raises(NoPlacesError, match=r"empty==2\.0: no place"):
        make_cases([MILL, SourcePackage("empty", "2.0", files)], layout, SIZES, 3)
