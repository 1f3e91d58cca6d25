"""What the search encoder is taught with, and that what it learned is what search then uses."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.embedding import Embedder, fingerprint
from index.lora import UnusableAdapterError
from index.shipped_encoder import shipped
from model.training.checkpoints import CHECKPOINT_FILE
from model.training.corpus import Corpus, Package
from model.training.corpus_files import CodeFile
from model.training.late_training import HeadOptions
from model.training.search_pairs import Library, Pair, batches, library
from model.training.search_shipping import NoAdapterError, make_search_adapter
from model.training.search_training import SearchOptions, SearchPace, reciprocal_ranks, train_encoder
from model.weights import resolve

SOURCE = '''"""Shapes."""


class Circle:
    """All points that are equally far from one."""

    def area(self):
        """How much of the plane lies inside of it."""
        return 3.14 * self.radius**2

    def grow(self, factor):
        """Make it larger by a factor."""
        self.radius *= factor


def short():
    """Too short."""
'''
OPTIONS = SearchOptions(steps=10, batch=16, rank=4, alpha=8, learning_rate=3e-3, checkpoint_seconds=0.0)
# Nothing tells which of them belong together: that has to be learned.
TAUGHT = tuple(Pair(f"where is thing {n} made", f"def f{(7 * n) % 16}():\n    return {n * n}") for n in range(16))


def file(path: str, text: str) -> CodeFile:
    return CodeFile("shapes", path, text, {})


def test_a_question_is_a_docstring_and_its_chunk_has_none():
    found = library([file("shapes/circle.py", SOURCE), file("shapes/circle.js", "/** x */ function area() {}")])
    assert [pair.question for pair in found.pairs] == [
        "How much of the plane lies inside of it.",
        "Make it larger by a factor.",
    ]
    for pair in found.pairs:
        assert pair.chunk in found.chunks
        assert pair.question not in pair.chunk
    assert "radius**2" in found.pairs[0].chunk


def test_a_file_that_does_not_parse_asks_nothing():
    assert library([file("shapes/broken.py", "def (")]) == Library((), ())


def test_batches_are_of_one_package_each_and_the_same_again():
    pairs = {name: [Pair(f"{name} {n}", f"{name} {n}") for n in range(40)] for name in ("a", "b")}
    drawn = list(islice(batches(pairs, 20, 0), 8))
    assert drawn == list(islice(batches(pairs, 20, 0), 8))
    assert all(len({pair.question[0] for pair in batch}) == 1 for batch in drawn)
    assert len({pair.question for batch in drawn[:4] for pair in batch}) == 80
    assert not list(batches({"a": pairs["a"][:5]}, 20, 0))


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("search")
    return out, train_encoder(folder, {"things": TAUGHT}, options=OPTIONS, out=out, record={"name": "x"}, threads=1)


@pytest.mark.weights
def test_what_was_learned_is_what_search_uses(folder: Path, trained: tuple[Path, dict[str, Any]]):
    out, record = trained
    held = {"things": Library(TAUGHT, tuple(pair.chunk for pair in TAUGHT))}
    plain, tuned = (Embedder(folder, adapter=adapter, threads=1) for adapter in (None, out))
    before, after = (reciprocal_ranks(each.encode, held, 16)["things"] for each in (plain, tuned))
    assert after > before + 0.2
    assert record["losses"][-1] < record["losses"][0]
    assert plain.model != tuned.model
    assert not (out / CHECKPOINT_FILE).exists()


@pytest.mark.weights
def test_both_encoders_read_the_adapter_alike(folder: Path, trained: tuple[Path, dict[str, Any]]):
    texts = [pair.chunk for pair in TAUGHT]
    ours, theirs = (Embedder(folder, adapter=trained[0], threads=1, onnx=onnx) for onnx in (True, False))
    assert ((ours.encode(texts) * theirs.encode(texts)).sum(axis=1) > 0.99).all()


@pytest.mark.weights
def test_a_killed_training_ends_as_if_it_had_not_been(
    folder: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path
):
    from safetensors.numpy import load_file

    class KilledError(Exception):
        pass

    def die(pace: SearchPace) -> None:
        if pace.step == 4:
            raise KilledError

    def again(progress: Any) -> None:
        train_encoder(
            folder, {"things": TAUGHT}, options=OPTIONS, out=tmp_path, record={}, threads=1, progress=progress
        )  # fmt: skip

    with pytest.raises(KilledError):
        again(die)
    seen: list[int] = []
    again(lambda pace: seen.append(pace.step))
    assert seen[0] == 4  # the third was the last that was saved
    expected, found = (load_file(place / "adapter_model.safetensors") for place in (trained[0], tmp_path))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


@pytest.mark.weights
def test_an_adapter_is_only_for_the_weights_that_it_was_made_for(
    folder: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path
):
    place = tmp_path / "all-minilm-l6-v2"
    place.symlink_to(trained[0])
    assert shipped("all-minilm-l6-v2", fingerprint(folder), tmp_path) == place
    assert shipped("all-minilm-l6-v2", "00000000", tmp_path) is None
    assert shipped("another", fingerprint(folder), tmp_path) is None


@pytest.mark.weights
def test_an_adapter_of_something_else_is_refused(folder: Path, tmp_path: Path):
    from safetensors.numpy import save_file

    names = {"A": (2, 7), "B": (7, 2)}
    tensors = {
        f"base_model.model.encoder.lora_{side}.weight": np.zeros(size, np.float32) for side, size in names.items()
    }
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 2}))
    with pytest.raises(UnusableAdapterError, match="another base"):
        Embedder(folder, adapter=tmp_path, threads=1).encode(["x"])


@pytest.mark.weights
def test_the_record_names_what_was_trained_on_and_figures_of_what_was_not(tmp_path: Path):
    def written(name: str, count: int) -> tuple[CodeFile, ...]:
        one = 'def make_{n}():\n    """Make the thing of number {n} again."""\n    return {n}\n\n\n'
        return (
            CodeFile(name, f"{name}.py", "".join(one.format(n=n) * 1 + "#" * 600 + "\n" for n in range(count)), {}),
        )

    packages = (Package("ours", "1", "MIT", "0"), Package("theirs", "1", "MIT", "0", held_out=True))
    corpus = Corpus(packages, {"ours": written("ours", 24)}, {"theirs": written("theirs", 24)}, {})
    record = make_search_adapter(
        "all-minilm-l6-v2", tmp_path, corpus, options=replace(OPTIONS, steps=2), late=HeadOptions(passes=1), measure=5,
        threads=1,
    )  # fmt: skip
    assert record["questions"] == 24
    assert [(package["name"], package["held_out"]) for package in record["corpus"]] == [
        ("ours", False),
        ("theirs", True),
    ]
    assert set(record["held_out"]["weights"]) == set(record["held_out"]["adapter"]) == {"theirs"}
    assert json.loads((tmp_path / "metadata.json").read_text()) == record
    adapter = (tmp_path / "adapter_model.safetensors").read_bytes()
    again = make_search_adapter(
        "all-minilm-l6-v2", tmp_path, corpus, options=OPTIONS, late=HeadOptions(passes=2), late_only=True, measure=0,
        threads=1,
    )  # fmt: skip
    assert len(again.pop("late")["losses"]) == 2
    assert again == {name: value for name, value in record.items() if name != "late"}
    assert (tmp_path / "adapter_model.safetensors").read_bytes() == adapter


def test_a_head_needs_an_adapter_below_it(tmp_path: Path):
    with pytest.raises(NoAdapterError, match="leave --late-only out"):
        make_search_adapter(
            "all-minilm-l6-v2", tmp_path, Corpus((), {}, {}, {}), options=OPTIONS, late=HeadOptions(), late_only=True
        )
