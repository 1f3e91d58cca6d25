"""What was offered is read before what was written; weights change only where that is better on later text."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feedback.examples import Example
from feedback.records import ContextDocument
from index.relevance import WRITTEN, install
from model.training.network import load_network
from model.training.relevance import Lose, RelevanceOptions, figures_of, learn_relevance, night_relevance
from model.training.sft import SftOptions, TrainingCancelledError, with_fresh_adapter
from tests.unit.training.tiny_language import HABITS, written

IMPORTED = ContextDocument("engine.py", "class Engine:\n    def ignite(self, spark):\n        return spark\n")
SIMILAR = ContextDocument("other/notes.py", "engine.ignite(spark)\n")
OPTIONS = RelevanceOptions(least=20)


def region(number: int, documents: Sequence[ContextDocument] = (IMPORTED, SIMILAR)) -> Example:
    one = written(HABITS, 1, start=number)[0]
    return replace(one, prefix="from engine import Engine\n\nEngine().ignite(spark", documents=tuple(documents))


def losing(helps: str, noise: float = 0.02) -> Lose:
    """A model for which the document of this path lowers the loss, and any other raises it."""
    random = np.random.default_rng(0)

    def lose(examples: Sequence[Example]) -> np.ndarray:
        gains = [sum(0.3 if d.path == helps else -0.1 for d in example.documents) for example in examples]
        return 2.0 - np.array(gains) + noise * random.standard_normal(len(gains))

    return lose


def test_figures_are_those_of_the_moment_without_what_only_it_knew() -> None:
    imported, similar = figures_of(region(1))
    assert list(imported[:2]) == [1.0, 1.0]
    assert list(similar[:2]) == [0.0, 0.0]
    assert imported[2] > similar[2] == 0.0
    assert (imported[5], imported[6], imported[7]) == (0.0, 0.0, 1.0)


def test_weights_follow_what_helped(tmp_path: Path) -> None:
    file = tmp_path / "relevance.json"
    verdict = learn_relevance([region(n) for n in range(60)], losing("other/notes.py"), "night-1", OPTIONS, file=file)
    assert verdict.status == "installed", verdict.reason
    assert not file.exists(), "that is left to whoever keeps the record"
    relevance = verdict.relevance
    assert relevance is not None
    assert relevance.name == "night-1"
    imported, similar = (relevance.score(WRITTEN.weights._make(row)) for row in figures_of(region(1)))
    assert similar > 0 > imported


def test_where_nothing_helps_nothing_is_chosen_any_more(tmp_path: Path) -> None:
    file = tmp_path / "relevance.json"
    verdict = learn_relevance([region(n) for n in range(60)], losing("nowhere.py"), "night-1", OPTIONS, file=file)
    assert verdict.status == "installed"
    assert verdict.figures["worth_before"] < -0.05
    assert verdict.figures["worth_after"] == 0.0


def test_chance_installs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "relevance.json"
    random = np.random.default_rng(3)

    def lose(examples: Sequence[Example]) -> np.ndarray:
        return 2.0 + 0.2 * random.standard_normal(len(examples))

    verdict = learn_relevance([region(n) for n in range(60)], lose, "night-1", OPTIONS, file=file)
    assert (verdict.status, verdict.relevance) == ("refused", None)


def test_weights_start_from_those_in_use(tmp_path: Path) -> None:
    file = tmp_path / "relevance.json"
    install(replace(WRITTEN, weights=WRITTEN.weights._replace(similar=7.0), name="night-0"), file)
    verdict = learn_relevance([region(n) for n in range(60)], losing("other/notes.py"), "night-1", OPTIONS, file=file)
    assert verdict.relevance is not None
    assert verdict.relevance.weights.similar == 7.0, "what no night can see stays"
    assert "relevance" not in verdict.plain


def test_whoever_cancels_is_heard_between_two_regions(tmp_path: Path) -> None:
    lose, read = losing("engine.py"), list[int]()

    def counted(examples: Sequence[Example]) -> np.ndarray:
        read.append(len(examples))
        return lose(examples)

    with pytest.raises(TrainingCancelledError):
        learn_relevance([region(n) for n in range(60)], counted, "n", OPTIONS, lambda: len(read) == 30, tmp_path / "r")
    assert len(read) == 30


@pytest.mark.parametrize(("count", "seconds"), [(5, 60.0), (60, 0.0)])
def test_too_little_data_or_time_is_said(tmp_path: Path, count: int, seconds: float) -> None:
    options = replace(OPTIONS, seconds=seconds)
    verdict = learn_relevance([region(n) for n in range(count)], losing("engine.py"), "n", options, file=tmp_path / "r")
    assert verdict.status == "skipped"
    assert "20 are needed" in verdict.reason


def test_a_network_reads_the_documents(tiny_base: Path, tmp_path: Path) -> None:
    examples = [replace(one, documents=(ContextDocument("b.py", f"{one.prefix}{one.target}\n"),)) for one in
                written(HABITS, 60)]  # fmt: skip
    model = with_fresh_adapter(load_network(tiny_base, []), SftOptions(rank=2))
    verdict = night_relevance(
        examples, model, tiny_base, None, "cpu", "night-1", 60.0, lambda: False, time.monotonic, tmp_path / "none.json"
    )
    found = verdict.plain
    assert (found["status"] in ("installed", "refused"), found["read"]) == (True, 60)
    assert found["later"] == 18
