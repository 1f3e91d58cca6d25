"""What late interaction (`index.late`) needs to be taught: which part of a token's state tells that it fits a chunk.

A projection and a weight per token of the question, on the frozen states of the encoder with its adapter. It is given
libraries and an encoder, and fetches nothing. What always holds: the same libraries and options make the same head.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.late import Head, means
from model.training.search_pairs import Library
from model.training.search_training import SearchPace


@dataclass(frozen=True)
class HeadOptions:
    """How a head is taught. `questions` and `chunks` of a package, at most; `packages` are taken in a drawn order."""

    packages: int = 95
    questions: int = 150
    chunks: int = 250
    passes: int = 12
    batch: int = 64
    dimension: int = 64
    learning_rate: float = 2e-3
    scale: float = 20.0  # of closeness and of cosines before the softmax, to begin with
    seed: int = 0


class States(Protocol):
    """What encodes: see `index.embedding.Embedder`."""

    def encode_states(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Vectors, and the states of each text's tokens."""


@dataclass(frozen=True)
class _Package:
    """Float16 tensors: tokens of questions (questions, longest, width) and means of tokens of chunks (chunks, longest,
    width), each with a mask; the vectors of both; and which chunk is right."""

    tokens: Any
    is_token: Any
    asked: Any
    parts: Any
    is_part: Any
    chunks: Any
    right: Any


def train_head(
    encoder: States,
    libraries: Mapping[str, Library],
    options: HeadOptions,
    *,
    progress: Callable[[SearchPace], None] = lambda pace: None,
) -> tuple[Head, dict[str, Any]]:
    """The head, and what is to be recorded of it.

    Cross-entropy over the chunks of the question's package, of closeness and cosine together, so that it learns what
    the cosine does not tell. The projection begins as principal components, each scaled by the fourth root of its
    variance. AdamW, falling to a twentieth. Raises ValueError without a question.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(options.seed)
    packages, mean, questions = _packages(encoder, libraries, options)
    if not packages:
        raise ValueError("expected questions to learn from, found none")
    steps = options.passes * len(packages)
    projection = torch.nn.Parameter(_components(packages, options.dimension))
    weighing, bias = torch.nn.Parameter(torch.zeros(len(mean))), torch.nn.Parameter(torch.zeros(1))
    scales = torch.nn.Parameter(torch.full((2,), options.scale))
    optimiser = torch.optim.AdamW(
        [
            {"params": [projection, weighing, bias], "lr": options.learning_rate},
            {"params": [scales], "lr": 50 * options.learning_rate},
        ],
        weight_decay=0.0,
    )
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - 0.95 * step / steps)
    losses: list[float] = []
    hits: list[float] = []
    began = time.monotonic()
    for _ in range(options.passes):
        for number in torch.randperm(len(packages)).tolist():
            one = packages[number]
            chosen = torch.randperm(len(one.right))[: options.batch]
            closeness = _closeness(
                one.tokens[chosen].float(), one.is_token[chosen], one.parts.float(), one.is_part,
                projection, weighing, bias,
            )  # fmt: skip
            scores = scales[0] * (one.asked[chosen] @ one.chunks.T) + scales[1] * closeness
            loss = functional.cross_entropy(scores, one.right[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
            losses.append(float(loss.detach()))
            hits.append(float((scores.argmax(1) == one.right[chosen]).float().mean()))
            left = (steps - len(losses)) * (time.monotonic() - began) / len(losses)
            recent = [float(np.mean(values[-len(packages) :])) for values in (losses, hits)]
            progress(SearchPace(len(losses), steps, recent[0], recent[1], left))
    head = Head(mean, projection.detach().numpy(), weighing.detach().numpy(), float(bias.detach()))
    of_pass = [float(np.mean(part)) for part in np.array_split(losses, options.passes)]
    return head, {
        "packages": len(packages), "questions": questions, "passes": options.passes, "dimension": options.dimension,
        "seed": options.seed, "losses": [round(loss, 4) for loss in of_pass],
    }  # fmt: skip


def _closeness(tokens: Any, is_token: Any, parts: Any, is_part: Any, projection: Any, weighing: Any, bias: Any) -> Any:
    """(questions, chunks), as `index.late.Question.closeness` says it of one question."""
    import torch
    from torch.nn import functional

    asked = functional.normalize(tokens @ projection, dim=-1)
    given = functional.normalize(parts @ projection, dim=-1)
    weights = functional.softplus(tokens @ weighing + bias) * is_token
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-9)
    found = []
    for start in range(0, len(asked), 32):  # the memory of all at once would be gigabytes
        cosines = torch.einsum("qtd,cpd->qtcp", asked[start : start + 32], given)
        closest = cosines.masked_fill(~is_part[None, None], -1e4).amax(-1)
        found.append((closest * weights[start : start + 32, :, None]).sum(1))
    return torch.cat(found)


def _packages(
    encoder: States, libraries: Mapping[str, Library], options: HeadOptions
) -> tuple[list[_Package], NDArray[np.float32], int]:
    """The states of what is learned from, less their mean, which comes with them; and how many questions that are."""
    import torch

    draw = random.Random(options.seed)
    names = sorted(name for name, library in libraries.items() if library.pairs)
    draw.shuffle(names)
    read = []
    for name in names[: options.packages]:
        pairs = draw.sample(libraries[name].pairs, min(len(libraries[name].pairs), options.questions))
        wanted = list(dict.fromkeys(pair.chunk for pair in pairs))
        others = [chunk for chunk in libraries[name].chunks if chunk not in set(wanted)]
        draw.shuffle(others)
        texts = wanted + others[: max(0, options.chunks - len(wanted))]
        vectors, tokens = encoder.encode_states([pair.question for pair in pairs])
        chunks, states = encoder.encode_states(texts)
        places = {text: place for place, text in enumerate(texts)}
        right = torch.tensor([places[pair.chunk] for pair in pairs])
        read.append((tokens, vectors, [means(one) for one in states], chunks, right))
    if not read:
        return [], np.zeros(0, dtype=np.float32), 0
    mean = np.concatenate([part for package in read for part in package[2][::10]]).mean(axis=0).astype(np.float32)
    packages = []
    for tokens, vectors, parts, chunks, right in read:
        (token, is_token), (part, is_part) = _padded(tokens, mean), _padded(parts, mean)
        packages.append(
            _Package(token, is_token, torch.from_numpy(vectors), part, is_part, torch.from_numpy(chunks), right)
        )
    return packages, mean, sum(len(package[4]) for package in read)


def _padded(rows: Sequence[NDArray[np.float32]], mean: NDArray[np.float32]) -> tuple[Any, Any]:
    """Rows less their mean, of the length of the longest, and which of them are there."""
    import torch

    longest = max(1, *map(len, rows))
    found = torch.zeros(len(rows), longest, len(mean), dtype=torch.float16)
    there = torch.zeros(len(rows), longest, dtype=torch.bool)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.from_numpy(row - mean)
        there[place, : len(row)] = True
    return found, there


def _components(packages: Sequence[_Package], dimension: int) -> Any:
    """(width, dimension): the first principal components of parts, each scaled by its variance to the power of -1/4."""
    import torch

    several = torch.cat([package.parts[package.is_part][::20] for package in packages]).float().numpy()
    variances, axes = np.linalg.eigh(several.T @ several / len(several))
    first = np.argsort(-variances)[:dimension]
    scaled = axes[:, first] * (variances.max() / np.maximum(variances[first], 1e-9)) ** 0.25
    return torch.from_numpy(np.ascontiguousarray(scaled, dtype=np.float32))
