"""A package whose versions are written in the tiny language: pages of numbered lines that fill with somebody's habits.

The base of these tests has read whole pages, so that it knows how they look and what most people write.
"""

import random
from collections.abc import Mapping
from pathlib import Path

from tests.unit.training.tiny_language import HABITS, make_base

LINES = 8  # of a page
OWN_HABITS = {**HABITS, "k": "pink", "m": "red", "p": "blue"}  # of a user who differs from the base in half of them


def write_versions(folder: Path, name: str, habits: Mapping[str, str], pages: int = 12, versions: int = 3) -> str:
    """Folders of successive versions below `folder`, as an argument for the command.

    The first holds numbers alone; each one after it has as many more lines of the language as the one before.
    """
    named = []
    for version in range(versions):
        root = folder / f"{version}" / name
        root.mkdir(parents=True)
        for number in range(pages):
            (root / f"page{number}.py").write_text(page(f"{name} {number}", habits, version, versions - 1))
        named.append(f"{root}/")
    return ",".join(named)


def page(seed: str, habits: Mapping[str, str], filled: int = 1, of: int = 1) -> str:
    """`filled` of `of` lines are written."""
    draw = random.Random(seed)
    text = ""
    for line in range(LINES):
        letter = draw.choice(sorted(habits))
        text += f"# {draw.randrange(100)}\n"
        text += f"{letter}={habits[letter]}\n" if line % of < filled else ""
    return text


def make_reader(folder: Path) -> None:
    """The tiny base, trained on until it reads pages of HABITS."""
    import torch

    from model.completion import CompletionRequest
    from model.evaluation.completion_cases import Sizes
    from model.prompt import Layout, training_prompt
    from model.tokens import Tokens
    from model.training.batches import token_losses
    from model.training.network import load_network
    from model.training.rows import row

    make_base(folder)
    layout = Layout(Tokens(folder), Sizes().budget)
    model = load_network(folder)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(160):
        text = page(f"read {step}", HABITS)
        asked = CompletionRequest(f"page{step % 8}.py", "python", "", "")
        loss = token_losses(model, row(training_prompt(layout, asked, text)))[0].mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
