"""Samples from a runtime, laid out and read as it is served; how likely each was written.

It writes; it knows neither rewards nor training. What always holds: the same request, weights and random numbers give
the same samples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.completion import CompletionRequest
from model.positions import PositionScheme
from model.prompt import Layout, Prompt
from model.runtimes.runtime import Runtime


@dataclass(frozen=True)
class Sample:
    """What was written once. `tokens` without the one that ended it."""

    tokens: tuple[int, ...]
    text: str
    ended: bool


class Writer:
    """Samples from a runtime, laid out as it is served. `runtime` computes with whatever adapters it has loaded."""

    def __init__(self, runtime: Runtime, layout: Layout, scheme: PositionScheme) -> None:
        self._runtime = runtime
        self._layout = layout
        self._scheme = scheme
        self._special = layout.tokens.special

    def write(
        self, request: CompletionRequest, count: int, *, most: int, temperature: float, draw: np.random.Generator
    ) -> tuple[Prompt, list[Sample]]:
        """`count` independent samples behind one cursor. `temperature` 0: greedy."""
        prompt = self._layout.build(request)
        buffer = self._runtime.buffer(prompt.size + most + 1)
        slot, position, logits = self._read(buffer, prompt)
        start = (slot, position, logits)
        return prompt, [self._one(buffer, prompt, start, most, temperature, draw) for _ in range(count)]

    def _read(self, buffer: Any, prompt: Prompt) -> tuple[int, int, NDArray[np.float32]]:
        """Sink, documents and tail; where the next token goes, and the logits for it."""
        runtime, sink, lengths = self._runtime, len(prompt.sink), [len(each) for each in prompt.documents]
        if prompt.sink:
            runtime.forward(buffer, prompt.sink, 0, 0, "none")
        apart = runtime.buffer(sink + max(lengths, default=0))
        if prompt.documents and prompt.sink:
            runtime.forward(apart, prompt.sink, 0, 0, "none")
        slot = sink
        for document, start in zip(prompt.documents, self._scheme.starts(sink, lengths), strict=True):
            runtime.forward(apart, document, sink, sink, "none")
            buffer.write(slot, runtime.upload(apart.read(sink, sink + len(document))), start - sink)
            slot += len(document)
        position = self._scheme.tail(sink, lengths)
        logits = runtime.forward(buffer, prompt.tail, slot, position, "last")[-1]
        return slot + len(prompt.tail), position + len(prompt.tail), logits

    def _one(
        self,
        buffer: Any,
        prompt: Prompt,
        start: tuple[int, int, NDArray[np.float32]],
        most: int,
        temperature: float,
        draw: np.random.Generator,
    ) -> Sample:
        slot, position, logits = start
        tokens: list[int] = []
        spelled = b""
        while True:
            token = self._choose(logits, prompt.piece[len(spelled) :], temperature, draw)
            if token in self._special or len(tokens) >= most:
                text = spelled[len(prompt.piece) :].decode("utf-8", "ignore")
                return Sample(tuple(tokens), text, token in self._special)
            at = len(tokens)
            tokens.append(token)
            spelled += self._layout.tokens.decode([token])
            logits = self._runtime.forward(buffer, [token], slot + at, position + at, "last")[-1]

    def _choose(self, logits: NDArray[np.float32], piece: bytes, temperature: float, draw: np.random.Generator) -> int:
        allowed = self._layout.tokens.continuing(piece) if piece else np.arange(len(logits))
        if not len(allowed):
            allowed = np.arange(len(logits))
        within = logits[allowed].astype(np.float64)
        if temperature <= 0:
            return int(allowed[int(within.argmax())])
        shares = np.exp((within - within.max()) / temperature)
        return int(draw.choice(allowed, p=shares / shares.sum()))
