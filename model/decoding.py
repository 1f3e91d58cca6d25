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
_LIKELIEST = 64  # tokens among which one is looked for that begins another text


class Decoded:
    """What was decoded so far. The bytes of the healed piece are not part of the text."""

    def __init__(self, piece: bytes, unlike: tuple[str, ...] = ()) -> None:
        self._piece = piece
        self._unlike = unlike
        self._spelled = b""
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.ends: list[int] = []  # how many characters of the text there are behind each token
        self.text = ""
        self.stop: Stop = "end"

    @property
    def left_to_spell(self) -> bytes:
        """What the next tokens have to begin with."""
        return self._piece[len(self._spelled) :]

    @property
    def must_differ(self) -> bool:
        """True until the first token behind the cursor has made it another text than those that are known."""
        return bool(self._unlike) and len(self._spelled) <= len(self._piece)

    def is_like(self, spelling: bytes) -> bool:
        """True if a token of this spelling would begin a text that is known, or no text at all."""
        written = (self._spelled + spelling)[len(self._piece) :]
        if not written:
            return not spelling
        begun = written.decode("utf-8", "ignore")
        return not begun or any(text.startswith(begun) for text in self._unlike)

    @property
    def written(self) -> str:
        """The text behind the cursor; the bytes of an unfinished character wait."""
        return self._spelled[len(self._piece) :].decode("utf-8", "ignore")

    def add(self, token: int, spelling: bytes, logprob: float) -> None:
        """Take one token."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self._spelled += spelling
        self.ends.append(len(self.written))

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
        self,
        logits: NDArray[np.float32],
        piece: bytes,
        ending: Ending,
        most: int,
        cancelled: Cancelled,
        unlike: tuple[str, ...] = (),
    ) -> Decoded:
        """Decode after `logits`, float32 (vocabulary,). `piece` is spelled first, and what is written behind it
        differs from the texts `unlike` in its first token. Raises CancelledError."""
        made = Decoded(piece, unlike)
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
            token, logprob = self._choose(logits, made)
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
                chosen, logprob = self._choose(row, made)
                if chosen != proposed:
                    break
                yield chosen, logprob
                kept += 1
            self._resident.rollback(at + kept)
            self._note(draft, kept)
            logits = rows[kept]

    def _draft(self, token: int, made: Decoded, most: int) -> tuple[int, ...]:
        room = min(LONGEST_DRAFT, most - len(made.tokens) - 1, self._resident.room() - 1)
        if self._drafts is None or made.left_to_spell or made.must_differ or room < 1:
            return ()
        return self._drafts.propose([*self._resident.tail, token], room)

    def _note(self, draft: tuple[int, ...], kept: int) -> None:
        self.count.drafted += len(draft)
        self.count.accepted += kept
        if self._drafts is not None:
            self._drafts.feedback(len(draft), kept)

    def _choose(self, logits: NDArray[np.float32], made: Decoded) -> tuple[int, float]:
        """The likeliest allowed token and its log-probability among those that are allowed."""
        allowed = self._tokens.continuing(made.left_to_spell) if made.left_to_spell else None
        if allowed is None or not len(allowed):  # nothing is left to spell, or no token spells this byte
            best = self._best(logits, made, None)
            return best, float(logits[best] - _log_sum_exp(logits))
        within = logits[allowed]
        best = self._best(within, made, allowed)
        return int(allowed[best]), float(within[best] - _log_sum_exp(within))

    def _best(self, logits: NDArray[np.float32], made: Decoded, tokens: NDArray[np.int64] | None) -> int:
        """Where in `logits` the likeliest token stands that may come next; `tokens` None: row and token are one."""
        if not made.must_differ:
            return int(np.argmax(logits))
        likeliest = [int(one) for one in np.argsort(logits)[: -_LIKELIEST - 1 : -1]]
        spelled = (self._tokens.decode([one if tokens is None else int(tokens[one])]) for one in likeliest)
        return next((at for at, one in zip(likeliest, spelled, strict=True) if not made.is_like(one)), likeliest[0])


def _log_sum_exp(logits: NDArray[np.float32]) -> float:
    top = float(np.max(logits))
    return top + float(np.log(np.sum(np.exp(logits - top))))
