"""Fit the weights of the reranker (`index.fusion`) to docstrings of packages that are installed here, and judge them.

`INKLING_BENCHMARK_PACKAGES` names groups of import packages, such as `pygls,jsonschema bs4,joblib`. A group is indexed
together without its docstrings, each docstring asks for its function. The weights are a conditional logit over the
candidates of a question (the likelihood of the right chunk); each group is also judged by weights that were fitted to
the others. Figures are of rankings without folding. Packages that are kept for evaluation are none to fit on.
"""

import os
import random
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.embedding import Embedder, as_question
from index.evaluation.measure import rank_of, workspace
from index.evaluation.questions import Question, Target, docstring_questions
from index.fusion import WEIGHTS, Features, features, fuse
from index.lexical import by_words, weights_of
from index.rankings import Filter, Ranked, begin_by_meaning, by_name
from index.records import Match
from index.search import DEPTH
from index.store import Store, load_candidates, load_hits
from index.vectors import Vectors
from model.weights import resolve

_GROUPS = "pygls,markdown_it,jsonschema,pathspec bs4,joblib,detect_secrets,referencing,mako"
_QUESTIONS = 40  # of a package
_HELD = ("symbol", "loose")  # set by hand, as `index.fusion` says
_PULL = 0.001


@dataclass(frozen=True)
class _Asked:
    """One question: figures of its candidates, (candidates, features), and which of them are right."""

    figures: NDArray[np.float64]
    right: NDArray[np.bool_]


def run() -> None:
    """Print weights, and MRR@10 of each group under weights in use, fitted elsewhere, and fitted to all."""
    encoder = Embedder(resolve("all-minilm-l6-v2"))
    groups = os.environ.get("INKLING_BENCHMARK_PACKAGES", _GROUPS).split()
    asked = {group: _asked(group.split(","), encoder) for group in groups}
    every = [one for group in asked.values() for one in group]
    fitted = _fitted(every)
    for name, value in fitted._asdict().items():
        print(f"  {name}: {getattr(WEIGHTS, name):.2f} -> {value:.2f}")
    for group, those in asked.items():
        others = [one for name, each in asked.items() if name != group for one in each]
        columns = {"in use": WEIGHTS, "fitted elsewhere": _fitted(others) if others else WEIGHTS, "fitted": fitted}
        figures = ", ".join(f"{name} {_mrr(those, weights):.3f}" for name, weights in columns.items())
        words, meaning = (_mrr(those, Features(**{name: 1.0})) for name in ("words_rank", "meaning_rank"))
        print(f"{group}: {len(those)} questions, words {words:.3f}, meaning {meaning:.3f}, {figures}")


def _asked(packages: Sequence[str], encoder: Embedder) -> list[_Asked]:
    files: dict[str, str] = {}
    questions: list[Question] = []
    choose = random.Random(0)
    for package in packages:
        root = Path(sysconfig.get_path("purelib")) / package
        sources = {path.relative_to(root).as_posix(): path.read_text("utf-8", "replace") for path in root.rglob("*.py")}
        bare, found = docstring_questions(sources)
        files |= {f"{package}/{path}": text for path, text in bare.items()}
        for question in choose.sample(found, min(_QUESTIONS, len(found))):
            (target,) = question.targets
            questions.append(Question(question.text, (Target(f"{package}/{target.path}", target.start, target.end),)))
    with workspace(files, encoder, lambda phase, done, total: None) as (root, _):
        store = Store.reader(root)
        assert store is not None
        vectors = Vectors(encoder.model)
        asked = [_one(store, vectors, encoder, question) for question in questions]
        store.close()
    return [one for one in asked if one.right.any()]


def _one(store: Store, vectors: Vectors, encoder: Embedder, question: Question) -> _Asked:
    weights = weights_of(store.database, question.text)
    where = Filter().condition(store.database)
    vector, meant = as_question(encoder, question.text)
    rankings: dict[Match, list[Ranked]] = {
        "words": by_words(store.database, weights, DEPTH, *where),
        "symbol": by_name(store.database, question.text, DEPTH, *where),
        "meaning": begin_by_meaning(store, vectors, vector, DEPTH, *where)(),
    }
    candidates = load_candidates(store.database, fuse(rankings))
    closeness = vectors.closeness(meant, candidates) if meant is not None else {}
    found = features(rankings, candidates, weights, closeness)
    hits = load_hits(store.database, candidates, dict.fromkeys(candidates, 0.0), dict.fromkeys(candidates, ()))
    right = [rank_of([hit], question.targets) > 0 for hit in hits]
    return _Asked(np.array([found[chunk] for chunk in candidates], dtype=np.float64), np.array(right))


def _fitted(asked: Sequence[_Asked]) -> Features:
    from scipy.optimize import minimize

    free = np.array([name not in _HELD for name in Features._fields], dtype=np.float64)
    origin = np.array(WEIGHTS)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, slope = 0.0, np.zeros(len(weights))
        for one in asked:
            scores = one.figures @ weights
            odds = np.exp(scores - scores.max())
            odds /= odds.sum()
            there = odds[one.right].sum()
            total -= np.log(there)
            slope += odds @ one.figures - (odds[one.right] @ one.figures[one.right]) / there
        small = weights * free
        return float(total / len(asked) + 0.5 * _PULL * small @ small), (slope / len(asked) + _PULL * small) * free

    found = minimize(loss, origin, jac=True, method="L-BFGS-B")
    return Features(*found.x)


def _mrr(asked: Sequence[_Asked], weights: Features) -> float:
    ranks = []
    for one in asked:
        order = np.argsort(-(one.figures @ np.array(weights)), kind="stable")[:10]
        places = np.flatnonzero(one.right[order])
        ranks.append(1.0 / (places[0] + 1) if len(places) else 0.0)
    return float(np.mean(ranks))
