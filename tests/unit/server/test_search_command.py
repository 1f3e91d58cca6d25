"""`inkling search` and `inkling index`: what a shell is told, how long it waits, and whose settings count."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.builder import Builder
from index.database import IndexFullError, lock
from index.embedding import EncoderFailedError
from index.search import Search
from model.weights import MissingWeightsError
from server.commands import code
from tests.unit.index.workspace import CountingEncoder, write

FILES: dict[str, str | bytes] = {
    f"{place}/{n}.py": f"def erupt_{n}():\n    return '{place} volcano'\n" for place in ("src", "docs") for n in "abc"
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(code, "_weights", lambda name: tmp_path)
    monkeypatch.setattr("index.embedding.Embedder", lambda folder: CountingEncoder())
    write(tmp_path, FILES)
    return tmp_path


@pytest.fixture
def settings(inkling_home: Path) -> Path:
    """The user's own settings file."""
    (inkling_home / "config").mkdir()
    return inkling_home / "config" / "settings.toml"


def found(told: pytest.CaptureFixture[str], root: Path, query: str, **options: Any) -> tuple[list[dict[str, Any]], str]:
    """The hits of a search, and what it said beside them."""
    code.search(query, root=root, as_json=True, **options)
    out, err = told.readouterr()
    return json.loads(out), " ".join(err.split())


def test_only_files_that_match_are_searched(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits, _ = found(capsys, root, "volcano", path="src/**")
    assert {hit["path"] for hit in hits} == {"src/a.py", "src/b.py", "src/c.py"}


def test_what_is_indexed_is_searched_while_another_process_builds(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Builder(root, None).build()
    with lock(root):
        hits, _ = found(capsys, root, "volcano")
    assert len(hits) == 6


def test_a_search_does_not_wait_until_everything_is_embedded(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hasty:
        hasty.setattr(code, "_PATIENCE", 0.0)
        hits, told = found(capsys, root, "volcano")
        assert len(hits) == 6
        assert "`inkling index` embeds the rest" in told
    assert Search(root, None).stats()["embedded"] == 0
    _, told = found(capsys, root, "volcano")
    assert "inkling index" not in told
    assert Search(root, None).stats()["embedded"] == 6


def test_the_users_limit_counts_and_what_is_left_out_is_said(
    root: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.write_text("[index]\nmaxFiles = 2\n")
    hits, told = found(capsys, root, "volcano")
    assert len(hits) == 2
    assert "Only the first 2 files" in told
    assert "index.maxFiles" in told


def test_an_index_is_built_and_counted(root: Path, settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text("[index]\nmaxFiles = 4\n")
    code.index(root, embedding="none", as_json=True)
    code.index(root, embedding="none", max_files=5, stats=True, as_json=True)
    built, counted = capsys.readouterr().out.split("}\n{")
    assert json.loads(built + "}") == json.loads("{" + counted)
    assert json.loads(built + "}")["files"] == 4


def missing(name: str) -> Path:
    raise MissingWeightsError(f"The weights {name!r} are not here. Run `inkling models pull`.")


def test_without_weights_an_index_and_a_search_go_by_words_and_say_so(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "_weights", missing)
    code.index(root, as_json=True)
    assert "Search goes by words only" in capsys.readouterr().err
    hits, told = found(capsys, root, "volcano")
    assert len(hits) == 6
    assert "Search goes by words only" in told
    assert "inkling models pull" in told


def test_no_weights_are_looked_for_where_words_are_wanted_or_only_numbers(
    root: Path, settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "_weights", missing)
    code.index(root, stats=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["files"] == 0
    settings.write_text("[index]\nembedding = 'none'\n")
    hits, told = found(capsys, root, "volcano")
    assert len(hits) == 6
    assert "weights" not in told


def test_an_encoder_that_fails_is_told_and_words_are_searched(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(CountingEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise EncoderFailedError("The encoder failed.")

    monkeypatch.setattr("index.embedding.Embedder", lambda folder: Failing())
    hits, told = found(capsys, root, "volcano")
    assert len(hits) == 6
    assert "The encoder failed." in told


def test_what_is_indexed_is_searched_when_the_disk_is_full(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise IndexFullError("The disk has no room.")

    Builder(root, None).build()
    monkeypatch.setattr(Builder, "build_words", full)
    hits, told = found(capsys, root, "volcano")
    assert len(hits) == 6
    assert "The disk has no room." in told
