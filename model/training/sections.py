"""The section stage: whole pieces of code are written by the model itself and rewarded by likeness to what stood there.

Group-relative advantages (Shao et al. 2024) without division by the deviation (Liu et al. 2025), on policy: every group
is written by the adapter as it is and used for one step. Where nothing can be verified, likeness to the real text is
the reward; that it parses and that it ends are parts of it. What always holds: no sample is dropped for being invalid,
so a bad one costs; the log holds every part of the reward, so that what was gained can be seen.
"""

import ast
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from model.adapters import CONFIG_FILE
from model.completion import CompletionRequest
from model.positions import PositionScheme
from model.prompt import Layout, Prompt, row_of
from model.runtimes.runtime import Runtime
from model.training.batches import token_losses
from model.training.rows import row

_BROKEN = 0.2  # what a sample loses that does not parse where the real text does
_ENDLESS = 0.1  # and one that does not end by itself


@dataclass(frozen=True)
class Section:
    """A cursor and the text that really stood there. `request` shows what surrounds it."""

    request: CompletionRequest
    target: str


@dataclass(frozen=True)
class Sample:
    """What was written once. `tokens` without the one that ended it."""

    tokens: tuple[int, ...]
    text: str
    ended: bool


@dataclass(frozen=True)
class Reward:
    """`likeness` is the normalised Levenshtein similarity, 0 to 1; the others are costs, at most 0."""

    likeness: float
    syntax: float
    ending: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.likeness + self.syntax + self.ending


@dataclass(frozen=True)
class SectionOptions:
    """`samples` per section and step; `most_tokens` of one; `kl` weighs the distance to the network without adapter."""

    samples: int = 4
    sections: int = 2  # of one step
    most_tokens: int = 96
    temperature: float = 0.8
    learning_rate: float = 2e-4
    kl: float = 0.02
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class SectionStep:
    """One step: mean reward of its samples with its parts, and how much the samples of a group differed."""

    step: int
    reward: float
    likeness: float
    broken: float
    endless: float
    spread: float
    tokens: float


def reward_of(section: Section, sample: Sample) -> Reward:
    """The reward of a sample, part by part."""
    likeness = float(Levenshtein.normalized_similarity(sample.text.rstrip(), section.target.rstrip()))
    broken = _parses(section, section.target) and not _parses(section, sample.text)
    return Reward(likeness, -_BROKEN if broken else 0.0, 0.0 if sample.ended else -_ENDLESS)


def advantages(rewards: Sequence[float]) -> NDArray[np.float64]:
    """What each is above the mean of its group."""
    values = np.asarray(rewards, dtype=np.float64)
    return np.asarray(values - values.mean())


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


def train_sections(
    model: Any,
    writer: Writer,
    load: Callable[[Path], None],
    sections: Sequence[Section],
    layout: Layout,
    scheme: PositionScheme,
    *,
    options: SectionOptions,
    budget_seconds: float,
    most_steps: int,
    folder: Path,
    log: Path | None = None,
    progress: Callable[[SectionStep], None] = lambda step: None,
) -> list[SectionStep]:
    """Train the PEFT model in place, for so many seconds or steps; `folder` holds the adapter between two of them.

    `load` gives the adapter in a folder to the writer's runtime. `log`: a file to which every sample's reward is added.
    """
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.0)
    began, done = time.monotonic(), list[SectionStep]()
    while len(done) < most_steps and time.monotonic() - began < budget_seconds:
        draw = np.random.default_rng([options.seed, len(done)])
        model.save_pretrained(folder)
        (folder / CONFIG_FILE).chmod(0o644)
        load(folder)
        rewards: list[Reward] = []
        spreads, lengths = [], []
        for index in draw.choice(len(sections), min(options.sections, len(sections)), replace=False):
            section = sections[int(index)]
            prompt, samples = writer.write(
                section.request, options.samples, most=options.most_tokens, temperature=options.temperature, draw=draw
            )
            group = [reward_of(section, sample) for sample in samples]
            above = advantages([reward.total for reward in group])
            rewards += group
            spreads.append(float(np.std([reward.total for reward in group])))
            lengths += [len(sample.tokens) for sample in samples]
            _learn(model, layout, scheme, prompt, samples, above, options)
            if log is not None:
                with log.open("a", encoding="utf-8") as file:
                    for sample, reward in zip(samples, group, strict=True):
                        file.write(json.dumps({"step": len(done), "path": section.request.path, **asdict(reward),
                                               "tokens": len(sample.tokens)}) + "\n")  # fmt: skip
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        made = SectionStep(
            len(done),
            float(np.mean([reward.total for reward in rewards])),
            float(np.mean([reward.likeness for reward in rewards])),
            float(np.mean([reward.syntax < 0 for reward in rewards])),
            float(np.mean([reward.ending < 0 for reward in rewards])),
            float(np.mean(spreads)),
            float(np.mean(lengths)),
        )
        done.append(made)
        progress(made)
    model.save_pretrained(folder)
    load(folder)
    return done


def mean_reward(writer: Writer, sections: Sequence[Section], options: SectionOptions, *, samples: int = 2) -> float:
    """Of samples at these cursors, always drawn with the same numbers, so that two adapters are comparable."""
    totals = []
    for index, section in enumerate(sections):
        draw = np.random.default_rng([options.seed, 1_000_000, index])
        _, written = writer.write(
            section.request, samples, most=options.most_tokens, temperature=options.temperature, draw=draw
        )
        totals += [reward_of(section, sample).total for sample in written]
    return float(np.mean(totals))


def _learn(
    model: Any, layout: Layout, scheme: PositionScheme, prompt: Prompt, samples: Sequence[Sample],
    above: NDArray[np.float64], options: SectionOptions,
) -> None:  # fmt: skip
    """Add the gradients of one group: what was better than its group becomes likelier, token by token.

    Sums over tokens are divided by `most_tokens` for all, so that long samples are not favoured (Liu et al. 2025). The
    distance to the network without adapter is estimated as in Schulman (2020): exp(-d) - 1 + d with d = log p - log q.
    """
    import torch

    end = layout.form.middle.end if layout.form.middle is not None else None
    for sample, advantage in zip(samples, above, strict=True):
        ahead = [*sample.tokens, *([end] if sample.ended and end is not None else [])]
        if not ahead or (advantage == 0.0 and not options.kl):
            continue
        laid = row(row_of(prompt, ahead, scheme))
        losses, _ = token_losses(model, laid)
        loss = float(advantage) * losses.sum()
        if options.kl:
            with torch.no_grad(), model.disable_adapter():
                reference, _ = token_losses(model, laid)
            distance = reference - losses  # log p - log q of what was written
            loss = loss + options.kl * (torch.exp(-distance) - 1 + distance).sum()
        loss = loss / (options.most_tokens * len(samples) * options.sections)
        if not math.isfinite(float(loss.detach())):
            continue
        loss.backward()


def _parses(section: Section, text: str) -> bool:
    """Whether the file is Python with this text at the cursor; true for other languages, of which nothing is known."""
    if section.request.language != "python":
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(section.request.prefix + text + section.request.suffix)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
