"""CUDA graphs for decoding: one or a few tokens at a time cost one launch instead of hundreds.

A graph is captured once per buffer, number of tokens and length of what is attended to (rounded up to a power of two);
token ids, positions and slots are copied into its inputs. Where capturing fails, it is not tried again.
"""

import logging
from typing import Any

import torch

from model.runtimes.torch_network import Slots, TorchNetwork

log = logging.getLogger(__name__)

LONGEST = 9  # tokens: a token and a draft
_SHORTEST_LENGTH = 512


class DecodeGraphs:
    """The graphs of one buffer."""

    def __init__(self, network: TorchNetwork, slots: Slots, capacity: int) -> None:
        self._network = network
        self._slots = slots
        self._capacity = capacity
        self._graphs: dict[tuple[int, int], tuple[Any, torch.Tensor, torch.Tensor]] = {}
        self._pool: Any = None  # one for all graphs: only one runs at a time, and its logits are copied at once
        self._usable = True

    def run(self, ids: torch.Tensor, positions: torch.Tensor, slot: int) -> torch.Tensor | None:
        """Logits (n, vocabulary) of these tokens; None where no graph can do it. `ids`, `positions`: (n,) int64.

        The next `run` writes over them.
        """
        count = len(ids)
        if not self._usable or count > LONGEST:
            return None
        length = _SHORTEST_LENGTH
        while length < slot + count:
            length *= 2
        length = min(length, self._capacity)
        inputs = torch.stack([ids, positions, torch.arange(slot, slot + count, device=ids.device)])
        try:
            graph, held, logits = self._graphs.get((count, length)) or self._captured(count, length, inputs)
        except RuntimeError:
            log.exception("a CUDA graph cannot be captured; decoding goes on without")
            self._usable = False
            return None
        held.copy_(inputs)
        graph.replay()
        return logits

    def _captured(self, count: int, length: int, example: torch.Tensor) -> tuple[Any, torch.Tensor, torch.Tensor]:
        held = example.clone()

        def compute() -> torch.Tensor:
            hidden = self._network.forward_static(held[0], held[1], self._slots, held[2], length)
            return self._network.logits(hidden)

        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # the libraries set themselves up outside of the capture
            for _ in range(2):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread of this process may allocate on the GPU (an embedding model does): that is not our failure.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = compute()
        self._pool = graph.pool()
        made = self._graphs[(count, length)] = (graph, held, logits)
        return made
