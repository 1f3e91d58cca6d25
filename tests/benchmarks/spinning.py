"""How long ONNX Runtime's threads should wait awake for their next operator: alone, and beside busy programs.

Same weights and buffers, the settings in turn in one run; medians. The default is `SPIN_MICROSECONDS`.
"""

import statistics
import subprocess
import sys
import time

import numpy as np

from index.onnx_session import SPIN_MICROSECONDS
from model.runtimes.onnx_runtime import OnnxRuntime
from model.weights import resolve

_SPINS: dict[str, int | None] = {
    "sleeps at once": 0,
    f"{SPIN_MICROSECONDS} us": SPIN_MICROSECONDS,
    "100 us": 100,
    "1000 us": 1000,
    "ONNX Runtime's own": None,
}
_MEASURED = ((1, 1000), (1, 5000), (16, 1000), (128, 1000))  # tokens, context
_ROUNDS, _RUNS = 5, 6


def run() -> None:
    """Print one line per load and measure."""
    folder = resolve("smollm2-135m-instruct")
    runtimes = {name: OnnxRuntime(folder, spin=spin) for name, spin in _SPINS.items()}
    longest = max(context for _, context in _MEASURED)
    tokens = np.random.default_rng(0).integers(20, 4000, longest + 128).tolist()
    buffers = {name: runtime.buffer(len(tokens)) for name, runtime in runtimes.items()}
    first = next(iter(runtimes))
    runtimes[first].forward(buffers[first], tokens[:longest], 0, 0, "none")
    for buffer in buffers.values():
        buffer.write(0, buffers[first].read(0, longest))
    for busy in (0, 1, 2):
        neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            for count, context in _MEASURED:
                seconds: dict[str, list[float]] = {name: [] for name in runtimes}
                for _ in range(_ROUNDS):
                    for name, runtime in runtimes.items():
                        for _ in range(_RUNS if count < 128 else 2):
                            started = time.perf_counter()
                            runtime.forward(buffers[name], tokens[:count], context, context)
                            seconds[name].append(time.perf_counter() - started)
                told = ", ".join(f"{name} {1000 * statistics.median(found):.1f}" for name, found in seconds.items())
                print(f"beside {busy} busy programs, {count} tokens at {context}, ms: {told}", flush=True)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
                neighbour.wait()
