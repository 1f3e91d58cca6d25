"""What goes into the engine and what comes out of it. Plain values: no tensors, no editor types."""

from dataclasses import dataclass
from typing import Literal

from model.document import Document

Stop = Literal["line", "block", "length", "end", "unsure"]


@dataclass(frozen=True)
class CompletionRequest:
    """A cursor in a text, and the documents that may help.

    `prefix` and `suffix` are the whole text before and after the cursor; the prompt cuts what it can use.
    """

    path: str
    language: str
    prefix: str
    suffix: str
    documents: tuple[Document, ...] = ()
    repository: str = ""  # its name, read before everything else
    block: bool | None = None  # True: may run over several lines; None: decided from the cursor's line
    max_tokens: int = 64
    unlike: tuple[str, ...] = ()  # texts that are known: the completion differs from each in its first token
    wait: bool = False  # encode documents that are not cached first, instead of going without them this time
    whole: bool = False  # offer the whole line or block, also where the model is unsure of its end


@dataclass(frozen=True)
class Cost:
    """What a completion cost. Tokens that were reused from the resident tail were not prefilled."""

    reused_tokens: int
    prefilled_tokens: int
    decoded_tokens: int
    prefill_seconds: float
    decode_seconds: float
    drafted_tokens: int = 0  # proposed without the network, and how many of them it would have chosen itself
    accepted_tokens: int = 0
    prefetched: bool = False  # it was made before it was asked for


@dataclass(frozen=True)
class Completion:
    """A text to insert at the cursor, with what the model believed about it.

    `logprobs` holds one natural-log probability per decoded token, healed tokens included (renormalised
    over the tokens that were allowed there); `ends` how many characters were written when a token was. Those behind
    the end of `text` belong to what was cut off.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop: Stop
    base: str
    adapter: str | None
    cost: Cost
    documents: tuple[Document, ...] = ()  # what was attended to: the engine may keep those that are resident
    ends: tuple[int, ...] = ()

    @property
    def mean_logprob(self) -> float:
        """Mean natural-log probability per token; 0.0 for an empty completion."""
        return self.total_logprob / len(self.logprobs) if self.logprobs else 0.0

    @property
    def total_logprob(self) -> float:
        """Natural-log probability of all tokens together; 0.0 for an empty completion."""
        return sum(self.logprobs)


@dataclass(frozen=True)
class Refusal:
    """Why nothing is offered. `reason` is a stable word for programs, `detail` a sentence for people."""

    reason: str
    detail: str
