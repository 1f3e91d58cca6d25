"""How fast the server is there, and whether its event loop stays free while it completes and indexes.

First suggestion: seconds from starting the process to the first suggestion, cold but with the weights on disk;
the alternative is a bare script that loads the same weights with transformers and generates eight tokens.
Event loop: delays while it completes at real places and indexes this repository, against delays at rest.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inkling.folders import models_folder
from inkling.process import environment
from model.weights import resolve
from server.tour.editor import Editor
from server.tour.positions import Place, places

_PLACES = 12
_REST_SECONDS = 5
_SCRIPT = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
ids = tokenizer(sys.argv[2], return_tensors="pt", add_special_tokens=False)
model.generate(**ids, max_new_tokens=8, do_sample=False)
"""


def run() -> None:
    """Print the figures."""
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory(prefix="inkling-bench-") as home:
        asyncio.run(_measure(root, home))


async def _measure(root: Path, home: str) -> None:
    chosen = places(root, _PLACES)
    bare = await asyncio.to_thread(_bare, chosen[0])
    editor, started = Editor(root), time.perf_counter()
    settings = {"measureLoop": True, "completion": {"mode": "eager", "maxTokens": 24}}
    await editor.start(settings, {"INKLING_HOME": home, "INKLING_MODELS": str(models_folder())})
    first = await _first(editor, chosen, started)
    print(f"first suggestion after {first:.1f} s; a bare script that generates: {bare:.1f} s; ratio {first / bare:.2f}")
    await _type(editor, chosen)
    busy = (await editor.request("inkling/status"))["loopDelayMs"]
    await editor.stop()
    rest = await _at_rest(root, home)
    for name in ("p50", "p95", "p99", "max"):
        ratio = busy[name] / max(rest[name], 1e-3)
        print(f"event loop late, {name}: {busy[name]:.1f} ms at work, {rest[name]:.1f} ms at rest, ratio {ratio:.1f}")


async def _first(editor: Editor, chosen: list[Place], started: float) -> float:
    buffer = editor.open(chosen[0].path, chosen[0].language)
    editor.replace(buffer, chosen[0].offset, chosen[0].offset + len(chosen[0].rest), "")
    while await editor.complete(buffer, chosen[0].offset) is None:
        await asyncio.sleep(0.1)
        if time.perf_counter() - started > 120:
            raise TimeoutError("no suggestion within two minutes")
    return time.perf_counter() - started


async def _type(editor: Editor, chosen: list[Place]) -> None:
    for place in chosen[1:]:
        buffer = editor.buffers.get(place.path.as_uri()) or editor.open(place.path, place.language)
        editor.replace(buffer, place.offset, place.offset + len(place.rest), "")
        await editor.complete(buffer, place.offset)
        editor.type(buffer, place.offset, place.rest)


async def _at_rest(root: Path, home: str) -> dict[str, Any]:
    editor = Editor(root)
    settings = {"measureLoop": True, "completion": {"enabled": False}, "index": {"enabled": False}}
    await editor.start(settings, {"INKLING_HOME": home, "INKLING_MODELS": str(models_folder())})
    await asyncio.sleep(_REST_SECONDS)
    found: dict[str, Any] = (await editor.request("inkling/status"))["loopDelayMs"]
    await editor.stop()
    return found


def _bare(place: Place) -> float:
    text = place.path.read_text(encoding="utf-8")[: place.offset][-2000:]
    folder = str(resolve("smollm2-135m-instruct"))
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _SCRIPT, folder, text], check=True, env=environment(), capture_output=True)
    return time.perf_counter() - started
