"""Training on packs: the network of a base with its LoRA merged, many rows at once, compiled where there is a GPU.

The gradients are those of one row after the other (`model.training.batches`), up to rounding; on a GPU it is many times
as fast. A LoRA costs nothing per token here: its product is added to the weights once per step, and their gradient is
taken back to A and B.
"""

import inspect
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.runtimes.torch_network import (
    FUSED,
    Parameters,
    before_attention,
    behind_attention,
    fused,
    layer_of,
    norm,
    rotated,
)
from model.shape import ModelShape, shape_of
from model.training.batches import divergence
from model.training.exercises import Drawn
from model.training.packs import Lesson, Pack, draw_lesson

_MOST_DRAWERS = 15  # processes that draw exercises ahead


class MergedLora:
    """The weights of a network with its LoRA added: scaling * B @ A (Hu et al. 2021), one leaf for each of a layer."""

    def __init__(self, model: Any, shape: ModelShape, dtype: torch.dtype) -> None:
        """`model`: a PEFT model whose LoRA is trained; its parameters stay where they are and are read at each step."""
        causal = model.get_base_model()
        named = {
            name.replace(".base_layer", ""): parameter.detach().float().cpu().numpy()
            for name, parameter in causal.named_parameters()
            if "lora_" not in name
        }
        device = causal.get_input_embeddings().weight.device
        parameters = {name: tensor.to(device, dtype) for name, tensor in fused(shape, named).items()}
        self._layers = shape.layers
        self._dtype = dtype
        self._frozen = parameters
        self._stacked = {
            kind: torch.stack([parameters[f"{layer}.{kind}"] for layer in range(shape.layers)]) for kind in FUSED
        }
        for kind, stack in self._stacked.items():  # the same memory twice, not twice the memory
            parameters.update({f"{layer}.{kind}": tensor for layer, tensor in enumerate(stack)})
        modules = dict(causal.named_modules())
        self._parts = {
            kind: [[modules[f"model.layers.{layer}.{part}_proj"] for layer in range(shape.layers)] for part in parts]
            for kind, parts in FUSED.items()
        }

    def weights(self) -> Parameters:
        """All parameters under the names of `fused`; those that the LoRA changes are fresh leaves with a gradient."""
        found = dict(self._frozen)
        with torch.no_grad():
            for kind, parts in self._parts.items():
                if not any(_adapted(modules) for modules in parts):
                    continue
                whole = self._stacked[kind].to(torch.float32, copy=True)
                for modules, rows in zip(parts, self._rows(kind), strict=True):
                    if _adapted(modules):
                        down, up = _pair(modules)
                        whole[:, rows].baddbmm_(up, down, alpha=_scaling(modules))
                for layer, tensor in enumerate(whole.to(self._dtype).unbind()):
                    found[f"{layer}.{kind}"] = tensor.requires_grad_()
        return found

    def take_back(self, weights: Parameters, share: float) -> None:
        """Set the gradients of A and B from those of `weights`, times `share`."""
        for kind, parts in self._parts.items():
            if not any(_adapted(modules) for modules in parts):
                continue
            gradient = torch.stack([_gradient(weights[f"{layer}.{kind}"]) for layer in range(self._layers)]).float()
            for modules, rows in zip(parts, self._rows(kind), strict=True):
                if not _adapted(modules):
                    continue
                down, up = _pair(modules)
                here, scale = gradient[:, rows], share * _scaling(modules)
                for module, of_up, of_down in zip(
                    modules, scale * (here @ down.mT), scale * (up.mT @ here), strict=True
                ):
                    module.lora_B["default"].weight.grad = of_up
                    module.lora_A["default"].weight.grad = of_down

    def _rows(self, kind: str) -> Iterator[slice]:
        start = 0
        for modules in self._parts[kind]:
            yield slice(start, start + modules[0].out_features)
            start += modules[0].out_features


class PackedNetwork:
    """Forward passes over packs. `weights` are those of `MergedLora`; everything is computed in their type."""

    def __init__(self, shape: ModelShape, device: str, *, checkpointing: bool = False) -> None:
        self._shape = shape
        self._device = device
        self._checkpointing = checkpointing
        self._frequencies = torch.from_numpy(shape.inverse_frequencies().astype(np.float32)).to(device)

        def enter(weights: Parameters, hidden: torch.Tensor, turns: "_Turns") -> "_Attended":
            return _enter(shape, weights, hidden, *turns)

        def leave(weights: Parameters, hidden: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
            return behind_attention(shape, weights, hidden, attended)

        compiled = partial(torch.compile, dynamic=False) if device.startswith("cuda") else _as_it_is
        self._enter, self._leave = compiled(enter), compiled(leave)
        self._loss, self._divergence = compiled(_weighted_loss), compiled(_weighted_divergence)

    def loss(self, weights: Parameters, lesson: Lesson, taught_weight: float) -> torch.Tensor:
        """The sum over the targets of weight times loss, with what the teacher adds; divide by the sum of weights."""
        pack, teacher = _Placed(lesson.pack, self._device), None
        if lesson.teacher is not None and lesson.teacher.count:
            teacher = _Placed(lesson.teacher, self._device)
            taught = torch.from_numpy(lesson.taught).to(self._device)
        head = weights["embedding"] if self._shape.tied else weights["head"]
        hidden = self._hidden(weights, pack)
        total: torch.Tensor = self._loss(hidden, head, pack.wanted, pack.weights)
        if teacher is not None:
            with torch.no_grad():
                known = self._hidden(weights, teacher)
            divergence = self._divergence(hidden.index_select(0, taught), known, head, teacher.weights)
            total = total + taught_weight * divergence
        return total

    def logits(self, weights: Parameters, pack: Pack) -> torch.Tensor:
        """float32 (targets, vocabulary) behind the tokens that are `asked`."""
        head = weights["embedding"] if self._shape.tied else weights["head"]
        return functional.linear(self._hidden(weights, _Placed(pack, self._device)), head).float()

    def _hidden(self, weights: Parameters, pack: "_Placed") -> torch.Tensor:
        """Hidden states (targets, hidden) of the tokens that are `asked`."""
        turns = tuple(
            turn
            for distance in (pack.positions, pack.moved)
            for turn in ((distance * self._frequencies).cos(), (distance * self._frequencies).sin())
        )
        hidden = weights["embedding"][pack.tokens]
        if torch.is_grad_enabled():
            hidden.requires_grad_()  # as in every later layer, so that all of them are one compiled function
        for layer in range(self._shape.layers):
            mine = layer_of(weights, layer)
            if self._checkpointing and torch.is_grad_enabled():
                hidden = checkpoint(self._layer, mine, hidden, turns, pack, use_reentrant=False)
            else:
                hidden = self._layer(mine, hidden, turns, pack)
        return norm(hidden.index_select(0, pack.asked), weights["final"], self._shape.epsilon)

    def _layer(self, weights: Parameters, hidden: torch.Tensor, turns: "_Turns", pack: "_Placed") -> torch.Tensor:
        found: torch.Tensor = self._leave(weights, hidden, pack.attend(*self._enter(weights, hidden, turns)))
        return found


_Turns = tuple[torch.Tensor, ...]
_Attended = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class _Placed:
    """A pack on the device, and attention over it."""

    def __init__(self, pack: Pack, device: str) -> None:
        def placed(array: Any) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        self.tokens, self.asked = placed(pack.tokens), placed(pack.asked)
        self.wanted, self.weights = placed(pack.wanted), placed(pack.weights)
        self.positions, self.moved = (placed(array)[:, None].float() for array in (pack.positions, pack.moved))
        self._keys = placed(pack.keys)
        self._values = self._keys % len(pack.tokens)
        self._starts, self._key_starts = placed(pack.starts).int(), placed(pack.key_starts).int()
        self._longest = int(np.diff(pack.starts).max()), int(np.diff(pack.key_starts).max())
        self._pack = pack

    def attend(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """`queries` (n, heads, size), `keys` (2 n, key heads, size), `values` (n, ...) to (n, heads * size)."""
        keys, values = keys.index_select(0, self._keys), values.index_select(0, self._values)
        if not queries.is_cuda:
            return self._one_by_one(queries, keys, values).flatten(1)
        ends = (self._starts, self._key_starts, *self._longest)
        found: torch.Tensor = _kernel()(queries, keys, values, *ends, window_size=(-1, 0))
        return found.flatten(1)

    def _one_by_one(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        found = []
        runs = zip(pairwise(self._pack.starts), pairwise(self._pack.key_starts), strict=True)
        for (start, stop), (key_start, key_stop) in runs:
            prior = (key_stop - key_start) - (stop - start)
            mask = torch.ones(stop - start, key_stop - key_start, dtype=torch.bool).tril(prior).to(queries.device)
            parts = (queries[start:stop], keys[key_start:key_stop], values[key_start:key_stop])
            asked, key, value = (part.transpose(0, 1)[None] for part in parts)
            attended = functional.scaled_dot_product_attention(asked, key, value, mask, enable_gqa=True)
            found.append(attended[0].transpose(0, 1))
        return torch.cat(found)


@cache
def _kernel() -> Callable[..., Any]:
    """Attention over runs of different lengths; the versions of torch differ in how fewer key heads are asked for."""
    from torch.nn.attention.varlen import varlen_attn

    grouped = "enable_gqa" in inspect.signature(varlen_attn).parameters
    return partial(varlen_attn, enable_gqa=True) if grouped else varlen_attn


class PackedSteps:
    """The gradients of one step after the other. Lessons are drawn ahead by processes of their own on a GPU."""

    def __init__(
        self,
        model: Any,
        exercises: Drawn,
        *,
        size: int,
        seed: int,
        taught_share: float,
        taught_weight: float,
        device: str,
        checkpointing: bool,
        first: int,
        stride: int,
    ) -> None:
        """`first` is the number of the first lesson, `stride` how many the processes of a training take together."""
        shape = shape_of(model.get_base_model().config.to_dict(), Path(model.get_base_model().name_or_path))
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self._lora = MergedLora(model, shape, dtype)
        self._network = PackedNetwork(shape, device, checkpointing=checkpointing)
        self._weight = taught_weight
        self._lessons = _lessons(
            _Lessons(exercises, size, seed, taught_share), first, stride, device.startswith("cuda")
        )

    def step(self) -> tuple[torch.Tensor, float, int, Callable[[float], None]]:
        """Of the next lesson the summed loss, the sum of weights, the tokens that were computed, and what sets the
        gradients once the weights of all processes are known: it is called with one over their sum."""
        lesson = next(self._lessons)
        weights = self._lora.weights()
        loss = self._network.loss(weights, lesson, self._weight)
        loss.backward()
        whole = float(lesson.pack.weights.sum())
        return loss.detach(), whole, lesson.computed, partial(self._lora.take_back, weights)


class _Lessons(torch.utils.data.Dataset[Lesson]):
    """Lessons by their number."""

    def __init__(self, exercises: Drawn, size: int, seed: int, taught_share: float) -> None:
        self._exercises, self._size, self._seed, self._share = exercises, size, seed, taught_share

    def __getitem__(self, number: int) -> Lesson:
        return draw_lesson(self._exercises, self._size, (self._seed, number), self._share)


class _Numbers(torch.utils.data.Sampler[int]):
    """`first` and every `stride`-th from there, without an end."""

    def __init__(self, first: int, stride: int) -> None:
        self._first, self._stride = first, stride

    def __iter__(self) -> Iterator[int]:
        number = self._first
        while True:
            yield number
            number += self._stride


def _lessons(dataset: _Lessons, first: int, stride: int, ahead: bool) -> Iterator[Lesson]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    drawers = min(_MOST_DRAWERS, max(1, (os.cpu_count() or 1) - 1)) if ahead else 0
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        sampler=_Numbers(first, stride),
        num_workers=drawers,
        prefetch_factor=4 if drawers else None,
        collate_fn=_as_it_is,
    )
    return iter(loader)


def _as_it_is(value: Any) -> Any:
    return value


def _enter(
    shape: ModelShape,
    weights: Parameters,
    hidden: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    turn_cos: torch.Tensor,
    turn_sin: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries (n, heads, size), keys as their own block sees them and behind those as others do (2 n, ...), values."""
    queries, keys, values = before_attention(shape, weights, hidden, cos, sin)
    turned = rotated(keys.float(), turn_cos, turn_sin).to(keys.dtype)
    both = torch.cat([keys, turned], 1)
    return queries.transpose(0, 1).contiguous(), both.transpose(0, 1).contiguous(), values.transpose(0, 1).contiguous()


def _weighted_loss(
    hidden: torch.Tensor, head: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    logits = functional.linear(hidden, head).float()
    return (functional.cross_entropy(logits, wanted, reduction="none") * weights).sum()


def _weighted_divergence(
    hidden: torch.Tensor, known: torch.Tensor, head: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    teacher, student = (functional.linear(each, head).float() for each in (known, hidden))
    return (divergence(teacher, student) * weights).sum()


def _adapted(modules: list[Any]) -> bool:
    return hasattr(modules[0], "lora_A")


def _pair(modules: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """A (layers, rank, in) and B (layers, out, rank), float32."""
    down = torch.stack([module.lora_A["default"].weight.detach() for module in modules]).float()
    return down, torch.stack([module.lora_B["default"].weight.detach() for module in modules]).float()


def _scaling(modules: list[Any]) -> float:
    return float(modules[0].scaling["default"])


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    return weight.grad if weight.grad is not None else torch.zeros_like(weight)
