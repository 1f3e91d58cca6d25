"""What a keystroke costs: prefilling only what was typed, against prefilling the whole prompt again.

Same prompts, same runtime, same run: 30 keys typed at the end of a file of this repository, two documents beside it.
"""

import statistics
import time
from pathlib import Path

from model.completion import CompletionRequest
from model.document import Document
from model.prompt import Layout
from model.runtime_transformers import TransformersRuntime
from model.tokens import Tokens
from model.weights import resolve

_KEYS = 30


def run() -> None:
    """Print medians and their ratio."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "server/documents.py").read_text()
    at = text.index("def offset(self")
    documents = tuple(Document(name, (root / name).read_text()) for name in ("model/document.py", "agent/findings.py"))
    folder = resolve("smollm2-135m-instruct")
    layout, runtime = Layout(Tokens(folder)), TransformersRuntime(folder)
    reused, full, tokens = [], [], []
    for key in range(_KEYS):
        prompt = layout.build(CompletionRequest("server/documents.py", "python", text[: at + key], "", documents))
        whole = sum(len(document) for document in prompt.documents) + len(prompt.tail)
        seconds, prefilled = _prefill(runtime, prompt.documents, prompt.tail)
        if key:
            reused.append(seconds)
            tokens.append(prefilled)
        if key % 10 == 9:
            runtime.load_adapter(None)  # drops what is resident
            full.append(_prefill(runtime, prompt.documents, prompt.tail)[0])
            print(f"prompt of {whole} tokens, from nothing: {full[-1]:.2f} s", flush=True)
    typed, again = statistics.median(reused), statistics.median(full)
    print(f"a key: median {typed * 1000:.0f} ms, {statistics.median(tokens):.0f} tokens prefilled (most {max(tokens)})")
    print(f"full prefill / key: {again / typed:.1f}x")


def _prefill(
    runtime: TransformersRuntime, documents: tuple[tuple[int, ...], ...], tail: tuple[int, ...]
) -> tuple[float, int]:
    started = time.perf_counter()
    runtime.encode(documents, lambda: False)
    done = runtime.extend(tail, lambda: False)
    return time.perf_counter() - started, done.prefilled_tokens
