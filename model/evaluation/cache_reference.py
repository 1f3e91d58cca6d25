"""The other side of the measurement: the same weights and prompts in transformers, one causal sequence.

It is what a plain implementation does: the whole prompt is prefilled for every keystroke, positions run from 0, and
decoding appends to a DynamicCache. float32 on the CPU; where ours runs on an accelerator, there and in our type of
number. Attention is transformers' own default, adapters are merged as we merge them, and it gets the number of threads
that suits it best, up to the one that both sides may use.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.imports import heavy
from model.checkpoint import load_tensors
from model.evaluation.cache_served import Weights
from model.runtimes.runtime import Runtime

_CHUNK = 512  # rows of logits that are made at once
_TRIED = 192  # tokens of a prefill that finds the best number of threads


class Reference:
    """A transformers model on at most `threads` threads; torch counts them for the whole process."""

    def __init__(self, weights: Weights, threads: int, beside: Runtime) -> None:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        with heavy:
            import torch
            from transformers import AutoModelForCausalLM
            from transformers.utils import logging
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._torch = torch
        self.device = beside.device
        self.dtype = "float32" if beside.device == "cpu" else str(beside.dtype)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            str(weights.folder), dtype=getattr(torch, self.dtype), local_files_only=True
        )
        if weights.adapters:
            tensors = load_tensors(weights.folder, weights.adapters)
            tied = {name: torch.from_numpy(array) for name, array in tensors.items()}
            self._model.load_state_dict(tied, strict=not self._model.config.tie_word_embeddings)
        self._model.eval()
        torch.nn.Module.to(self._model, self.device)
        self.attention = str(self._model.config._attn_implementation)
        self.threads = self._best(threads)
        torch.set_num_threads(self.threads)

    def _best(self, threads: int) -> int:
        """All threads, or one: beside a busy neighbour, threads that wait for each other are slower than one."""
        found = {}
        for tried in sorted({1, threads}):
            self._torch.set_num_threads(tried)
            self.prefill(range(8))
            found[tried] = self.prefill(range(_TRIED))[0]
        return min(found, key=lambda tried: found[tried])

    def losses(self, context: Sequence[int], continuation: Sequence[int]) -> NDArray[np.float64]:
        """Nats of each token of `continuation` behind `context`, by teacher forcing. (len(continuation),)"""
        torch = self._torch
        ids = torch.tensor([[*context, *continuation]], device=self.device)
        wanted = torch.tensor(continuation, device=self.device)
        with torch.inference_mode():
            logits = self._model(ids, use_cache=False, logits_to_keep=len(continuation) + 1).logits[0, :-1].float()
            parts = [
                torch.nn.functional.cross_entropy(
                    logits[start : start + _CHUNK], wanted[start : start + _CHUNK], reduction="none"
                )
                for start in range(0, len(continuation), _CHUNK)
            ]
        found: NDArray[np.float64] = torch.cat(parts).double().cpu().numpy()
        return found

    def prefill(self, context: Sequence[int]) -> tuple[float, int, Any]:
        """Seconds until the first token is known, that token, and the DynamicCache."""
        torch = self._torch
        ids = torch.tensor([list(context)], device=self.device)
        started = time.perf_counter()
        with torch.inference_mode():
            made = self._model(ids, use_cache=True, logits_to_keep=1)
            token = int(made.logits[0, -1].argmax())
        return time.perf_counter() - started, token, made.past_key_values

    def decode(self, token: int, cache: Any, count: int) -> tuple[float, list[int]]:
        """Seconds for `count` greedy steps behind `cache`, one token each, and the tokens."""
        torch = self._torch
        found = []
        started = time.perf_counter()
        with torch.inference_mode():
            for _ in range(count):
                made = self._model(torch.tensor([[token]], device=self.device), past_key_values=cache, use_cache=True)
                token, cache = int(made.logits[0, -1].argmax()), made.past_key_values
                found.append(token)
        return time.perf_counter() - started, found
