"""Which runtime is the fastest correct one on this CPU: loss, prefill and decoding of each, in one run.

The loss is that of transformers' float32 plus what a runtime loses; the text is source code of this repository.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.runtimes.onnx_runtime import OnnxRuntime
from model.runtimes.runtime import Runtime
from model.tokens import Tokens
from model.weights import resolve

_WINDOWS, _LENGTH, _CONTEXTS = 6, 600, (1000, 5000)


def run() -> None:
    """Print one line per runtime."""
    from model.runtimes.torch_runtime import TorchRuntime

    folder = resolve("smollm2-135m-instruct")
    threads = os.cpu_count() or 1
    opened: dict[str, Callable[[], Runtime]] = {
        "torch float32": lambda: TorchRuntime(folder, threads=threads, device="cpu"),
        "onnx float32": lambda: OnnxRuntime(folder, precision="float32"),
        "onnx int8": lambda: OnnxRuntime(folder, precision="int8"),
        "onnx int8, keys and values in float32": lambda: OnnxRuntime(folder, precision="int8", narrow=False),
        "onnx int4": lambda: OnnxRuntime(folder, precision="int4"),
    }
    windows = _windows(Tokens(folder))
    for name, make in opened.items():
        started = time.perf_counter()
        runtime = make()
        loaded = time.perf_counter() - started
        losses = f"loss {_loss(runtime, windows):.4f}, token by token {_loss(runtime, windows, 1):.4f}"
        print(f"{name}: {losses}, loads in {loaded:.1f} s, {_speeds(runtime)}", flush=True)


def _windows(tokens: Tokens) -> list[list[int]]:
    root = Path(__file__).resolve().parents[2]
    files = sorted((root / "server").glob("*.py"), key=lambda path: -path.stat().st_size)[:_WINDOWS]
    return [[0, *tokens.encode(file.read_text())[:_LENGTH]] for file in files]


def _loss(runtime: Runtime, windows: list[list[int]], step: int = 128) -> float:
    """Mean nats per token, `step` tokens at a time; one by one only behind the first half."""
    total, count = 0.0, 0
    buffer = runtime.buffer(_LENGTH + 1)
    for window in windows:
        rows = [runtime.forward(buffer, window[:1], 0, 0, "all")]
        if step == 1:
            half = len(window) // 2
            rows.append(runtime.forward(buffer, window[1:half], 1, 1, "all"))
        at = sum(map(len, rows))
        while at < len(window):
            rows.append(runtime.forward(buffer, window[at : at + step], at, at, "all"))
            at += len(rows[-1])
        logits = np.concatenate(rows)[:-1]
        top = logits.max(axis=1)
        normal = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        total += float((normal - logits[np.arange(len(logits)), window[1:]]).sum())
        count += len(logits)
    return total / count


def _speeds(runtime: Runtime) -> str:
    tokens = np.random.default_rng(0).integers(20, 4000, max(_CONTEXTS)).tolist()
    buffer = runtime.buffer(max(_CONTEXTS) + 32)
    started = time.perf_counter()
    for at in range(0, len(tokens), 128):
        runtime.forward(buffer, tokens[at : at + 128], at, at, "none")
        if at <= 1000 < at + 128:
            prefill = (at + 128) / (time.perf_counter() - started)
    told = [f"prefill {prefill:.0f} tokens/s"]
    for context in _CONTEXTS:
        for count in (1, 16):
            seconds = sorted(_timed(runtime, buffer, tokens[:count], context) for _ in range(9))[4]
            told.append(f"{count} at {context}: {1000 * seconds:.0f} ms")
    return ", ".join(told)


def _timed(runtime: Runtime, buffer: object, tokens: list[int], slot: int) -> float:
    started = time.perf_counter()
    runtime.forward(buffer, tokens, slot, slot)
    return time.perf_counter() - started
