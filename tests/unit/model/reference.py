"""What transformers says about a prompt: one forward pass over all of it, with the whole mask written out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.lora import deltas
from model.positions import SchemeName, scheme_for
from model.prompt import Prompt, row_of


class MaskedReference:
    """The base in `folder` in float32, with adapters added to its weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[tuple[Path, ...], Any] = {}

    def model(self, adapters: Sequence[Path] = ()) -> Any:
        """The network as transformers loads it."""
        import torch
        from transformers import AutoModelForCausalLM

        if tuple(adapters) not in self._models:
            made = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32).eval()
            parameters = dict(made.named_parameters())
            for adapter in adapters:
                shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
                with torch.no_grad():
                    for name, delta in deltas(adapter, shapes).items():
                        parameters[name] += torch.from_numpy(delta)
            self._models[tuple(adapters)] = made
        return self._models[tuple(adapters)]

    def logits(
        self, prompt: Prompt, scheme: SchemeName = "parallel", adapters: Sequence[Path] = ()
    ) -> NDArray[np.float32]:
        """float32 (tail tokens, vocabulary).

        A document is encoded right behind the sink, wherever the tail sees it. So in this pass, whose positions are
        those of the tail, every document has a copy of the sink of its own right before it, which nothing else sees.
        Positions only count by their differences, so all are shifted to keep those of the copies from being negative.
        """
        import torch

        model = self.model(adapters)
        row = row_of(prompt, (), scheme_for(scheme, int(model.config.max_position_embeddings)))
        sink = len(prompt.sink)
        tokens, positions, blocks = list(row.tokens), list(row.positions), list(row.blocks)
        for number in range(1, 1 + len(prompt.documents)):
            first = blocks.index(number)
            start = positions[first]
            tokens[first:first] = prompt.sink
            positions[first:first] = range(start - sink, start)
            blocks[first:first] = [number] * sink
        block = np.array(blocks)
        copies = np.zeros(len(block), dtype=bool)
        for number in range(1, 1 + len(prompt.documents)):
            first = blocks.index(number)
            copies[first : first + sink] = True
        order = np.arange(len(block))
        tail = (block[:, None] < 0) & ~copies[None]
        mask = ((block[:, None] == block[None]) | tail) & (order[None] <= order[:, None])
        with torch.inference_mode():
            found = model(
                torch.tensor([tokens]),
                attention_mask=torch.from_numpy(mask)[None, None],
                position_ids=torch.tensor([positions]),
            ).logits[0]
        logits: NDArray[np.float32] = found[block < 0].numpy()
        return logits
