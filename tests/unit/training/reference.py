"""What transformers itself says about a row: one forward pass with a mask, and caches that are put together by hand."""

from pathlib import Path
from typing import Any

import torch

from model.completion import CompletionRequest
from model.document import Document
from model.positions import Parallel, PositionScheme
from model.prompt import Layout, training_prompt
from model.training.rows import Row, row

DOCUMENTS = (Document("b.py", "k=red\nm=blue\n"), Document("c.py", "t=white"), Document("d.py", "w=black\n" * 5))


def plain_model(folder: Path) -> Any:
    """The base as transformers loads it, with its own attention."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def masked_logits(model: Any, row: Row) -> torch.Tensor:
    """(length, vocabulary), from one pass with the whole mask written out."""
    blocks = torch.tensor(row.blocks)
    own, context = blocks[:, None] == blocks[None], (blocks[:, None] < 0) & (blocks[None] >= 0)
    order = torch.arange(len(row))
    mask = ((blocks[None] == 0) | own | context) & (order[None] <= order[:, None])
    with torch.no_grad():
        logits: torch.Tensor = model(
            input_ids=torch.tensor([row.tokens]),
            attention_mask=mask[None, None],
            position_ids=torch.tensor([row.positions]),
        ).logits[0]
    return logits


def assembled_logits(model: Any, row: Row) -> torch.Tensor:
    """(tail, vocabulary) of the first tail: each document is encoded alone behind the sink, the caches are joined.

    What stands further on for the tail is turned on the way, by transformers' own rotation.
    """
    from transformers import DynamicCache
    from transformers.models.llama.modeling_llama import rotate_half

    def part(block: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [number for number, found in enumerate(row.blocks) if found == block]
        return (
            torch.tensor([[row.tokens[number] for number in chosen]]),
            torch.tensor([[row.positions[number] for number in chosen]]),
        )

    def read(block: int, keys: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[Any, list[Any], int]:
        """Logits of a block behind a cache, and the keys and values that the block added to it."""
        tokens, positions = part(block)
        before = keys[0][0].shape[2] if keys else 0
        cache = DynamicCache()
        for layer, (key, value) in enumerate(keys):
            cache.update(key, value, layer)
        length = tokens.shape[1]
        mask = torch.ones(length, before + length, dtype=torch.bool).tril(before)[None, None]
        with torch.no_grad():
            logits = model(tokens, past_key_values=cache, position_ids=positions, attention_mask=mask).logits[0]
        return logits, [(layer.keys, layer.values) for layer in cache.layers], before

    _, sink, _ = read(0, [])
    whole = list(sink)
    for block in range(1, 1 + max(row.blocks)):
        _, keys, before = read(block, sink)
        if row.moved:
            distance = row.moved[row.blocks.index(block)]
            length = keys[0][0].shape[2]
            cos, sin = model.model.rotary_emb(keys[0][0], torch.full((1, length), distance))
            keys = [(key * cos[:, None] + rotate_half(key) * sin[:, None], value) for key, value in keys]
        whole = [
            (torch.cat([old, key[:, :, before:]], 2), torch.cat([kept, value[:, :, before:]], 2))
            for (old, kept), (key, value) in zip(whole, keys, strict=True)
        ]
    return read(-1, whole)[0]


def served(
    layout: Layout,
    prefix: str = "x=1\nk=",
    target: str = "red",
    suffix: str = "\nm=blue",
    scheme: PositionScheme = Parallel(128),  # noqa: B008  (frozen)
) -> Row:
    """A row with three documents, as it is served."""
    request = CompletionRequest("a.py", "python", prefix, suffix, DOCUMENTS, "project")
    return row(training_prompt(layout, request, target, scheme))
