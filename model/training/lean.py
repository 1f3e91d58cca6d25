"""A transformers network with its LoRA, computed without what training and measuring do not need.

The weights and the LoRA stay in the model; only the way through it is ours: rows side by side, so that matrices are
large enough for a CPU to be fast and launches few enough for a GPU; what a backward pass needs kept once, in the type
of the layers. What always holds: losses and gradients are those of `model.training.batches.target_logits` row by row,
up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from torch.nn import functional

from model.shape import ModelShape, UnsupportedModelError, shape_of
from model.training.bundles import Bundle, Integers, Run

MASKED_ON = frozenset({"cuda"})  # devices on which a launch costs more than arithmetic
_networks: "WeakKeyDictionary[Any, LeanNetwork | None]" = WeakKeyDictionary()


def lean(causal: Any) -> "LeanNetwork | None":
    """The network of a transformers causal LM, made once; None where it is of a shape that we do not compute.

    `causal` may have a LoRA in it, also one that is put there later.
    """
    found = _networks.get(causal)
    if causal in _networks and (found is None or found.dtype == _dtype(causal)):
        return found
    try:
        shape = shape_of(causal.config.to_dict(), Path(causal.name_or_path))
    except UnsupportedModelError:
        shape = None
    with torch.inference_mode(False):  # what is made while measuring is trained on later
        _networks[causal] = LeanNetwork(causal, shape) if shape is not None else None
    return _networks[causal]


class LeanNetwork:
    """Layers are computed in the type of their matrices, the stream between them and all norms in float32."""

    def __init__(self, causal: Any, shape: ModelShape) -> None:
        self._shape = shape
        self._decoder = ref(causal.get_decoder())  # what is remembered keeps no network alive
        self.dtype = _dtype(causal)
        self._embedding = causal.get_input_embeddings().weight
        self._head = causal.get_output_embeddings().weight.detach().to(self.dtype)
        self._frequencies = causal.get_decoder().rotary_emb.inv_freq.float()

    def logits(self, pack: Sequence[Bundle]) -> list[torch.Tensor]:
        """float32 (targets, vocabulary) of each row of each bundle, in order."""
        placed = _Placed(pack, self._frequencies, self.dtype)
        hidden = self._embedding[placed.tokens].float()
        decoder = self._decoder()
        assert decoder is not None
        for layer in decoder.layers:
            hidden = self._layer(layer, hidden, placed)
        asked = [
            torch.from_numpy(row.behind) + start
            for start, each in zip(placed.starts, pack, strict=False)
            for row in each.rows
        ]
        states = hidden[torch.cat(asked).to(hidden.device)]
        states = _Norm.apply(states, decoder.norm.weight, self._shape.epsilon, self.dtype)
        logits = functional.linear(states, self._head).float()  # all at once: the head is most of what is read for them
        return list(logits.split([len(each) for each in asked]))

    def _layer(self, layer: Any, hidden: torch.Tensor, placed: "_Placed") -> torch.Tensor:
        attention, mlp = layer.self_attn, layer.mlp
        normed = _Norm.apply(hidden, layer.input_layernorm.weight, self._shape.epsilon, self.dtype)
        queries, keys, values = (
            _linear(part, normed).unflatten(-1, (-1, self._shape.head_dim))
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if self._shape.qk_norm:
            queries = _Norm.apply(queries, attention.q_norm.weight, self._shape.epsilon, self.dtype)
            keys = _Norm.apply(keys, attention.k_norm.weight, self._shape.epsilon, self.dtype)
        hidden = hidden + _linear(attention.o_proj, placed.attended(queries, keys, values).flatten(1))
        normed = _Norm.apply(hidden, layer.post_attention_layernorm.weight, self._shape.epsilon, self.dtype)
        inner = _Gated.apply(_linear(mlp.gate_proj, normed), _linear(mlp.up_proj, normed))
        return hidden + _linear(mlp.down_proj, inner)


@dataclass(frozen=True)
class _Turn:
    """Cosine and sine, float32 (n, 1, size / 2); the halves of a head pair as in `model.rotation`."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __call__(self, states: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """States (n, heads, size), rotated, times `share`."""
        return self._turned(states, self.cos * share, self.sin * share)

    def back(self, states: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """The other way round."""
        return self._turned(states, self.cos * share, self.sin * -share)

    def _turned(self, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        first, second = states.float().chunk(2, -1)
        found = torch.empty_like(states)
        half = first.shape[-1]
        found[..., :half] = (first * cos).addcmul_(second, sin, value=-1)
        found[..., half:] = (second * cos).addcmul_(first, sin)
        return found


class _Placed:
    """A pack as tensors, and attention over it."""

    def __init__(self, pack: Sequence[Bundle], frequencies: torch.Tensor, dtype: torch.dtype) -> None:
        device = frequencies.device
        self.tokens = torch.cat([torch.from_numpy(each.tokens) for each in pack]).to(device)
        self.starts = [sum(len(each) for each in pack[:number]) for number in range(len(pack) + 1)]
        self.turn = _turn(np.concatenate([each.positions for each in pack]), frequencies)
        self.runs = [
            _Run(start, run, _turn(each.moved[: run.prior], frequencies) if each.moved[: run.prior].any() else None)
            for start, each in zip(self.starts, pack, strict=False)
            for run in each.runs
        ]
        longest = max(run.stop - run.start for each in pack for run in each.runs)
        self._hidden = torch.full((longest, longest), -torch.inf, dtype=dtype, device=device).triu_(1)
        self._together = _Together(pack, frequencies) if device.type in MASKED_ON else None

    def attended(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """What queries (n, heads, size), not rotated yet, find in keys and values (n, key heads, size): their shape."""
        if self._together is not None:
            return self._together(queries, keys, values, self.turn)
        found: torch.Tensor = _Attention.apply(queries, keys, values, self)
        return found

    def weights(self, asked: torch.Tensor, keys: torch.Tensor, length: int) -> torch.Tensor:
        """Softmax of `asked` (key heads, groups * length, size) over `keys` (key heads, m, size): (..., m)."""
        scores = torch.bmm(asked, keys.mT)
        scores.unflatten(1, (-1, length))[..., -length:] += self._hidden[:length, :length]
        return scores.softmax(-1)


class _Together:
    """Attention over a whole pack at once, with who sees whom as one mask: a square of work, but a few launches."""

    def __init__(self, pack: Sequence[Bundle], frequencies: torch.Tensor) -> None:
        self._moved = _turn(np.concatenate([each.moved for each in pack]), frequencies)
        count, first = sum(map(len, pack)), 0
        visible = np.zeros((count, 2 * count), dtype=bool)  # all keys as other blocks see them, then as their own does
        for each in pack:
            for run in each.runs:
                asked = slice(first + run.start, first + run.stop)
                visible[asked, first : first + run.prior] = True
                visible[asked, count + first + run.since : count + first + run.until] = True
                visible[asked, count + asked.start : count + asked.stop] = np.tri(run.stop - run.start, dtype=bool)
            first += len(each)
        self._visible = torch.from_numpy(visible).to(frequencies.device)

    def __call__(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, turn: "_Turn") -> torch.Tensor:
        """As `_Placed.attended`."""
        groups = queries.shape[1] // keys.shape[1]
        keys = _Turned.apply(keys, turn)
        seen, told = (
            torch.cat(both).transpose(0, 1).repeat_interleave(groups, 0)[None]
            for both in ((_Turned.apply(keys, self._moved), keys), (values, values))
        )
        asked = _Turned.apply(queries, turn).transpose(0, 1)[None]
        found = functional.scaled_dot_product_attention(asked, seen, told, attn_mask=self._visible)
        return found[0].transpose(0, 1)


class _Turned(torch.autograd.Function):
    """States (n, heads, size), rotated."""

    @staticmethod
    def forward(ctx: Any, states: Any, turn: _Turn) -> Any:
        ctx.turn = turn
        return turn(states)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.turn.back(gradients[0]), None


@dataclass(frozen=True)
class _Run:
    """A run of a bundle that begins at `first`."""

    first: int
    run: Run
    moved: _Turn | None

    @property
    def places(self) -> tuple[slice, slice, slice]:
        """Where what it sees of the context stands, what it sees besides, and itself."""
        at, run = self.first, self.run
        pairs = ((0, run.prior), (run.since, run.until), (run.start, run.stop))
        prior, since, own = (slice(at + start, at + stop) for start, stop in pairs)
        return prior, since, own

    def seen(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of all tokens' those that it sees, (key heads, m, size)."""
        prior, since, own = self.places
        before = keys[prior] if self.moved is None else self.moved(keys[prior])
        found = torch.cat([before, keys[since], keys[own]]), torch.cat([values[prior], values[since], values[own]])
        return found[0].transpose(0, 1), found[1].transpose(0, 1)

    def give_back(self, all_keys: torch.Tensor, all_values: torch.Tensor, keys: Any, values: Any) -> None:
        """Add the gradients of what was seen, (key heads, m, size), to those of all tokens, in place."""
        at = 0
        for number, place in enumerate(self.places):
            stop = at + place.stop - place.start
            key, value = (part[:, at:stop].transpose(0, 1) for part in (keys, values))
            all_keys[place] += self.moved.back(key) if self.moved is not None and number == 0 else key
            all_values[place] += value
            at = stop


def _turn(positions: Integers, frequencies: torch.Tensor) -> _Turn:
    angles = torch.from_numpy(positions).to(frequencies.device)[:, None, None].float() * frequencies
    return _Turn(angles.cos(), angles.sin())


def _linear(module: Any, states: torch.Tensor) -> torch.Tensor:
    """What a linear layer, with a LoRA or without one, makes of states (..., in) in its own type."""
    base = _base(module)
    names = [] if base is module or module.disable_adapters else module.active_adapters
    for name in names:
        if name in module.lora_A:
            down, up = (part[name].weight.to(states.dtype) for part in (module.lora_A, module.lora_B))
            found: torch.Tensor = _LoraLinear.apply(states, base.weight, base.bias, down, up, module.scaling[name])
            return found
    return functional.linear(states, base.weight, base.bias)


def _dtype(causal: Any) -> torch.dtype:
    found: torch.dtype = _base(causal.get_decoder().layers[0].mlp.up_proj).weight.dtype
    return found


def _base(module: Any) -> Any:
    return getattr(module, "base_layer", module)


class _LoraLinear(torch.autograd.Function):
    """x W' + b + scale x A' B' (Hu et al. 2021). W and b are frozen; x is kept once, x A' besides."""

    @staticmethod
    def forward(ctx: Any, states: Any, weight: Any, bias: Any, down: Any, up: Any, scale: float) -> Any:
        inner = states @ down.T
        found = functional.linear(states, weight, bias).addmm_(inner, up.T, alpha=scale)
        ctx.save_for_backward(states, inner, weight, down, up)
        ctx.scale = scale
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        states, inner, weight, down, up = ctx.saved_tensors
        back = (gradient @ up).mul_(ctx.scale)
        of_states = (gradient @ weight).addmm_(back, down) if ctx.needs_input_grad[0] else None
        return of_states, None, None, back.T @ states, (gradient.T @ inner).mul_(ctx.scale), None


class _Norm(torch.autograd.Function):
    """RMS norm (Zhang & Sennrich 2019) in float32; the scale is frozen."""

    @staticmethod
    def forward(ctx: Any, states: Any, scale: Any, epsilon: float, dtype: torch.dtype) -> Any:
        wide = states.float()
        factor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(states, factor, scale)
        return (wide * factor).mul_(scale).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        states, factor, scale = ctx.saved_tensors
        gradient, unit = gradients[0] * scale.float(), states.float() * factor
        share = (gradient * unit).mean(-1, keepdim=True)
        return gradient.sub_(unit.mul_(share)).mul_(factor).to(states.dtype), None, None, None


class _Gated(torch.autograd.Function):
    """silu(gate) * up; only the two are kept."""

    @staticmethod
    def forward(ctx: Any, gate: Any, up: Any) -> Any:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        gate, up = ctx.saved_tensors
        (gradient,) = gradients
        return torch.ops.aten.silu_backward(gradient * up, gate), functional.silu(gate).mul_(gradient)


class _Attention(torch.autograd.Function):
    """Queries (n, heads, size), keys and values (n, key heads, size) of a pack, not rotated yet, to (n, heads, size).

    Weights are computed again on the way back, so that no square is kept.
    """

    @staticmethod
    def forward(ctx: Any, queries: Any, keys: Any, values: Any, placed: _Placed) -> Any:
        queries, keys = placed.turn(queries, queries.shape[-1] ** -0.5), placed.turn(keys)
        ctx.save_for_backward(queries, keys, values)
        ctx.placed = placed
        found = torch.empty_like(queries)
        for run in placed.runs:
            own = run.places[-1]
            seen, told = run.seen(keys, values)
            asked = _stacked(queries[own], len(seen))
            length = own.stop - own.start
            found[own] = _unstacked(torch.bmm(placed.weights(asked, seen, length), told), length)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        queries, keys, values = ctx.saved_tensors
        placed: _Placed = ctx.placed
        of_queries, of_keys, of_values = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
        for run in placed.runs:
            own = run.places[-1]
            length = own.stop - own.start
            seen, told = run.seen(keys, values)
            asked, gradient = (_stacked(part[own], len(seen)) for part in (queries, gradients[0]))
            weights = placed.weights(asked, seen, length)
            back = torch.bmm(gradient, told.mT)
            scores = torch._softmax_backward_data(back, weights, -1, weights.dtype)
            of_queries[own] = _unstacked(torch.bmm(scores, seen), length)
            run.give_back(of_keys, of_values, torch.bmm(scores.mT, asked), torch.bmm(weights.mT, gradient))
        turn = placed.turn
        return turn.back(of_queries, queries.shape[-1] ** -0.5), turn.back(of_keys), of_values, None


def _stacked(states: torch.Tensor, shared: int) -> torch.Tensor:
    """(n, heads, size) to (key heads, groups * n, size): query heads that share keys one below the other."""
    return states.unflatten(1, (shared, -1)).permute(1, 2, 0, 3).flatten(1, 2)


def _unstacked(states: torch.Tensor, length: int) -> torch.Tensor:
    return states.unflatten(1, (-1, length)).permute(2, 0, 1, 3).flatten(1, 2)
