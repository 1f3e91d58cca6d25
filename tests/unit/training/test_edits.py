"""Exercises at lines that were written between two versions: what stands around them, and where they come from."""

import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feedback.records import RECENT_EDITS, SIMILAR_EDITS
from model.document import Document
from model.positions import Sequential
from model.recent_edits import path_for
from model.tokens import Tokens
from model.training import edit_corpus
from model.training.corpus import Corpus, MissingPackageError, Package
from model.training.corpus_file import read_corpus, write_corpus
from model.training.corpus_files import CodeFile
from model.training.edits import EditExercises, EditShape, Mixed, Written
from model.training.exercises import END, MIDDLE
from model.training.rows import Row

LINES = tuple(f"    total = total + width * {n}" for n in range(12))
PLACE = Written(
    "some/a.py",
    "def area(width):\n",
    LINES,
    "    return total\n",
    tuple(range(12)),
    (
        Document(path_for(".py", SIMILAR_EDITS), "total = 1\n", SIMILAR_EDITS),
        Document(path_for(".py", RECENT_EDITS), "width = 2\n", RECENT_EDITS),
        Document("some/b.py", "height = 3\n"),
    ),
)
SHAPE = EditShape(
    documents=160, document=60, tails=(90,), suffixes=(20,), masked_share=1.0, no_suffix_share=0.0,
    no_edits_share=0.0, no_document_share=0.0, no_name_share=0.0,
)  # fmt: skip


def drawn(base: Path, count: int = 40, **changes: Any) -> list[Row]:
    shape = EditShape(**{**vars(SHAPE), **changes})
    exercises = EditExercises({"some": (PLACE,)}, Tokens(base), Sequential(), shape)
    return [exercises.draw(np.random.default_rng([3, number])) for number in range(count)]


def texts(row: Row, base: Path) -> dict[int, str]:
    tokens = Tokens(base)
    blocks = dict.fromkeys(row.blocks)
    return {
        block: tokens.decode(token for token, own in zip(row.tokens, row.blocks, strict=True) if own == block).decode()
        for block in blocks
    }


def middles(row: Row, base: Path) -> list[tuple[str, bool]]:
    """What is to be written in each tail, without what is written again of the text before it, and whether it ends."""
    tokens = Tokens(base)
    found = []
    for tail in sorted({block for block in row.blocks if block < 0}, reverse=True):
        own = [place for place, block in enumerate(row.blocks) if block == tail]
        written = tokens.decode(row.tokens[place] for place in own if row.weights[place] == MIDDLE).decode().lstrip()
        found.append((written, row.weights[own[-1]] == END))
    return found


def test_the_same_seed_draws_the_same(tiny_base: Path) -> None:
    assert drawn(tiny_base) == drawn(tiny_base)
    assert len({row.tokens for row in drawn(tiny_base)}) > 20


def test_whoever_writes_sees_the_lines_above_and_the_old_text_below(tiny_base: Path) -> None:
    for row in drawn(tiny_base):
        found = texts(row, tiny_base)
        assert [found[block].split("\n")[1] for block in (1, 2, 3)] == ["total = 1", "width = 2", "height = 3"]
        for tail in (text for block, text in found.items() if block < 0):
            head = "some/a.py\n\n    return total\n"
            assert tail.startswith(head)
            assert tail.removeprefix(head).removeprefix(PLACE.above) in "\n".join(LINES)


def test_a_line_ends_and_a_piece_that_goes_on_does_not(tiny_base: Path) -> None:
    asked = [each for row in drawn(tiny_base, line_share=1.0) for each in middles(row, tiny_base)]
    assert all(ends and "\n" not in written for written, ends in asked)
    pieces = [each for row in drawn(tiny_base, line_share=0.0) for each in middles(row, tiny_base)]
    assert {ends for _, ends in pieces} == {True, False}
    for written, ends in pieces:
        assert written.count("\n") == 7 or ends
        assert ends == written.endswith(LINES[-1][-2:])


def test_a_place_that_goes_on_does_not_end(tiny_base: Path) -> None:
    shape = replace(SHAPE, line_share=0.0)
    exercises = EditExercises({"some": (replace(PLACE, goes_on=True),)}, Tokens(tiny_base), Sequential(), shape)
    rows = [exercises.draw(np.random.default_rng([3, number])) for number in range(20)]
    assert not any(ends for row in rows for _, ends in middles(row, tiny_base))


def test_documents_are_left_out_now_and_then(tiny_base: Path) -> None:
    shown = Counter(max(row.blocks) for row in drawn(tiny_base, no_edits_share=0.5, no_document_share=0.5))
    assert set(shown) == {0, 1, 2, 3}
    assert all(max(row.blocks) == 0 for row in drawn(tiny_base, masked_share=0.0))


def test_both_kinds_are_mixed_by_their_share(tiny_base: Path) -> None:
    class Counted:
        def __init__(self, row: Row) -> None:
            self.row, self.count = row, 0

        def draw(self, random: np.random.Generator) -> Row:
            self.count += 1
            return self.row

    some, others = (Counted(row) for row in drawn(tiny_base, 2))
    mixed = Mixed(some, others, 0.25)
    for number in range(400):
        mixed.draw(np.random.default_rng(number))
    assert 70 < some.count < 130
    assert some.count + others.count == 400


def wheel(folder: Path, version: str, files: dict[str, str]) -> Path:
    path = folder / f"some-{version}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def code(name: str, changed: str = "") -> str:
    functions = (f"def {name}_{n}(width, height):\n    return width * height + {n}\n" for n in range(12))
    return f'"""About {name}."""\n\n\n' + "\n\n".join(functions) + changed


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    files = {name: code(name) for name in ("area", "volume", "kept")}
    new = {
        "area": code("area", "\n\ndef area_of(shape):\n    return area_1(shape.width, shape.height)\n"),
        "volume": code("volume", "\n\ndef volume_of(shape):\n    return volume_1(shape.width, shape.height)\n"),
        "kept": code("kept", "\n\nsecret_plan = area_of(volume_of)\n"),
    }
    wheels = {
        "1.0": wheel(tmp_path, "1.0", {f"some/{name}.py": text for name, text in files.items()}),
        "2.0": wheel(tmp_path, "2.0", {f"some/{name}.py": text for name, text in new.items()}),
    }
    monkeypatch.setattr(edit_corpus, "fetched", lambda package: wheels[package.version])
    return Package("some", "2.0", "MIT", "0" * 64, earlier="1.0", earlier_sha256="1" * 64)


def test_places_are_what_was_written_with_the_like_of_it_beside(package: Package, tiny_base: Path) -> None:
    forbidden = CodeFile("other", "some/kept.py", code("kept", "\n\nsecret_plan = area_of(volume_of)\n"), {})
    fingerprints = frozenset({edit_corpus.fingerprint(forbidden.text)})
    places = edit_corpus.written_of(package, tiny_base, fingerprints)
    assert {place.path for place in places} == {"some/area.py", "some/volume.py"}
    first, second = places
    name = first.path.removeprefix("some/").removesuffix(".py")
    assert first.lines[-2:] == (f"def {name}_of(shape):", f"    return {name}_1(shape.width, shape.height)")
    assert (first.above + "\n".join(first.lines) + "\n" + first.below).startswith(f'"""About {name}."""')
    assert not any(document.unit in (SIMILAR_EDITS, RECENT_EDITS) for document in first.documents)
    newest = next(document for document in second.documents if document.unit == RECENT_EDITS)
    assert f"{name}_of(shape)" in newest.text


def test_what_the_earlier_version_had_is_not_written(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was too small to be read, and has grown."""
    small = "def area(width, height):\n    return width * height\n"
    wheels = {
        "1.0": wheel(tmp_path, "1.0", {"some/a.py": small}),
        "2.0": wheel(tmp_path, "2.0", {"some/a.py": small + "\n\n" + code("volume")}),
    }
    monkeypatch.setattr(edit_corpus, "fetched", lambda package: wheels[package.version])
    places = edit_corpus.written_of(Package("some", "2.0", "MIT", "0" * 64, earlier="1.0"), tiny_base)
    assert [place.goes_on for place in places] == [True] * (len(places) - 1) + [False]
    assert len(places) > 1
    assert places[0].above == small
    assert sum(len(place.lines) for place in places) == code("volume").count("\n") + 2


def test_a_held_out_package_gives_nothing_and_a_missing_version_is_named(
    package: Package, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = replace(package, name="kept", held_out=True)
    assert edit_corpus.load_written([kept, replace(package, earlier="")], tiny_base) == {}

    def gone(package: Package) -> Path:
        raise MissingPackageError("gone")

    monkeypatch.setattr(edit_corpus, "fetched", lambda one: gone(one) if one.version == "1.0" else tiny_base)
    with pytest.raises(MissingPackageError, match=r"some 1.0 cannot be had.*`earlier_sha256`"):
        edit_corpus.load_written([package], tiny_base)


def test_places_travel_with_the_corpus(package: Package, tiny_base: Path, tmp_path: Path) -> None:
    places = edit_corpus.written_of(package, tiny_base)
    write_corpus(Corpus((package,), {}, {}, {}, {"some": places}), tmp_path / "corpus.xz")
    again = read_corpus(tmp_path / "corpus.xz")
    assert again.written == {"some": places}
    assert again.packages == (package,)
