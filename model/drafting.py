"""Drafting without a draft model: what followed the same tokens before is likely to follow them again.

Looks the newest tokens up in the user's recent edits, in the text itself and in the documents beside it (Saxena 2023,
"Prompt Lookup Decoding"; Oliaro et al. 2024, "SuffixDecoding"). It only proposes: whoever verifies a draft in one
forward pass keeps what greedy decoding would have written, so a bad draft costs time and never changes a text, but for
8-bit weights, whose rounding depends on how many tokens are computed together.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

_SHORTEST_MATCH = 3  # tokens that have to agree before anything is proposed
_LONGEST_MATCH = 16  # more agreement says no more
_MOST_PLACES = 256  # occurrences that are compared, the newest of each source
_EDIT_TOKENS = 4096
_SEPARATOR = -1  # no token: nothing matches across it
# What a draft costs on top of a forward pass of one token, in such passes: that it is more than one token, and each of
# its tokens (CPU, measured at 1,000 and 5,000 tokens of context: nine tokens take 2.5 and 3.1 times as long as one).
_DRAFT_COST, _TOKEN_COST = 0.45, 0.16
_MEMORY = 0.98  # what older outcomes count for with each new one
_TRY_AGAIN = 16  # chances that are let go by before what failed is tried again


class Drafts:
    """Proposes continuations of one text after another. Belongs to one thread."""

    def __init__(self) -> None:
        self._documents: tuple[tuple[int, ...], ...] = ()
        self._document_ids: Ids = np.empty(0, dtype=np.int64)
        self._edits: deque[tuple[int, ...]] = deque()
        self._edit_ids: Ids = np.empty(0, dtype=np.int64)
        # Per length of agreement: tokens that were accepted, and that could have been (Beta-Bernoulli, forgetting).
        self._right = [0.5 + 0.03 * length for length in range(_LONGEST_MATCH + 1)]
        self._seen = [1.0] * (_LONGEST_MATCH + 1)
        self._let_go = 0
        self._length = 0  # of the agreement that the last draft came from

    def set_documents(self, documents: Sequence[tuple[int, ...]]) -> None:
        """The tokens of the documents that the text may repeat. The same ones again cost nothing."""
        wanted = tuple(documents)
        if wanted != self._documents:
            self._documents, self._document_ids = wanted, _joined(wanted)

    def note_edit(self, tokens: Sequence[int]) -> None:
        """Something that the user typed or accepted. Only the newest few thousand tokens are kept."""
        if tokens:
            self._edits.append(tuple(tokens[-_EDIT_TOKENS:]))
            while sum(map(len, self._edits)) > _EDIT_TOKENS:
                self._edits.popleft()
            self._edit_ids = _joined(tuple(self._edits))

    def propose(self, context: Sequence[int], most: int) -> tuple[int, ...]:
        """At most `most` tokens that may follow `context`; () where nothing is known, or where drafts do not pay.

        The longest agreement with what stands before decides; among equals recent edits go before the text itself,
        that before the documents, and the later place before the earlier. How many tokens are proposed depends on how
        often drafts from such an agreement were right.
        """
        newest = np.array(context[-2048:], dtype=np.int64)
        if most < 1 or len(newest) < 2:
            return ()
        best, found = _SHORTEST_MATCH - 1, None
        for source in (self._edit_ids, newest, self._document_ids):
            place, length = _longest_match(source, newest)
            if length > best:
                best, found = length, source[place : place + most]
        if found is None:
            return ()
        ends = np.flatnonzero(found == _SEPARATOR)
        count = min(self._worthwhile(best, most), int(ends[0]) if len(ends) else len(found))
        self._length = best
        return tuple(int(token) for token in found[:count])

    def feedback(self, proposed: int, accepted: int) -> None:
        """Of the last draft, which had so many tokens, so many were kept."""
        if proposed:
            tried = accepted + (accepted < proposed)  # what stands behind a wrong token was never judged
            self._right[self._length] = _MEMORY * self._right[self._length] + accepted
            self._seen[self._length] = _MEMORY * self._seen[self._length] + tried

    def _worthwhile(self, length: int, most: int) -> int:
        """The number of tokens that makes most text per time, if each is right with the same probability."""
        right = min(0.98, self._right[length] / self._seen[length])
        gains = [
            (1 + right * (1 - right**count) / (1 - right)) / (1 + (_DRAFT_COST if count else 0) + _TOKEN_COST * count)
            for count in range(most + 1)
        ]
        count = int(np.argmax(gains))
        if not count:
            self._let_go += 1
            if self._let_go % _TRY_AGAIN == 0:
                return 1
        return count


def _joined(sequences: Sequence[tuple[int, ...]]) -> Ids:
    parts = [np.array([*sequence, _SEPARATOR], dtype=np.int64) for sequence in sequences]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _longest_match(source: Ids, context: Ids) -> tuple[int, int]:
    """Where in `source` goes on what ends `context`, and how many tokens before that place agree; (0, 0) if nowhere."""
    if len(source) <= _SHORTEST_MATCH:
        return 0, 0
    agrees = (source[:-2] == context[-2]) & (source[1:-1] == context[-1])
    places = np.flatnonzero(agrees)[-_MOST_PLACES:] + 2  # of the token that follows
    places = places[source[places] != _SEPARATOR]
    best_place, best = 0, 0
    for place in reversed(places.tolist()):
        span = min(place, len(context), _LONGEST_MATCH)
        same = source[place - span : place] == context[len(context) - span :]
        length = span if same.all() else int(np.argmin(same[::-1]))
        if length > best:
            best_place, best = place, length
            if best == _LONGEST_MATCH:
                break
    return best_place, best
