"""Attention of new tokens to what is in a buffer and to each other, on one device in one dtype.

Query heads that share a key/value head become rows of one matrix, so that no key is ever repeated. What all new tokens
see and what they see of each other are computed apart and merged by their log-sum-exp (Dao et al. 2022,
"FlashAttention"). torch's flash kernels return that sum; they are used where a trial on this device agrees with plain
arithmetic. Scores and softmax are float32 on every way. Knows nothing of layers, positions or slots.
"""

import logging
from typing import Any

import torch

from model.shape import ModelShape

log = logging.getLogger(__name__)

# Not part of torch's public interface, which keeps the log-sum-exp to itself: hence the trial.
_FLASH = {"cpu": "_scaled_dot_product_flash_attention_for_cpu", "cuda": "_scaled_dot_product_flash_attention"}

Part = tuple[torch.Tensor, torch.Tensor]  # (kv_heads, groups * n, head_dim) and its float32 log-sum-exp, one per row


class Attention:
    """`flash` says whether torch's flash kernel computes; without it, memory grows with queries times keys."""

    def __init__(self, shape: ModelShape, device: str, dtype: torch.dtype) -> None:
        self._shape = shape
        self._device = device
        self._dtype = dtype
        self._scale = shape.head_dim**-0.5
        self._widens = _widens(device, dtype)
        self._kernel = self._tried()

    @property
    def flash(self) -> bool:
        """Whether torch's flash kernel is used."""
        return self._kernel is not None

    def causal(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, past: int) -> torch.Tensor:
        """Queries (heads, n, head_dim) over keys and values (kv_heads, past + n, head_dim): (n, heads * head_dim).

        The first `past` keys are seen by every query, the last n causally.
        """
        count = queries.shape[1]
        if count == 1:
            return self._ungrouped(self._everything(queries, keys, values)[0], 1)
        own, own_sum = self._each_other(queries, keys[:, past:], values[:, past:])
        if not past:
            return self._ungrouped(own, count)
        other, other_sum = self._everything(queries, keys[:, :past], values[:, :past])
        share = torch.sigmoid(other_sum - own_sum)[..., None]
        merged = share * other.float() + (1 - share) * own.float()
        return self._ungrouped(merged.to(self._dtype), count)

    def masked(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        """As `causal`, but query i sees the keys where `visible` (n, keys) is true: sizes that a CUDA graph can fix."""
        return self._ungrouped(self._plain(queries, keys, values, ~visible)[0], queries.shape[1])

    def _everything(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Part:
        """Every query sees every key."""
        if self._kernel is None:
            return self._plain(queries, keys, values, None)
        out, total = self._flash(self._grouped(queries)[None], keys[None], values[None], causal=False)
        return out[0], total[0]

    def _each_other(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Part:
        """As many queries as keys, causally. Here a key is repeated in name only: by a stride of nothing."""
        if self._kernel is None:
            count = queries.shape[1]
            hidden = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu(1)
            return self._plain(queries, keys, values, hidden)
        apart = queries.unflatten(0, (self._shape.kv_heads, self._shape.groups))
        out, total = self._flash(apart, self._shared(keys), self._shared(values), causal=True)
        return out.flatten(1, 2), total.flatten(1, 2)

    def _shared(self, part: torch.Tensor) -> torch.Tensor:
        """(kv_heads, n, head_dim) to (kv_heads, groups, n, head_dim). A copy on CUDA: strides of 0 were not tried."""
        shared = part[:, None].expand(-1, self._shape.groups, -1, -1)
        return shared.contiguous() if self._device == "cuda" else shared

    def _flash(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool) -> Part:
        assert self._kernel is not None
        found = self._kernel(queries, keys, values, dropout_p=0.0, is_causal=causal, scale=self._scale)
        return found[0], found[1]

    def _plain(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, hidden: torch.Tensor | None
    ) -> Part:
        """Every step written out; `hidden` (n, keys), None: nothing is. In place: scores are the largest tensor."""
        scores = self._scores(self._grouped(queries), keys).mul_(self._scale)
        if hidden is not None:
            scores.unflatten(1, (self._shape.groups, -1)).masked_fill_(hidden, -torch.inf)
        top = scores.amax(-1, keepdim=True)
        weights = scores.sub_(top).exp_()
        total = weights.sum(-1, keepdim=True)
        out = (weights.to(self._dtype) @ values).float() / total
        return out.to(self._dtype), (top + total.log()).squeeze(-1)

    def _scores(self, grouped: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """float32 (kv_heads, groups * n, keys); never rounded to bfloat16 on the way."""
        if self._widens:
            return torch.bmm(grouped, keys.transpose(1, 2), out_dtype=torch.float32)
        return torch.bmm(grouped.float(), keys.float().transpose(1, 2))

    def _grouped(self, queries: torch.Tensor) -> torch.Tensor:
        """(heads, n, head_dim) to (kv_heads, groups * n, head_dim)."""
        return queries.unflatten(0, (self._shape.kv_heads, self._shape.groups)).flatten(1, 2)

    def _ungrouped(self, attended: torch.Tensor, count: int) -> torch.Tensor:
        """(kv_heads, groups * n, head_dim) to (n, heads * head_dim)."""
        return attended.unflatten(1, (self._shape.groups, count)).flatten(0, 1).transpose(0, 1).flatten(1)

    def _tried(self) -> Any:
        """The flash kernel of this device if it computes the same as plain arithmetic, else None."""
        name = _FLASH.get(self._device)
        if name is None:
            return None
        shape, seeded = self._shape, torch.Generator().manual_seed(0)
        queries, keys, values = (
            torch.randn(heads, count, shape.head_dim, generator=seeded).to(self._device, self._dtype)
            for heads, count in ((shape.heads, 5), (shape.kv_heads, 12), (shape.kv_heads, 12))
        )
        self._kernel = None
        expected = self.causal(queries, keys, values, 7)
        try:
            self._kernel = getattr(torch.ops.aten, name)
            found = self.causal(queries, keys, values, 7)
        except (AttributeError, TypeError, RuntimeError) as error:
            log.info("attention goes without %s: %s", name, error)
            return None
        bound = 1e-4 if self._dtype == torch.float32 else 0.05
        if not torch.allclose(found.float(), expected.float(), atol=bound, rtol=bound):
            log.warning("attention goes without %s: it does not compute what is expected of it", name)
            return None
        return self._kernel


def _widens(device: str, dtype: torch.dtype) -> bool:
    """Whether this device multiplies matrices of this dtype into float32 without copying them first."""
    if device == "cpu" or dtype == torch.float32:
        return False
    one = torch.ones(1, 16, 16, device=device, dtype=dtype)
    try:
        return bool(torch.bmm(one, one, out_dtype=torch.float32).dtype == torch.float32)
    except RuntimeError as error:
        log.info("scores are computed from copies in float32: %s", error)
        return False
