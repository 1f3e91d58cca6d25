"""Several rankings, of one workspace or several, become one: reciprocal rank fusion, then a light reranking, then
duplicates are folded.

The reranker is linear in a few figures per chunk (`Features`) and knows no query beyond its words. `WEIGHTS` were
fitted to 743 docstrings of the ten packages that the encoder's adapter was not trained on, by the likelihood of the
right chunk (as `tests/benchmarks/fusion.py` does), and so were those `WITHOUT_PARTS`, where no chunk has any. Two are
set by hand: that of `symbol`, so that a name that is spelled out finds its definition first, and that of `loose`, as
docstrings never ask for text between definitions. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from index.rankings import Ranked
from index.records import Candidate, Hit, Match
from index.words import words

FUSION = 20  # the constant of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009 took 60 for longer rankings)


class Features(NamedTuple):
    """Figures of one chunk, from 0 to about 1 each."""

    words_rank: float = 0.0
    meaning_rank: float = 0.0
    words_score: float = 0.0  # share of the best score of this query
    meaning_score: float = 0.0  # between the worst and the best cosine of this query
    symbol: float = 0.0  # a name that the query spells out, by how much of the query it is: prose mentions others
    asked: float = 0.0  # share of the query's words, by weight, that are names here
    loose: float = 0.0  # text between definitions
    cosine: float = 0.0  # 0 for what is not among the nearest
    closest: float = 0.0  # how well each word of the query fits the closest part (`index.late`)
    closest_rank: float = 0.0


WEIGHTS = Features(
    words_rank=1.26, meaning_rank=0.27, words_score=1.35, meaning_score=2.6, symbol=8.0, asked=1.41, loose=-1.35,
    cosine=2.69, closest=3.7, closest_rank=1.49,
)  # fmt: skip
WITHOUT_PARTS = Features(
    words_rank=0.8, meaning_rank=1.4, words_score=2.2, meaning_score=2.5, symbol=8.0, asked=1.2, loose=-1.35, cosine=4.3
)


@dataclass(frozen=True)
class Answer:
    """What one workspace knows about a query: its rankings, the query's words with their weights there, and what is to
    be known of the ranked chunks. `begins` tells chunks of one name in one file apart: the line of their definition.
    `closeness`: see `index.late`; of those chunks only that have parts."""

    rankings: Mapping[Match, Sequence[Ranked]] = field(default_factory=dict)
    query: Mapping[str, float] = field(default_factory=dict)
    candidates: Mapping[int, Candidate] = field(default_factory=dict)
    hits: Mapping[int, Hit] = field(default_factory=dict)
    begins: Mapping[int, int] = field(default_factory=dict)
    closeness: Mapping[int, float] = field(default_factory=dict)


def best(answers: Sequence[Answer], limit: int) -> list[tuple[int, Hit]]:
    """The best hits of all workspaces, at most `limit`, each with the number of its answer.

    One hit per definition: its other pieces, and copies of its text in other files and workspaces, stay with the best
    of them.
    """
    rankings, query, candidates, closeness = _together(answers)
    scores = rerank(rankings, candidates, query, closeness) if len(rankings) > 1 else fuse(rankings)
    matched = {match: {each.chunk for each in ranking} for match, ranking in rankings.items()}
    kept: list[tuple[int, Hit]] = []
    seen: set[object] = set()
    for number, score in scores.items():
        chunk, place = divmod(number, len(answers))
        hit = answers[place].hits.get(chunk)
        if hit is None:
            continue
        named = (hit.scope, hit.name, answers[place].begins.get(chunk)) if hit.name else hit.start_line
        keys = {hit.text.strip(), (place, hit.path, named)}
        if seen.isdisjoint(keys):
            found_by = tuple(match for match, chunks in matched.items() if number in chunks)
            kept.append((place, replace(hit, score=score, matched=found_by)))
            if len(kept) == limit:
                break
        seen |= keys
    return kept


def _together(
    answers: Sequence[Answer],
) -> tuple[dict[Match, list[Ranked]], dict[str, float], dict[int, Candidate], dict[int, float]]:
    """Rankings, query, candidates and closeness of all workspaces as if of one; chunk c of answer a becomes
    c * answers + a.

    Cosines and the places of names mean the same everywhere. BM25 is larger where more is indexed, so it is taken as a
    share of what the query's words weigh there; a word that a workspace does not know weighs as much as elsewhere.
    """
    many = len(answers)
    query: dict[str, float] = {}
    for answer in answers:
        query |= {word: max(weight, query.get(word, 0.0)) for word, weight in answer.query.items()}
    rankings: dict[Match, list[Ranked]] = {}
    candidates: dict[int, Candidate] = {}
    closeness: dict[int, float] = {}
    for place, answer in enumerate(answers):
        whole = sum(answer.query.get(word, weight) for word, weight in query.items()) or 1.0
        for match, ranking in answer.rankings.items():
            unit = whole if match == "words" else 1.0
            moved = [Ranked(each.chunk * many + place, each.score / unit) for each in ranking]
            rankings.setdefault(match, []).extend(moved)
        candidates |= {chunk * many + place: candidate for chunk, candidate in answer.candidates.items()}
        closeness |= {chunk * many + place: value for chunk, value in answer.closeness.items()}
    for ranking in rankings.values():
        ranking.sort(key=lambda each: (-each.score, each.chunk))
    return rankings, query, candidates, closeness


def fuse(rankings: Mapping[Match, Sequence[Ranked]]) -> dict[int, float]:
    """Chunks with the sum of their reciprocal ranks, best first."""
    scores: dict[int, float] = {}
    for ranking in rankings.values():
        for rank, each in enumerate(ranking, start=1):
            scores[each.chunk] = scores.get(each.chunk, 0.0) + 1.0 / (FUSION + rank)
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def rerank(
    rankings: Mapping[Match, Sequence[Ranked]],
    candidates: Mapping[int, Candidate],
    query: Mapping[str, float],
    closeness: Mapping[int, float],
) -> dict[int, float]:
    """The candidates with their final score, best first. `query`: its words with their weights."""
    weights = WEIGHTS if closeness else WITHOUT_PARTS
    found = features(rankings, candidates, query, closeness)
    scores = dict(
        zip(found, (np.array([*found.values()]).reshape(-1, len(weights)) * weights).sum(1).tolist(), strict=True)
    )
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def features(
    rankings: Mapping[Match, Sequence[Ranked]],
    candidates: Mapping[int, Candidate],
    query: Mapping[str, float],
    closeness: Mapping[int, float],
) -> dict[int, Features]:
    """The figures of each candidate. How close one comes that is not embedded yet is taken for the mean of others."""
    usual = sum(closeness.values()) / len(closeness) if closeness else 0.0
    close = {chunk: closeness.get(chunk, usual) for chunk in candidates} if closeness else {}
    order = sorted(close.items(), key=lambda pair: (-pair[1], pair[0]))
    closest = _reciprocal([Ranked(*pair) for pair in order])
    by_words, by_meaning = (_reciprocal(rankings.get(match, ())) for match in ("words", "meaning"))
    worded, meant, named = (_scaled(rankings.get(match, ()), match) for match in ("words", "meaning", "symbol"))
    cosines = {each.chunk: each.score for each in rankings.get("meaning", ())}
    whole = sum(query.values()) or 1.0
    found: dict[int, Features] = {}
    for chunk, candidate in candidates.items():
        asked = sum(query[word] for word in query.keys() & words(candidate.names)) / whole
        found[chunk] = Features(
            words_rank=by_words.get(chunk, 0.0),
            meaning_rank=by_meaning.get(chunk, 0.0),
            words_score=worded.get(chunk, 0.0),
            meaning_score=meant.get(chunk, 0.0),
            symbol=named.get(chunk, 0.0) * asked**2,
            asked=asked,
            loose=float(candidate.kind in ("module", "text", "variable")),
            cosine=cosines.get(chunk, 0.0),
            closest=close.get(chunk, 0.0),
            closest_rank=closest.get(chunk, 0.0),
        )
    return found


def _reciprocal(ranking: Sequence[Ranked]) -> dict[int, float]:
    """1 for the first of a ranking, falling towards 0."""
    return {each.chunk: (FUSION + 1) / (FUSION + rank) for rank, each in enumerate(ranking, start=1)}


def _scaled(ranking: Sequence[Ranked], match: Match) -> dict[int, float]:
    """Scores from 0 to 1. Cosines have no zero that means anything: theirs is the last of the ranking."""
    if not ranking:
        return {}
    best = max(each.score for each in ranking)
    zero = min(each.score for each in ranking) if match == "meaning" else 0.0
    return {each.chunk: (each.score - zero) / ((best - zero) or 1.0) for each in ranking}
