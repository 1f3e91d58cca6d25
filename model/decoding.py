"""From logits to text: greedy decoding with healed tokens and drafts, until a line or a block is over.

Drafts only save time: a draft is run through the network together with the token before it, and as much of it is kept
as greedy decoding would have written by itself. What always holds: when it returns, the resident tail ends with
tokens that were decoded, and nothing else lies behind them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.completion import Stop
from model.drafting import Drafts
from model.ending import Ending
from model.resident import Resident
from model.runtimes.runtime import Cancelled, CancelledError
from model.tokens import Tokens

LONGEST_DRAFT = 8


class Decoded:
    """What was decoded so far. The bytes of the healed piece are not part of the text."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self._spelled = b""
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.text = ""
        self.stop: Stop = "end"

    @property
    def left_to_spell(self) -> bytes:
        """What the next tokens have to begin with."""
        return self._piece[len(self._spelled) :]

    @property
    def written(self) -> str:
        """The text behind the cursor; the bytes of an unfinished character wait."""
        return self._spelled[len(self._piece) :].decode("utf-8", "ignore")

    def add(self, token: int, spelling: bytes, logprob: float) -> None:
        """Take one token."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self._spelled += spelling

    def finish(self, stop: Stop, text: str | None) -> "Decoded":
        """It is over, and this is the text."""
        self.stop, self.text = stop, text if text is not None else self.written
        return self


@dataclass
class DraftCount:
    """Tokens that were drafted, and how many of them greedy decoding would have written."""

    drafted: int = 0
    accepted: int = 0


class Decoder:
    """Decodes behind the tail of one `Resident`. `drafts` None: one token at a time."""

    def __init__(self, resident: Resident, tokens: Tokens, drafts: Drafts | None) -> None:
        self._resident = resident
        self._tokens = tokens
        self._drafts = drafts
        self.count = DraftCount()

    def run(
        self, logits: NDArray[np.float32], piece: bytes, ending: Ending, most: int, cancelled: Cancelled
    ) -> Decoded:
        """Decode after `logits`, float32 (vocabulary,). `piece` is spelled first. Raises CancelledError."""
        made = Decoded(piece)
        before = len(self._resident.tail)
        for token, logprob in self._greedy(logits, made, most, cancelled):
            spelling = self._tokens.decode([token])
            if not spelling:  # a special token: the model is done
                break
            made.add(token, spelling, logprob)
            stopped = ending.of(made.written, final=False)
            if stopped is not None:
                return self._done(before, made.finish(ending.kind, stopped))
            if len(made.tokens) >= most:
                return self._done(before, made.finish("length", ending.cut_short(made.written)))
        return self._done(before, made.finish("end", ending.of(made.written, final=True)))

    def _done(self, before: int, made: Decoded) -> Decoded:
        self._resident.rollback(before + len(made.tokens))
        return made

    def _greedy(
        self, logits: NDArray[np.float32], made: Decoded, most: int, cancelled: Cancelled
    ) -> Iterator[tuple[int, float]]:
        """Tokens as greedy decoding chooses them. Whoever iterates has added each to `made` before the next."""
        while True:
            token, logprob = self._choose(logits, made.left_to_spell)
            yield token, logprob
            if cancelled():
                raise CancelledError
            draft = self._draft(token, made, most)
            rows = self._resident.append([token, *draft], every=bool(draft))
            if not draft:
                logits = rows[0]
                continue
            at = len(self._resident.tail) - len(draft)
            kept = 0
            for proposed, row in zip(draft, rows, strict=False):
                chosen, logprob = self._choose(row, b"")
                if chosen != proposed:
                    break
                yield chosen, logprob
                kept += 1
            self._resident.rollback(at + kept)
            self._note(draft, kept)
            logits = rows[kept]

    def _draft(self, token: int, made: Decoded, most: int) -> tuple[int, ...]:
        room = min(LONGEST_DRAFT, most - len(made.tokens) - 1, self._resident.room() - 1)
        if self._drafts is None or made.left_to_spell or room < 1:
            return ()
        return self._drafts.propose([*self._resident.tail, token], room)

    def _note(self, draft: tuple[int, ...], kept: int) -> None:
        self.count.drafted += len(draft)
        self.count.accepted += kept
        if self._drafts is not None:
            self._drafts.feedback(len(draft), kept)

    def _choose(self, logits: NDArray[np.float32], piece: bytes) -> tuple[int, float]:
        """The likeliest allowed token and its log-probability among those that are allowed."""
        if not piece:
            token = int(np.argmax(logits))
            return token, float(logits[token] - _log_sum_exp(logits))
        allowed = self._tokens.continuing(piece)
        if not len(allowed):  # no token spells this byte: take what the model likes best
            return self._choose(logits, b"")
        within = logits[allowed]
        best = int(np.argmax(within))
        return int(allowed[best]), float(within[best] - _log_sum_exp(within))


def _log_sum_exp(logits: NDArray[np.float32]) -> float:
    top = float(np.max(logits))
    return top + float(np.log(np.sum(np.exp(logits - top))))
