"""What a network looks like: the numbers that a runtime needs, read from `config.json`.

Llama-shaped means: rotary positions, RMS norms before attention and MLP, grouped-query attention, a gated SiLU MLP,
with or without biases on the projections, norms of queries and keys, and an output that shares the embedding's
weights. What else a configuration asks for is refused by name, before any weight is read.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.content import sampled_digest
from inkling.errors import UserError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


class UnsupportedModelError(UserError):
    """The weights are of a shape that our own runtimes do not compute."""


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a Llama-shaped network. `rope_scaling` is () or the four numbers of Llama 3's stretched frequencies."""

    family: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    positions: int
    epsilon: float
    rope_theta: float
    rope_factor: float
    rope_scaling: tuple[float, ...]
    tied: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool

    @property
    def groups(self) -> int:
        """Query heads that share one key/value head."""
        return self.heads // self.kv_heads

    def kv_bytes(self, tokens: int, itemsize: int) -> int:
        """Bytes of the keys and values of so many tokens."""
        return 2 * self.layers * self.kv_heads * self.head_dim * itemsize * tokens

    def inverse_frequencies(self) -> NDArray[np.float64]:
        """(head_dim / 2,): theta^(-2i/d) (Su et al. 2021), divided by a factor, or stretched as Llama 3.1 does."""
        plain: NDArray[np.float64] = 1.0 / self.rope_theta ** (np.arange(0, self.head_dim, 2) / self.head_dim)
        if not self.rope_scaling:
            return plain / self.rope_factor
        factor, low, high, original = self.rope_scaling
        wavelength = 2 * math.pi / plain
        smooth = np.clip((original / wavelength - low) / (high - low), 0.0, 1.0)
        return (1 - smooth) * plain / factor + smooth * plain


def read_shape(folder: Path) -> ModelShape:
    """The shape of the weights in `folder`. Raises UnsupportedModelError, which names what is not supported."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path} cannot be read as JSON: {error}. Run `inkling models pull` again."
        ) from error
    return shape_of(config, folder)


def shape_of(config: Mapping[str, Any], folder: Path) -> ModelShape:
    """The shape that a configuration describes, as transformers writes it; `folder` is named where it is refused."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise _unsupported(folder, f"model_type {family!r}; supported are {', '.join(FAMILIES)}")
    if config.get("hidden_act") != "silu":
        raise _unsupported(folder, f"the activation {config.get('hidden_act')!r}; supported is silu")
    positions = int(config["max_position_embeddings"])
    window = config.get("sliding_window")
    windowed = config.get("use_sliding_window", family == "mistral")
    if windowed and window is not None and int(window) < positions:
        raise _unsupported(folder, f"a sliding window of {window} tokens below its {positions} positions")
    heads = int(config["num_attention_heads"])
    hidden = int(config["hidden_size"])
    theta, factor, scaling = _rope(folder, config)
    bias = bool(config.get("attention_bias", False))
    return ModelShape(
        family=family,
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        intermediate=int(config["intermediate_size"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        vocabulary=int(config["vocab_size"]),
        positions=positions,
        epsilon=float(config["rms_norm_eps"]),
        rope_theta=theta,
        rope_factor=factor,
        rope_scaling=scaling,
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=bias or family == "qwen2",
        output_bias=bias,
        mlp_bias=bool(config.get("mlp_bias", False)),
        qk_norm=family == "qwen3",
    )


def fingerprint(folder: Path) -> str:
    """Sixteen hex digits for configuration and weights; of the weights samples are read (see `inkling.content`)."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.name.encode() + sampled_digest(file))
    return digest.hexdigest()[:16]


def _rope(folder: Path, config: Mapping[str, Any]) -> tuple[float, float, tuple[float, ...]]:
    """Theta, the factor of linear scaling, and Llama 3's numbers; transformers 4 and 5 write them differently."""
    rope: dict[str, Any] = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if float(rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0) != 1.0:
        raise _unsupported(folder, "positions on a part of each head (partial_rotary_factor)")
    if kind == "default":
        return theta, 1.0, ()
    if kind == "linear":
        return theta, float(rope["factor"]), ()
    if kind == "llama3":
        names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        return theta, 1.0, tuple(float(rope[name]) for name in names)
    raise _unsupported(folder, f"rotary positions of the kind {kind!r}; supported are default, linear and llama3")


def _unsupported(folder: Path, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The weights in {folder} cannot be served: they ask for {what}. Choose other weights (inkling.model.base)."
    )
