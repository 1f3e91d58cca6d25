"""How fast `inkling pretrain` computes: many rows in packs against one row after the other, on the best device here.

Both take the gradients of the same base with a LoRA of rank 64 on exercises from the held-out packages; an optimiser's
step is part of both. INKLING_CORPUS names what `inkling pretrain --save-corpus` wrote, for a machine without a network.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from model.catalog import BASE
from model.positions import scheme_for
from model.shape import read_shape
from model.threads import set_threads
from model.tokens import Tokens
from model.training.corpus import listed, load_corpus
from model.training.corpus_file import read_corpus
from model.training.exercises import Exercises
from model.training.network import load_network, to_bfloat16
from model.training.pretraining import PACK, PretrainOptions, steps
from model.training.sft import SftOptions, with_fresh_adapter
from model.training.shipping import SCHEME, device_name
from model.training.workers import Workers
from model.weights import resolve

_WARM = 3
_ON_A_CPU = 4096  # tokens of a pack there


def run() -> None:
    """Print tokens per second of both, and their ratio."""
    import torch

    kept = os.environ.get("INKLING_CORPUS")
    corpus = read_corpus(Path(kept)) if kept else load_corpus(tuple(one for one in listed() if one.held_out))
    folder = resolve(BASE.name)
    exercises = Exercises(corpus.held_out, Tokens(folder), scheme_for(SCHEME, read_shape(folder).positions))
    set_threads()
    workers = Workers()
    cuda = workers.device.startswith("cuda")
    model = with_fresh_adapter(load_network(folder, device=workers.device), SftOptions(rank=64, alpha=128))
    to_bfloat16(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    speeds = []
    for pack, count in ((0, 8), (PACK if cuda else _ON_A_CPU, 20 if cuda else 2)):
        options = replace(PretrainOptions(), pack=pack)
        step = steps(model, exercises, options, 0, workers)
        computed, began = 0, 0.0
        for number in range(_WARM * bool(cuda) + count):
            if number == _WARM * bool(cuda):
                began = time.monotonic()
                computed = 0
            computed += step(number)[1]
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        speeds.append(computed / (time.monotonic() - began))
        name = f"packs of {pack} tokens" if pack else "row by row"
        print(f"{name} on {device_name(workers.device)}: {speeds[-1]:.0f} tokens/s", flush=True)
    print(f"packs are {speeds[1] / speeds[0]:.1f} times as fast")
