"""The shipped adapter of the search encoder: a LoRA that brings questions about code near the code that answers them.

It is given pairs and a folder of weights; it fetches nothing. What always holds: the same pairs and options see the
same batches; a killed training goes on from its checkpoint; the adapter's folder is whole at every moment.
"""

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.embedding import MAX_CHARACTERS, fingerprint
from index.shipped_encoder import METADATA_FILE
from model.adapters import CONFIG_FILE, write_atomically
from model.tensor_files import disk_errors
from model.training.checkpoints import CHECKPOINT_FILE, Checkpoint
from model.training.network import autocast
from model.training.pretraining import rate
from model.training.search_pairs import Library, Pair, batches
from model.training.sft import TrainingDivergedError

TARGETS = ("query", "key", "value", "dense")
QUESTION_TOKENS, CHUNK_TOKENS = 64, 256  # the second is what all-MiniLM reads of a text
DEPTH = 10


@dataclass(frozen=True)
class SearchOptions:
    """How the encoder is trained: so many `steps` of one batch each."""

    steps: int = 800
    batch: int = 64
    rank: int = 32
    alpha: int = 64
    learning_rate: float = 5e-4
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    scale: float = 20.0  # of cosines before the softmax
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class SearchPace:
    """Where a training stands. `loss` and `right` (the share of questions whose own chunk is nearest) are means."""

    step: int
    steps: int
    loss: float
    right: float
    seconds_left: float


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)


def train_encoder(
    folder: Path,
    pairs: Mapping[str, Sequence[Pair]],
    *,
    options: SearchOptions,
    out: Path,
    record: Mapping[str, Any],
    threads: int = 0,
    resume: bool = True,
    progress: Callable[[SearchPace], None] = lambda pace: None,
) -> dict[str, Any]:
    """Train a LoRA on the BERT in `folder` and leave it in `out`; returns its record.

    Cross-entropy in both directions over the cosines of a batch (van den Oord et al. 2018, "Representation learning
    with contrastive predictive coding"), under `autocast`, AdamW, linear warm-up and a cosine to a
    twentieth. A chunk that answers two questions of a batch is no wrong answer to either. `record` is what is known
    beforehand. Raises TrainingDivergedError, and OtherTrainingError where `resume` finds another training in `out`.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(options.seed)
    encoder = _Bert(folder, options)
    parameters = [parameter for parameter in encoder.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.0, weight_decay=options.weight_decay)
    made = {**record, "weights": fingerprint(folder), "options": asdict(options), "pairs": _hash(pairs)}
    key = hashlib.sha256(json.dumps([made["weights"], made["options"], made["pairs"]]).encode()).hexdigest()
    checkpoint = Checkpoint(out / CHECKPOINT_FILE, key)
    found = checkpoint.load(encoder.model, optimiser, refuse_other=True) if resume else None
    state = _State(**found) if found else _State()
    saved_at = state.seconds

    def save() -> dict[str, Any]:
        checkpoint.save(encoder.model, optimiser, asdict(state))
        with disk_errors(out):
            encoder.model.save_pretrained(out, save_embedding_layers=False)
        config = json.loads((out / CONFIG_FILE).read_text(encoding="utf-8"))
        written = json.dumps({**config, "base_model_name_or_path": folder.name}, indent=2) + "\n"
        write_atomically(out / CONFIG_FILE, written.encode())
        figures = {**made, "steps": state.step, "seconds": round(state.seconds), "losses": _thinned(state.losses)}
        write_atomically(out / METADATA_FILE, (json.dumps(figures, indent=2) + "\n").encode())
        return figures

    for batch in islice(batches(pairs, options.batch, options.seed), state.step, options.steps):
        began = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = rate(state.step / options.steps, options)
        loss, right = _loss(encoder, batch, options.scale)
        if not math.isfinite(told := float(loss.detach())):
            raise TrainingDivergedError(f"The loss became {told} at step {state.step}: use a lower --rate.")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        state.seconds += time.monotonic() - began
        state.losses.append(told)
        state.right.append(right)
        left = (options.steps - state.step) * state.seconds / state.step
        mean = [float(np.mean(values[-20:])) for values in (state.losses, state.right)]
        progress(SearchPace(state.step, options.steps, mean[0], mean[1], left))
        if state.seconds - saved_at >= options.checkpoint_seconds:
            saved_at = state.seconds
            save()
    done = save()
    checkpoint.remove()
    return done


class _Bert:
    """The weights with a fresh LoRA, and texts as unit vectors with gradients."""

    def __init__(self, folder: Path, options: SearchOptions) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        base: Any = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
        config = LoraConfig(
            r=options.rank, lora_alpha=options.alpha, lora_dropout=0.0, target_modules=list(TARGETS)
        )  # fmt: skip
        self.model: Any = get_peft_model(base.float(), config)

    def vectors(self, texts: Sequence[str], tokens: int) -> Any:
        """Float32 (texts, width): means over each text's first `tokens` tokens, of length 1."""
        import torch

        read = self._tokenizer(
            [text[:MAX_CHARACTERS] for text in texts],
            padding=True, truncation=True, max_length=tokens, return_tensors="pt",
        )  # fmt: skip
        with autocast():
            hidden = self.model(**read).last_hidden_state
        there = read["attention_mask"][..., None].float()
        return torch.nn.functional.normalize((hidden.float() * there).sum(1) / there.sum(1), dim=-1)


def _loss(encoder: _Bert, batch: Sequence[Pair], scale: float) -> tuple[Any, float]:
    """The loss, with gradients, and the share of questions that are right."""
    import torch

    chunks = [pair.chunk for pair in batch]
    asked = encoder.vectors([pair.question for pair in batch], QUESTION_TOKENS)
    scores = scale * asked @ encoder.vectors(chunks, CHUNK_TOKENS).T
    same = torch.tensor([[one == other for other in chunks] for one in chunks])
    scores = scores.masked_fill(same & ~torch.eye(len(chunks), dtype=torch.bool), -1e4)
    wanted = torch.arange(len(batch))
    loss = (torch.nn.functional.cross_entropy(scores, wanted) + torch.nn.functional.cross_entropy(scores.T, wanted)) / 2
    return loss, float((scores.argmax(1) == wanted).float().mean())


def reciprocal_ranks(
    encode: Callable[[Sequence[str]], NDArray[np.float32]], libraries: Mapping[str, Library], most: int, seed: int = 1
) -> dict[str, float]:
    """By package the mean reciprocal rank, at a depth of 10, of the right chunk among all chunks by cosine alone."""
    found: dict[str, float] = {}
    for package, held in libraries.items():
        pairs = random.Random(seed).sample(held.pairs, min(most, len(held.pairs)))
        if not pairs:
            continue
        scores = encode([pair.question for pair in pairs]) @ encode(held.chunks).T
        places = {chunk: number for number, chunk in enumerate(held.chunks)}
        ranks = [1 + int((row > row[places[pair.chunk]]).sum()) for row, pair in zip(scores, pairs, strict=True)]
        found[package] = float(np.mean([1 / rank if rank <= DEPTH else 0.0 for rank in ranks]))
    return found


def _hash(pairs: Mapping[str, Sequence[Pair]]) -> str:
    digest = hashlib.sha256()
    for package, several in pairs.items():
        for pair in several:
            digest.update(f"{package}\0{pair.question}\0{pair.chunk}\0".encode("utf-8", "replace"))
    return digest.hexdigest()


def _thinned(losses: Sequence[float]) -> list[float]:
    """At most 100 means of equal parts."""
    parts = np.array_split(np.array(losses), min(100, len(losses))) if losses else []
    return [round(float(part.mean()), 4) for part in parts]
