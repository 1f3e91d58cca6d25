"""The processes that share a training: one by itself, or several that `torchrun` or `accelerate launch` started.

It knows devices and sums; it does not know what is trained. What always holds: with one process nothing is sent, and
several that each compute a part of the same step make the same step as one that computes all of it.
"""

import atexit
import os
import time
from collections.abc import Sequence
from typing import Any

_GIVING_BACK_SECONDS = 0.3


class Workers:
    """This process among the others. `rank` counts from 0; the one that is `main` writes and reports."""

    def __init__(self, device: str | None = None) -> None:
        """`device`: cpu, cuda, ...; None for the best that is here. With several processes, each gets its own GPU."""
        import torch
        from accelerate import PartialState

        several = "LOCAL_RANK" in os.environ
        state = PartialState(cpu=device == "cpu" or (device is None and several and not torch.cuda.is_available()))
        self.rank = int(state.process_index)
        self.count = int(state.num_processes)
        self.device = str(state.device) if device is None else device
        self._together = self.count > 1
        self._torch = torch
        if self._together:
            atexit.register(_let_go, state)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def mine(self, numbers: Sequence[int]) -> list[int]:
        """Those of `numbers` that this process computes."""
        return [number for number in numbers if number % self.count == self.rank]

    def add_gradients(self, parameters: Sequence[Any]) -> None:
        """Every process has the sum of all gradients afterwards."""
        if not self._together:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = self._torch.zeros_like(parameter)
            self._torch.distributed.all_reduce(parameter.grad)

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        if not self._together:
            return list(values)
        tensor = self._torch.tensor(values, dtype=self._torch.float64, device=self.device)
        self._torch.distributed.all_reduce(tensor)
        return [float(value) for value in tensor]

    def agreed(self, value: float) -> float:
        """The main process's value, so that all of them end after the same step."""
        if not self._together:
            return value
        tensor = self._torch.tensor([value], dtype=self._torch.float64, device=self.device)
        self._torch.distributed.broadcast(tensor, src=0)
        return float(tensor)

    def same(self, value: Any) -> Any:
        """The main process's value, whatever it is, in every process; those of the others are ignored."""
        if not self._together:
            return value
        held = [value]
        self._torch.distributed.broadcast_object_list(held, src=0)
        return held[0]


def _let_go(state: Any) -> None:
    """End the connection, and wait until its threads have given back what they hold of Python: one that is still at it
    when Python ends aborts the process."""
    state.destroy_process_group()
    time.sleep(_GIVING_BACK_SECONDS)
