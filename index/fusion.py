"""Several rankings become one: reciprocal rank fusion, then a light reranking, then duplicates are folded.

The reranker is linear in a few figures per chunk (`Features`) and knows no query beyond its words. `WEIGHTS` were
fitted to 556 docstrings of the ten packages that the encoder's adapter was not trained on, by the likelihood of the
right chunk (as `tests/benchmarks/fusion.py` does); the weight of `symbol` is set by hand, so that a name that is
spelled out finds its definition first. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


WEIGHTS = Features(
    words_rank=1.3, meaning_rank=1.9, words_score=1.55, meaning_score=2.95, symbol=8.0, asked=0.95, loose=-1.35
)


def fuse(rankings: Mapping[Match, Sequence[Ranked]]) -> dict[int, float]:
    """Chunks with the sum of their reciprocal ranks, best first."""
    scores: dict[int, float] = {}
    for ranking in rankings.values():
        for rank, each in enumerate(ranking, start=1):
            scores[each.chunk] = scores.get(each.chunk, 0.0) + 1.0 / (FUSION + rank)
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def rerank(
    rankings: Mapping[Match, Sequence[Ranked]], candidates: Mapping[int, Candidate], query: Mapping[str, float]
) -> dict[int, float]:
    """The candidates with their final score, best first. `query`: its words with their weights."""
    found = features(rankings, candidates, query)
    scores = {chunk: sum(w * x for w, x in zip(WEIGHTS, each, strict=True)) for chunk, each in found.items()}
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def features(
    rankings: Mapping[Match, Sequence[Ranked]], candidates: Mapping[int, Candidate], query: Mapping[str, float]
) -> dict[int, Features]:
    """The figures of each candidate."""
    ranks = {match: {each.chunk: rank for rank, each in enumerate(r, start=1)} for match, r in rankings.items()}
    scaled = {match: _scaled(ranking, match) for match, ranking in rankings.items()}
    whole = sum(query.values()) or 1.0
    found: dict[int, Features] = {}
    for chunk, candidate in candidates.items():
        defined = set(words(candidate.names))
        asked = sum(weight for word, weight in query.items() if word in defined) / whole
        found[chunk] = Features(
            words_rank=_reciprocal(ranks, "words", chunk),
            meaning_rank=_reciprocal(ranks, "meaning", chunk),
            words_score=scaled.get("words", {}).get(chunk, 0.0),
            meaning_score=scaled.get("meaning", {}).get(chunk, 0.0),
            symbol=scaled.get("symbol", {}).get(chunk, 0.0) * asked**2,
            asked=asked,
            loose=float(candidate.kind in ("module", "text", "variable")),
        )
    return found


def folded(hits: Sequence[Hit]) -> list[Hit]:
    """One hit per definition: its other pieces, and copies of the text in other files, stay with the best of them."""
    kept: list[Hit] = []
    seen: set[object] = set()
    for hit in hits:
        keys = {hit.text.strip(), (hit.path, hit.scope, hit.name) if hit.name else (hit.path, hit.start_line)}
        if seen.isdisjoint(keys):
            kept.append(hit)
        seen |= keys
    return kept


def _reciprocal(ranks: Mapping[Match, Mapping[int, int]], match: Match, chunk: int) -> float:
    """1 for the first of a ranking, 0 for what is not in it."""
    rank = ranks.get(match, {}).get(chunk)
    return (FUSION + 1) / (FUSION + rank) if rank else 0.0


def _scaled(ranking: Sequence[Ranked], match: Match) -> dict[int, float]:
    """Scores from 0 to 1. Cosines have no zero that means anything: theirs is the last of the ranking."""
    if not ranking:
        return {}
    best = max(each.score for each in ranking)
    zero = min(each.score for each in ranking) if match == "meaning" else 0.0
    return {each.chunk: (each.score - zero) / ((best - zero) or 1.0) for each in ranking}
