"""Run by an interpreter that has llama-cpp-python: one JSON object in, one JSON object of seconds out.

It imports nothing of ours, as that interpreter need not have it. In: `gguf`, `threads`, `tokens` (the context), `new`
(tokens that come at once), `decode` (how many single steps), `repeats`. Out: lists of seconds per repeat.
"""

import json
import sys
import time
from typing import Any


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """Prefill the context from nothing, then new tokens at once behind it, then greedy single steps behind it."""
    import llama_cpp

    context, new = asked["tokens"], asked["new"]
    model = llama_cpp.Llama(
        model_path=asked["gguf"],
        n_ctx=len(context) + len(new) + asked["decode"] + 64,
        n_batch=512,
        n_threads=asked["threads"],
        n_threads_batch=asked["threads"],
        logits_all=False,
        verbose=False,
    )
    model.eval(context[:16])  # what is allocated lazily is there now
    found: dict[str, Any] = {"version": llama_cpp.__version__, "prefill": [], "new": [], "decode": []}
    for _ in range(asked["repeats"]):
        model.reset()
        started = time.perf_counter()
        model.eval(context)
        model.sample(temp=0.0)
        found["prefill"].append(time.perf_counter() - started)
        started = time.perf_counter()
        model.eval(new)
        model.sample(temp=0.0)
        found["new"].append(time.perf_counter() - started)
        model.n_tokens = len(context)  # the next eval begins there and drops what lies behind
        token = int(new[0])
        started = time.perf_counter()
        for _ in range(asked["decode"]):
            model.eval([token])
            token = int(model.sample(temp=0.0))
        found["decode"].append(time.perf_counter() - started)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))))
