"""Attention in blocks for a transformers model: documents see the sink and themselves, tails see all documents.

It computes only what the mask lets through, so a row of documents costs a part of a full square. It trains and
measures; serving has its own runtimes. What always holds: the outcome equals that of one forward pass with a mask.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.training.rows import Row, Segment, segments

if TYPE_CHECKING:
    import torch

NAME = "inkling_blocks"


def use_block_attention(model: Any) -> None:
    """Let a transformers causal LM attend in blocks: every call then needs `blocks=` (`blocks_of`) and one row."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)


@dataclass(frozen=True)
class Blocks:
    """What one row needs besides its tokens. `parts`: each segment with its additive mask (groups * queries, keys).

    `turn`: cosine and sine (tokens, size / 2) by which keys are turned before other blocks see them; None for not.
    """

    parts: "tuple[tuple[Segment, torch.Tensor], ...]"
    turn: "tuple[torch.Tensor, torch.Tensor] | None" = None


def blocks_of(row: Row, frequencies: "torch.Tensor", groups: int, dtype: "torch.dtype", device: str) -> Blocks:
    """The blocks of a row. `frequencies`: radians per position of the network's rotation, (size / 2,)."""
    import torch

    parts = []
    for segment in segments(row.blocks):
        length = segment.stop - segment.start
        hidden = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
        own = torch.zeros(length, length, dtype=dtype, device=device).masked_fill(hidden, torch.finfo(dtype).min / 2)
        mask = torch.cat([torch.zeros(length, segment.prior, dtype=dtype, device=device), own], 1)
        parts.append((segment, mask.repeat(groups, 1)))
    if not any(row.moved):
        return Blocks(tuple(parts))
    moved = torch.tensor(row.moved, dtype=torch.float32, device=device)
    angles = moved[:, None] * frequencies.to(device, torch.float32)
    return Blocks(tuple(parts), (angles.cos(), angles.sin()))


def _attention(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: Any,
    scaling: float,
    blocks: Blocks,
    **more: Any,
) -> tuple["torch.Tensor", None]:
    """`query` (1, heads, length, size), `key` and `value` (1, key heads, length, size) -> (1, length, heads, size).

    Query heads that share a key head are stacked, so that no key is copied.
    """
    import torch

    _, heads, _, size = query.shape
    shared = key.shape[1]
    query, key, value = query[0] * scaling, key[0], value[0]
    seen_keys = key if blocks.turn is None else _turned(key, *blocks.turn)
    found = []
    for segment, mask in blocks.parts:
        length = segment.stop - segment.start
        asked = query[:, segment.start : segment.stop].reshape(shared, heads // shared * length, size)
        keys = torch.cat([seen_keys[:, : segment.prior], key[:, segment.start : segment.stop]], 1)
        values = torch.cat([value[:, : segment.prior], value[:, segment.start : segment.stop]], 1)
        scores = torch.baddbmm(mask.to(asked.dtype).expand(shared, *mask.shape), asked, keys.transpose(1, 2))
        seen = torch.bmm(scores.softmax(-1).to(values.dtype), values)
        found.append(seen.view(heads, length, size))
    return torch.cat(found, 1).transpose(0, 1)[None].contiguous(), None


def _turned(key: "torch.Tensor", cos: "torch.Tensor", sin: "torch.Tensor") -> "torch.Tensor":
    """Keys (heads, tokens, size) further on: rotations add up, and the halves of a head pair as in `model.rotation`."""
    import torch

    first, second = key.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(key.dtype)
