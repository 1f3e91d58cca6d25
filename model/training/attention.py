"""Attention in blocks for a transformers model: documents see the sink and themselves, tails see all documents.

It computes only what the mask lets through, so a row of documents costs a part of a full square. It trains and
measures; serving has its own runtimes. What always holds: the outcome equals that of one forward pass with a mask.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from model.training.rows import Segment

if TYPE_CHECKING:
    import torch

NAME = "inkling_blocks"


def use_block_attention(model: Any) -> None:
    """Let a transformers causal LM attend in blocks: every call then needs `blocks=` (`masks`) and one row."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)


def masks(
    segments: Sequence[Segment], groups: int, dtype: "torch.dtype", device: str
) -> list[tuple[Segment, "torch.Tensor"]]:
    """Each segment with its additive mask (groups * queries, keys): 0 where a query sees a key, else very low."""
    import torch

    found = []
    for segment in segments:
        length = segment.stop - segment.start
        hidden = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
        own = torch.zeros(length, length, dtype=dtype, device=device).masked_fill(hidden, torch.finfo(dtype).min / 2)
        mask = torch.cat([torch.zeros(length, segment.prior, dtype=dtype, device=device), own], 1)
        found.append((segment, mask.repeat(groups, 1)))
    return found


def _attention(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: Any,
    scaling: float,
    blocks: list[tuple[Segment, "torch.Tensor"]],
    **more: Any,
) -> tuple["torch.Tensor", None]:
    """`query` (1, heads, length, size), `key` and `value` (1, key heads, length, size) -> (1, length, heads, size).

    Query heads that share a key head are stacked, so that no key is copied.
    """
    import torch

    _, heads, _, size = query.shape
    shared = key.shape[1]
    query, key, value = query[0] * scaling, key[0], value[0]
    found = []
    for segment, mask in blocks:
        length = segment.stop - segment.start
        asked = query[:, segment.start : segment.stop].reshape(shared, heads // shared * length, size)
        keys = torch.cat([key[:, : segment.prior], key[:, segment.start : segment.stop]], 1)
        values = torch.cat([value[:, : segment.prior], value[:, segment.start : segment.stop]], 1)
        scores = torch.baddbmm(mask.to(asked.dtype).expand(shared, *mask.shape), asked, keys.transpose(1, 2))
        seen = torch.bmm(scores.softmax(-1).to(values.dtype), values)
        found.append(seen.view(heads, length, size))
    return torch.cat(found, 1).transpose(0, 1)[None].contiguous(), None
