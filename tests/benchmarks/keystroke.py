"""What a keystroke costs: prefilling only what was typed, against prefilling the whole prompt again.

Same prompts, same runtime, same run: keys typed at the end of a file of this repository, documents beside it.
"""

import statistics
import time
from pathlib import Path

from model.completion import CompletionRequest
from model.document import Document
from model.generator import Generator, GeneratorOptions
from model.runtimes.choose import open_runtime
from model.weights import resolve

_KEYS = 40
_DOCUMENTS = ("model/document.py", "agent/findings.py", "model/shape.py", "model/rotation.py", "server/positions.py")


def run() -> None:
    """Print medians and their ratio."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "server/documents.py").read_text()
    at = text.index("def offset(self")
    documents = tuple(Document(name, (root / name).read_text()) for name in _DOCUMENTS)
    folder = resolve("smollm2-135m-instruct")
    generator = Generator(folder, open_runtime(folder), GeneratorOptions(prefetch=False))

    def typed(key: int) -> CompletionRequest:
        prefix = text[: at + key]
        return CompletionRequest("server/documents.py", "python", prefix, "", documents, max_tokens=1, wait=True)

    generator.complete(typed(0), lambda: False)
    seconds, tokens = [], []
    for key in range(1, _KEYS):
        cost = generator.complete(typed(key), lambda: False).cost
        seconds.append(cost.prefill_seconds)
        tokens.append(cost.prefilled_tokens)
    prompt = generator.layout.build(typed(_KEYS))
    runtime = generator.runtime
    buffer = runtime.buffer(prompt.size)
    whole = [*prompt.sink, *(id for document in prompt.documents for id in document), *prompt.tail]
    full = []
    for _ in range(3):
        started = time.perf_counter()
        runtime.forward(buffer, whole, 0, 0)
        full.append(time.perf_counter() - started)
    key, again = statistics.median(seconds), statistics.median(full)
    print(f"{runtime.name}: a prompt of {len(whole)} tokens from nothing {again:.2f} s")
    print(f"a key: median {key * 1000:.0f} ms, {statistics.median(tokens):.0f} tokens prefilled (most {max(tokens)})")
    print(f"full prefill / key: {again / key:.0f}x")
