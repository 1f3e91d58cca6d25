"""Speed of larger networks with weights of no meaning: what a keystroke and a token cost behind many documents.

The shapes of Qwen2.5 0.5B and 1.5B: on a GPU behind 32,000 tokens, on a CPU behind 2,000 and beside SmolLM2-135M's. The
largest takes 8 GB there.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from model.shape import ModelShape

QWEN_05B = ModelShape(
    family="qwen2",
    layers=24,
    hidden=896,
    intermediate=4864,
    heads=14,
    kv_heads=2,
    head_dim=64,
    vocabulary=151_936,
    positions=32_768,
    epsilon=1e-6,
    rope_theta=1e6,
    rope_factor=1.0,
    rope_scaling=(),
    tied=True,
    qkv_bias=True,
    output_bias=False,
    mlp_bias=False,
    qk_norm=False,
)
QWEN_15B = replace(QWEN_05B, layers=28, hidden=1536, intermediate=8960, heads=12, head_dim=128)
SMOLLM_135M = replace(
    QWEN_05B,
    family="llama",
    layers=30,
    hidden=576,
    intermediate=1536,
    heads=9,
    kv_heads=3,
    vocabulary=49_152,
    positions=8192,
    epsilon=1e-5,
    rope_theta=1e5,
    qkv_bias=False,
)
_UNIT, _DRAFT, _STEPS = 1500, 8, 32


def run() -> None:
    """Print encoding, the first token behind the documents, decoding, and verifying a draft."""
    import torch

    on_gpu = torch.cuda.is_available()
    shapes = {"Qwen2.5 0.5B": QWEN_05B, "Qwen2.5 1.5B": QWEN_15B}
    if not on_gpu:
        shapes = {"SmolLM2 135M": SMOLLM_135M, **shapes}
    for name, shape in shapes.items():
        print(f"{name} on {_measured(shape, *((32_000, 512) if on_gpu else (2000, 128)))}", flush=True)


def _measured(shape: ModelShape, documents: int, tail: int) -> str:
    from model.runtimes.torch_runtime import TorchRuntime

    runtime = TorchRuntime.random(shape)
    filled = documents + tail
    buffer, unit = runtime.buffer(filled + 256), runtime.buffer(_UNIT)
    ids = np.random.default_rng(0).integers(5, 10_000, filled).tolist()

    def append(count: int, at: int) -> None:
        runtime.forward(buffer, ids[:count], at, at, "all")

    runtime.forward(unit, ids[:64], 0, 0)  # libraries set themselves up
    encode = _seconds(lambda: runtime.forward(unit, ids[:_UNIT], 0, 0))
    full = _seconds(lambda: runtime.forward(buffer, ids, 0, 0))
    for count in (1, 1 + _DRAFT):  # graphs are captured, where there are any
        append(count, filled)
    keys = sorted(_seconds(lambda: append(1, filled)) for _ in range(15))
    drafts = sorted(_seconds(lambda: append(1 + _DRAFT, filled)) for _ in range(7))
    decode = _seconds(lambda: [append(1, filled + step) for step in range(_STEPS)])
    return (
        f"{runtime.name}, {documents} tokens of documents: encodes {_UNIT / encode:.0f} tokens/s, a key takes "
        f"{1000 * keys[7]:.1f} ms, at most {1000 * keys[-1]:.1f} (full prefill {full:.2f} s: {full / keys[7]:.0f}x), "
        f"decodes {_STEPS / decode:.0f} tokens/s, verifies {_DRAFT} drafted in {1000 * drafts[3]:.1f} ms"
    )


def _seconds(do: Callable[[], object]) -> float:
    """Every call that is measured ends with logits on the host, so nothing is left running on a GPU."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started
