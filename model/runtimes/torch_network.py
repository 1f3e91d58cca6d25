"""A Llama-shaped forward pass in torch, without anything that serving does not need.

Weights are fused (queries, keys and values; gate and up) and stay where they are when an adapter is merged, so that
captured CUDA graphs stay good. It computes; which slots are whose is decided above, how attention is computed in
`model.runtimes.torch_attention`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model.runtimes.torch_attention import Attention
from model.shape import ModelShape

Parameters = dict[str, torch.Tensor]

# layer, rotated queries (heads, n, head_dim), rotated keys, values (kv_heads, n, head_dim) to (n, heads * head_dim)
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Slots:
    """Keys and values of a buffer: each (layers, kv_heads, capacity, head_dim)."""

    keys: torch.Tensor
    values: torch.Tensor


class TorchNetwork:
    """The network on one device in one dtype. Norms, softmax and rotations are computed in float32."""

    def __init__(self, shape: ModelShape, parameters: Parameters, device: str, dtype: torch.dtype) -> None:
        self.shape = shape
        self.device = device
        self.dtype = dtype
        self.attention = Attention(shape, device, dtype)
        self._parameters = {name: tensor.to(device, dtype) for name, tensor in parameters.items()}
        self._by_layer = [layer_of(self._parameters, layer) for layer in range(shape.layers)]
        # rounded first: Apple's GPUs take no float64
        self._frequencies = torch.from_numpy(shape.inverse_frequencies().astype(np.float32)).to(device)

    def replace(self, parameters: Parameters) -> None:
        """Take over other values of the same sizes, in place. Needs no memory on the device.

        Raises ValueError, with nothing changed, if a name or a size is another (the files were replaced meanwhile).
        """
        sizes = [{name: one.shape for name, one in each.items()} for each in (self._parameters, parameters)]
        if sizes[0] != sizes[1]:
            raise ValueError("these are weights of another network than the one that was loaded")
        for name, tensor in parameters.items():
            self._parameters[name].copy_(tensor.to(self.dtype))

    def forward(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        slots: Slots,
        slot: int,
        noted: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Hidden states (n, hidden) behind the last norm; new keys and values go to `slot` and following.

        `ids`, `positions`: (n,) int64. `noted` gets the rotated queries of each layer, (heads, n, head_dim).
        """
        end = slot + len(ids)

        def attend(layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            if noted is not None:
                noted.append(queries)
            slots.keys[layer, :, slot:end] = keys
            slots.values[layer, :, slot:end] = values
            return self.attention.causal(queries, slots.keys[layer, :, :end], slots.values[layer, :, :end], slot)

        return self._layers(ids, positions, attend)

    def forward_static(
        self, ids: torch.Tensor, positions: torch.Tensor, slots: Slots, at: torch.Tensor, length: int
    ) -> torch.Tensor:
        """As `forward`, with every size fixed and the slots `at` (n,) on the device: what a CUDA graph can capture.

        Attends to the first `length` slots under a mask: a token sees the slots up to its own.
        """
        visible = torch.arange(length, device=at.device)[None] <= at[:, None]

        def attend(layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            slots.keys[layer].index_copy_(1, at, keys)
            slots.values[layer].index_copy_(1, at, values)
            return self.attention.masked(
                queries, slots.keys[layer, :, :length], slots.values[layer, :, :length], visible
            )

        return self._layers(ids, positions, attend)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 (n, vocabulary)."""
        head = self._parameters["embedding"] if self.shape.tied else self._parameters["head"]
        return functional.linear(hidden, head).float()

    def turned(self, keys: torch.Tensor, distance: int) -> torch.Tensor:
        """Keys (..., head_dim) as if their tokens stood `distance` positions further on (see `model.rotation`)."""
        angles = distance * self._frequencies
        return rotated(keys.float(), angles.cos(), angles.sin()).to(keys.dtype)

    def _layers(self, ids: torch.Tensor, positions: torch.Tensor, attend: Attend) -> torch.Tensor:
        angles = positions[:, None].float() * self._frequencies
        cos, sin = angles.cos(), angles.sin()
        hidden = self._parameters["embedding"][ids]
        for layer, weights in enumerate(self._by_layer):
            attended = attend(layer, *before_attention(self.shape, weights, hidden, cos, sin))
            hidden = behind_attention(self.shape, weights, hidden, attended)
        return norm(hidden, self._parameters["final"], self.shape.epsilon)


def before_attention(
    shape: ModelShape, weights: Parameters, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first half of a layer: queries (heads, n, head_dim), keys and values (kv_heads, n, head_dim), rotated.

    `weights` are those of one layer (`layer_of`), `hidden` (n, hidden), `cos` and `sin` (n, head_dim / 2) float32.
    """
    normed = norm(hidden, weights["before"], shape.epsilon)
    projected = functional.linear(normed, weights["qkv"], weights.get("qkv.bias"))
    queries, keys, values = projected.split(
        [shape.heads * shape.head_dim, *[shape.kv_heads * shape.head_dim] * 2], dim=-1
    )
    queries, keys, values = (
        part.unflatten(-1, (-1, shape.head_dim)).transpose(0, 1) for part in (queries, keys, values)
    )
    if shape.qk_norm:
        queries = norm(queries, weights["q_norm"], shape.epsilon)
        keys = norm(keys, weights["k_norm"], shape.epsilon)
    queries = rotated(queries.float(), cos, sin).to(hidden.dtype)
    return queries, rotated(keys.float(), cos, sin).to(hidden.dtype), values


def behind_attention(
    shape: ModelShape, weights: Parameters, hidden: torch.Tensor, attended: torch.Tensor
) -> torch.Tensor:
    """The second half of a layer: `attended` (n, heads * head_dim) and the MLP added to `hidden` (n, hidden)."""
    hidden = hidden + functional.linear(attended, weights["output"], weights.get("output.bias"))
    normed = norm(hidden, weights["after"], shape.epsilon)
    gate, up = functional.linear(normed, weights["gate_up"], weights.get("gate_up.bias")).chunk(2, -1)
    return hidden + functional.linear(functional.silu(gate) * up, weights["down"], weights.get("down.bias"))


def norm(hidden: torch.Tensor, scale: torch.Tensor, epsilon: float) -> torch.Tensor:
    """RMS norm (Zhang & Sennrich 2019), as transformers rounds it."""
    wide = hidden.float()
    return scale * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(hidden.dtype)


def rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate (..., n, head_dim) by angles (n, head_dim / 2); half-split layout."""
    first, second = states.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def layer_of(parameters: Parameters, layer: int) -> Parameters:
    """The weights of one layer, under their names without its number."""
    prefix = f"{layer}."
    return {name.removeprefix(prefix): tensor for name, tensor in parameters.items() if name.startswith(prefix)}


def fused(shape: ModelShape, tensors: Mapping[str, NDArray[np.float32]]) -> Parameters:
    """transformers' tensors under our names, with those that are multiplied together put together.

    Raises KeyError for a tensor that this shape needs and that is not there.
    """
    found: Parameters = {"embedding": _tensor(tensors["model.embed_tokens.weight"])}
    found["final"] = _tensor(tensors["model.norm.weight"])
    if not shape.tied:
        found["head"] = _tensor(tensors["lm_head.weight"])
    for layer in range(shape.layers):
        prefix, at = f"model.layers.{layer}.", f"{layer}."
        found[at + "before"] = _tensor(tensors[prefix + "input_layernorm.weight"])
        found[at + "after"] = _tensor(tensors[prefix + "post_attention_layernorm.weight"])
        for name, parts in FUSED.items():
            for kind, ending in (("weight", ""), ("bias", ".bias")):
                names = [f"{prefix}{part}_proj.{kind}" for part in parts]
                if kind == "weight" or names[0] in tensors:
                    found[at + name + ending] = _tensor(np.concatenate([tensors[one] for one in names]))
        if shape.qk_norm:
            for name in ("q_norm", "k_norm"):
                found[at + name] = _tensor(tensors[f"{prefix}self_attn.{name}.weight"])
    return found


FUSED: dict[str, Sequence[str]] = {
    "qkv": ("self_attn.q", "self_attn.k", "self_attn.v"),
    "output": ("self_attn.o",),
    "gate_up": ("mlp.gate", "mlp.up"),
    "down": ("mlp.down",),
}


def random_parameters(shape: ModelShape, device: str, dtype: torch.dtype) -> Parameters:
    """Weights of the right sizes and no meaning, for figures of speed."""
    return {name: torch.randn(size, device=device, dtype=dtype) * 0.02 for name, size in _sizes(shape)}


def _sizes(shape: ModelShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, across = shape.heads * shape.head_dim, 2 * shape.kv_heads * shape.head_dim
    yield "embedding", (shape.vocabulary, shape.hidden)
    yield "final", (shape.hidden,)
    if not shape.tied:
        yield "head", (shape.vocabulary, shape.hidden)
    for layer in range(shape.layers):
        yield f"{layer}.before", (shape.hidden,)
        yield f"{layer}.after", (shape.hidden,)
        yield f"{layer}.qkv", (width + across, shape.hidden)
        yield f"{layer}.output", (shape.hidden, width)
        yield f"{layer}.gate_up", (2 * shape.intermediate, shape.hidden)
        yield f"{layer}.down", (shape.hidden, shape.intermediate)
        if shape.qkv_bias:
            yield f"{layer}.qkv.bias", (width + across,)
        if shape.output_bias:
            yield f"{layer}.output.bias", (shape.hidden,)
        if shape.mlp_bias:
            yield f"{layer}.gate_up.bias", (2 * shape.intermediate,)
            yield f"{layer}.down.bias", (shape.hidden,)
        if shape.qk_norm:
            yield f"{layer}.q_norm", (shape.head_dim,)
            yield f"{layer}.k_norm", (shape.head_dim,)


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
