"""Speed of larger networks with weights of no meaning: what a keystroke and a token cost behind many documents.

On a GPU the shapes of Qwen2.5 0.5B and 1.5B behind 32,000 tokens; on a CPU that of SmolLM2-135M behind 2,000, so that
the command itself is seen to work everywhere.
"""

import time

import numpy as np

from model.shape import ModelShape

_QWEN = {
    "family": "qwen2",
    "vocabulary": 151_936,
    "positions": 32_768,
    "epsilon": 1e-6,
    "rope_theta": 1e6,
    "rope_factor": 1.0,
    "rope_scaling": (),
    "tied": True,
    "qkv_bias": True,
    "output_bias": False,
    "mlp_bias": False,
    "qk_norm": False,
}
QWEN_05B = ModelShape(**_QWEN, layers=24, hidden=896, intermediate=4864, heads=14, kv_heads=2, head_dim=64)  # type: ignore[arg-type]
QWEN_15B = ModelShape(**_QWEN, layers=28, hidden=1536, intermediate=8960, heads=12, kv_heads=2, head_dim=128)  # type: ignore[arg-type]
_SMOLLM = _QWEN | {"vocabulary": 49_152, "qkv_bias": False}
SMOLLM_135M = ModelShape(**_SMOLLM, layers=30, hidden=576, intermediate=1536, heads=9, kv_heads=3, head_dim=64)  # type: ignore[arg-type]


def run() -> None:
    """Print encoding, the first token behind the documents, and decoding."""
    import torch

    from model.runtimes.torch_runtime import TorchRuntime

    on_gpu = torch.cuda.is_available()
    shapes = {"Qwen2.5 0.5B": QWEN_05B, "Qwen2.5 1.5B": QWEN_15B} if on_gpu else {"SmolLM2 135M": SMOLLM_135M}
    documents, tail = (32_000, 512) if on_gpu else (2000, 128)
    for name, shape in shapes.items():
        runtime = TorchRuntime.random(shape)
        buffer = runtime.buffer(documents + tail + 256)
        ids = np.random.default_rng(0).integers(5, 10_000, documents + tail).tolist()
        encoding = runtime.buffer(1600)
        started = time.perf_counter()
        runtime.forward(encoding, ids[:1500], 0, 0)
        encoded = 1500 / (time.perf_counter() - started)
        started = time.perf_counter()
        runtime.forward(buffer, ids, 0, 0)
        full = time.perf_counter() - started
        keys = []
        for key in range(12):
            started = time.perf_counter()
            runtime.forward(buffer, ids[:1], documents + tail + key, documents + tail + key)
            keys.append(time.perf_counter() - started)
        key = sorted(keys[2:])[-2]
        started = time.perf_counter()
        for step in range(32):
            runtime.forward(buffer, ids[:1], documents + tail + 16 + step, documents + tail + 16 + step)
        decoded = 32 / (time.perf_counter() - started)
        print(
            f"{name} on {runtime.name}, {documents} tokens of documents: encodes {encoded:.0f} tokens/s, a key "
            f"takes {1000 * key:.1f} ms (full prefill {full:.2f} s: {full / key:.0f}x), decodes {decoded:.0f} tokens/s",
            flush=True,
        )
