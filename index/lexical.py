"""One of the rankings that a search is made of: chunks with words of the query, by BM25 (Robertson and Zaragoza 2009).

FTS5 computes the scores, which is most of what a query costs where many chunks have its words. So only those are
scored that can be among the best: no word gives a chunk more than its share of `_bounds`, however often it is there
(as MaxScore does, Turtle and Flood 1995). The result is that of scoring all.
"""

import json
import math
import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.rankings import Ranked
from index.words import indexed, match_expression, query_words

MAX_WORDS = 64  # of a query
MOST_COUNTS = 20_000  # words whose counts are kept
MOST_CHANGE = 0.1  # of the chunks, beyond which words are counted anew
MOST_SECONDS = 600.0  # the same: a branch may have as many chunks as another
MOST_PLACES = 15_000  # chunks that one query looks at: what is everywhere costs much and says little
WEIGHTS = "1.0, 4.0, 2.0"  # of text, names and path in BM25
_SATURATED = 2.2  # k1 + 1 of FTS5's BM25: what a word's inverse document frequency is multiplied by at most
_LEAST_FREQUENCY = 1e-6  # FTS5's, of words that most chunks have
_FEW = 2000  # so many chunks are scored sooner than chosen from
_LIKELY = 3  # times as many as are wanted are scored first


@dataclass
class Counts:
    """In how many chunks words stand, kept between questions for those that are in `least` or more.

    Counting a word that is everywhere takes milliseconds. Counts only say what is rare, so they may be a little old:
    they go once there are a tenth more or fewer chunks than `held`, and after `MOST_SECONDS`.
    """

    least: int = 0
    known: dict[str, int] = field(default_factory=dict)
    held: int = 0
    since: float = -math.inf

    def of(self, database: sqlite3.Connection, wanted: Collection[str]) -> dict[str, int]:
        """The counts of these words, those that are nowhere left out."""
        held = _held(database)
        now = time.monotonic()
        if abs(held - self.held) >= MOST_CHANGE * self.held or now - self.since > MOST_SECONDS:
            self.known, self.held, self.since = {}, held, now
        terms = {word: indexed(word) for word in wanted}
        unknown = [term for term in terms.values() if term not in self.known]
        if len(self.known) + len(unknown) > MOST_COUNTS:
            self.known, unknown = {}, list(terms.values())
        rows = database.execute(
            "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))", (json.dumps(unknown),)
        )
        found = dict(rows.fetchall())
        self.known |= {term: count for term, count in found.items() if count >= self.least}
        found |= self.known
        return {word: found[term] for word, term in terms.items() if term in found}


def weights_of(database: sqlite3.Connection, query: str, counts: Counts | None = None) -> dict[str, float]:
    """The query's words that the index knows, each with its inverse document frequency; the rarest first."""
    distinct = {indexed(word): word for word in query_words(query)[:MAX_WORDS]}
    known = (counts or Counts()).of(database, list(distinct.values()))
    held = _held(database)
    ordered = sorted(known.items(), key=lambda pair: (pair[1], pair[0]))
    return {word: math.log(1.0 + held / (1.0 + count)) for word, count in ordered}


def by_words(
    database: sqlite3.Connection, weights: dict[str, float], depth: int, where: str, values: list[Any]
) -> list[Ranked]:
    """The `depth` best chunks with words of the query. `weights` are its words; `where` and `values` come of
    `rankings.Filter.condition`."""
    held = _held(database)
    telling: list[str] = []
    places = 0.0
    for word, weight in weights.items():
        more = held / math.expm1(weight)
        if telling and places + more > MOST_PLACES:
            break
        telling.append(word)
        places += more

    def scored(chunks: NDArray[np.int64] | None = None) -> list[Ranked]:
        return _scored(database, match_expression(telling), depth, chunks, where, values)

    if not telling:
        return []
    if places <= _FEW or where:  # of the best, a filter may leave so few that all have to be scored after all
        return scored()
    chunks, most = _bounds(database, telling, held)
    likely = _likely(most, _LIKELY * depth)
    if 2 * likely.sum() > len(chunks):
        return scored()
    found = scored(chunks[likely])
    worst = found[-1].score if len(found) == depth else 0.0
    rest = chunks[~likely & (most > worst)]
    if 2 * len(rest) > len(chunks):
        return scored()
    both = found + scored(rest) if len(rest) else found
    return sorted(both, key=lambda each: (-each.score, each.chunk))[:depth]


def _scored(
    database: sqlite3.Connection,
    words: str,
    depth: int,
    chunks: NDArray[np.int64] | None,
    where: str,
    values: list[Any],
) -> list[Ranked]:
    """The best of all chunks with any of the words, or of those that are given."""
    source = "words" if not where else "words JOIN chunks c ON c.id = words.rowid JOIN files f ON f.id = c.file"
    # The plus keeps SQLite from looking the words up for each chunk anew.
    among = "" if chunks is None else "AND +words.rowid IN (SELECT value FROM json_each(?))"
    rows = database.execute(
        f"SELECT words.rowid, -bm25(words, {WEIGHTS}) AS score FROM {source} WHERE words MATCH ? {among} {where} "
        "ORDER BY score DESC, words.rowid LIMIT ?",
        (words, *(() if chunks is None else (json.dumps(chunks.tolist()),)), *values, depth),
    )
    return [Ranked(*row) for row in rows]


def _bounds(
    database: sqlite3.Connection, words: Sequence[str], held: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The chunks with any of the words, and what each can score at most."""
    places = [_chunks(database, word) for word in words]
    chunks, position = np.unique(np.concatenate(places), return_inverse=True)
    shares = [
        max(_LEAST_FREQUENCY, math.log((max(held - len(place), 0) + 0.5) / (len(place) + 0.5))) * _SATURATED
        for place in places
    ]
    return chunks, np.bincount(position, np.repeat(shares, [len(place) for place in places])).astype(np.float64)


def _chunks(database: sqlite3.Connection, word: str) -> NDArray[np.int64]:
    """The chunks with this word, as one text: rows would take ten times as long."""
    text = database.execute("SELECT group_concat(rowid) FROM words WHERE words MATCH ?", (match_expression([word]),))
    return np.fromstring(text.fetchone()[0] or "", dtype=np.int64, sep=",")


def _likely(most: NDArray[np.float64], enough: int) -> NDArray[np.bool_]:
    """Which chunks can score more than all but `enough`; those that are level with the last only where others are
    few."""
    if len(most) <= enough:
        return np.ones(len(most), dtype=bool)
    last = np.partition(most, -enough)[-enough]
    above = most > last
    return above if _LIKELY * above.sum() >= enough else most >= last


def _held(database: sqlite3.Connection) -> int:
    """How many chunks there are, at least 1."""
    known = "SELECT max(1, coalesce((SELECT value FROM facts WHERE name = 'chunks'), 1))"
    return int(database.execute(known).fetchone()[0])
