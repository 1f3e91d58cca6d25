"""The ranking by words: only chunks that may be among the best are scored, with the result of scoring all."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from index import lexical
from index.builder import Builder
from index.lexical import Counts, by_words, weights_of
from index.rankings import Filter
from index.store import Store
from tests.unit.index.workspace import repository, write

WORDS = ("lava", "ash", "rock", "crater", "dust", "smoke", "vent", "magma")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """120 chunks in which some words are common and others rare."""
    choose = random.Random(0)
    odds = [2.0**-place for place in range(len(WORDS))]
    files = {f"{n}.py": " ".join(choose.choices(WORDS, odds, k=choose.randint(1, 40))) + "\n" for n in range(120)}
    root = repository(tmp_path / "lexical", dict(files))
    Builder(root, None).build()
    store = Store.reader(root)
    assert store is not None
    yield store
    store.close()


@pytest.mark.parametrize("depth", [3, 30, 1000])
@pytest.mark.parametrize("path", [None, "*1.py"])
def test_whoever_leaves_out_chunks_finds_the_same_best(
    store: Store, depth: int, path: str | None, monkeypatch: pytest.MonkeyPatch
):
    where = Filter(path).condition(store.database)
    choose = random.Random(1)
    queries = [" ".join(choose.sample(WORDS, choose.randint(1, 5))) for _ in range(40)]
    weights = [weights_of(store.database, query) for query in queries]
    expected = [by_words(store.database, words, depth, *where) for words in weights]
    monkeypatch.setattr(lexical, "_FEW", 0)
    asked: list[str] = []
    store.database.set_trace_callback(asked.append)
    assert [by_words(store.database, words, depth, *where) for words in weights] == expected
    store.database.set_trace_callback(None)
    assert any("+words.rowid" in sql for sql in asked) == (depth < 1000 and path is None)


def test_a_word_beyond_all_that_may_be_looked_at_is_left_out(store: Store, monkeypatch: pytest.MonkeyPatch):
    weights = weights_of(store.database, "lava magma")
    rare = by_words(store.database, {"magma": weights["magma"]}, 100, "", [])
    assert 0 < len(rare) < len(by_words(store.database, weights, 100, "", []))
    monkeypatch.setattr(lexical, "MOST_PLACES", len(rare) + 1)
    assert by_words(store.database, weights, 100, "", []) == rare
    assert by_words(store.database, {"lava": weights["lava"]}, 3, "", []), "the first is taken at any rate"


def test_spellings_of_one_word_are_one_word(tmp_path: Path):
    root = repository(tmp_path / "marks", {"a.py": "# é\n"})
    Builder(root, None).build()
    store = Store.reader(root)
    assert store is not None
    assert len(weights_of(store.database, "é è e")) == 1
    store.close()


def test_an_index_that_does_not_know_how_many_chunks_it_has_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = repository(tmp_path / "uncounted", {f"{n}.py": f"lava = ash * {n}\n" for n in range(20)})
    with Builder(root, None) as builder:
        builder.build()
        database = builder._open_store().database
        database.execute("DELETE FROM facts WHERE name = 'chunks'")
        monkeypatch.setattr(lexical, "_FEW", 0)
        assert len(by_words(database, weights_of(database, "lava ash"), 5, "", [])) == 5


def test_no_words_find_nothing(store: Store):
    assert by_words(store.database, weights_of(store.database, "unheard"), 10, "", []) == []


def test_words_are_counted_anew_when_a_tenth_of_the_chunks_changed(tmp_path: Path):
    root = repository(tmp_path / "workspace", {f"{number}.py": f"spark = {number}\n" for number in range(20)})
    builder = Builder(root, None)
    builder.build()
    every, common = Counts(), Counts(least=22)

    def counted() -> tuple[int, int]:
        store = Store.reader(root)
        assert store is not None
        found = [counts.of(store.database, ["spark", "unheard"]) for counts in (every, common)]
        store.close()
        return found[0]["spark"], found[1]["spark"]

    assert counted() == (20, 20)
    write(root, {"one more.py": "spark = 20\n"})
    builder.build()
    assert counted() == (20, 21)  # a little old; what is not common is counted each time
    write(root, {"another.py": "spark = 21\n"})
    builder.build()
    assert counted() == (22, 22)
    write(root, {"and one.py": "spark = 22\n"})
    builder.build()
    assert counted() == (22, 22)


def test_counts_do_not_grow_without_end(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lexical, "MOST_COUNTS", 3)
    counts = Counts()
    assert set(counts.of(store.database, WORDS[:3])) == set(WORDS[:3])
    assert set(counts.of(store.database, WORDS[2:5])) == set(WORDS[2:5])
    assert len(counts.known) == 3
