"""Rows through the network, and the loss of their tokens. The one place where training and measuring meet.

One row goes through transformers' own layers, which is the reference; many go side by side through
`model.training.lean` where the network is of a shape that this computes. What always holds: a row is computed under the
mask and at the positions that serving uses; logits are computed only where a token with loss is predicted, so memory
goes with the length of the targets and not with that of the context.
`model` is any transformers causal LM after `use_block_attention`, with or without a PEFT adapter.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from model.training.attention import blocks_of
from model.training.bundles import bundles, packs
from model.training.rows import Row

if TYPE_CHECKING:
    import torch

ROBUSTNESS = 0.2  # exponent of the loss that nights train on and are judged by
PACK_TOKENS = 2048  # that are computed at once: a CPU multiplies matrices of so many rows as fast as any
Told = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]  # what `target_logits` says of a row


def in_packs(model: Any, rows: Sequence[Row], device: str = "cpu") -> Iterator[list[Told]]:
    """What `target_logits` says of each row, in order, for as many rows at a time as are computed at once. Rows that
    follow each other and begin alike are computed together, so that what they share costs once."""
    import torch

    from model.training.lean import lean

    ours = device.startswith(("cpu", "cuda"))
    network = lean(model.get_base_model() if _adapted(model) else model) if ours else None
    if network is None:
        yield from ([target_logits(model, row, device)] for row in rows)
        return
    for pack in packs(list(bundles(rows, PACK_TOKENS)), PACK_TOKENS):
        asked = [row for each in pack for row in each.rows]
        yield [
            (logits, torch.from_numpy(row.wanted).to(logits.device), torch.from_numpy(row.weights).to(logits.device))
            for logits, row in zip(network.logits(pack), asked, strict=True)
        ]


def target_logits(model: Any, row: Row, device: str = "cpu") -> Told:
    """Logits (targets, vocabulary) in float32, the ids (targets,) int64 and the weights (targets,) float32.

    The first token of each tail is predicted by nothing, so no weight may lie on it.
    """
    import torch

    causal = model.get_base_model() if _adapted(model) else model
    tokens = torch.tensor([row.tokens], device=device)
    weights = torch.tensor(row.weights, dtype=torch.float32, device=device)
    wanted = weights[1:].nonzero()[:, 0]
    config = causal.config
    groups = config.num_attention_heads // config.num_key_value_heads
    with _autocast(causal, device):
        hidden = causal.get_decoder()(
            input_ids=tokens,
            position_ids=torch.tensor([row.positions], device=device),
            blocks=blocks_of(row, causal.get_decoder().rotary_emb.inv_freq, groups, _computed(causal, device), device),
            use_cache=False,
        )[0]
        logits = causal.get_output_embeddings()(hidden[0, wanted]).float()
    return logits, tokens[0, wanted + 1], weights[wanted + 1]


def token_losses(model: Any, row: Row, device: str = "cpu") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Negative log-likelihood of each target token in nats, float32 (targets,), and its weight (targets,)."""
    import torch

    logits, wanted, weights = target_logits(model, row, device)
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none"), weights


def robust(nats: Any, exponent: float = ROBUSTNESS) -> Any:
    """Generalised cross-entropy (1 - p^q) / q of cross-entropies -log p (Zhang & Sabuncu 2018); the same for q = 0.

    Its gradient is p^q times that of the cross-entropy: a text that nobody could have foreseen teaches little, where
    cross-entropy teaches above all to expect surprises everywhere.
    """
    return (1.0 - (-exponent * nats).exp()) / exponent if exponent else nats


def divergence(teacher: "torch.Tensor", student: "torch.Tensor") -> "torch.Tensor":
    """Kullback-Leibler divergence of `student` from `teacher`, both logits (n, vocabulary); nats, (n,)."""
    import torch

    said, learned = torch.log_softmax(teacher, -1), torch.log_softmax(student, -1)
    return (said.exp() * (said - learned)).sum(-1)


def _autocast(causal: Any, device: str) -> Any:
    """Where layers are narrower than the embeddings, they are computed in their own type."""
    import torch

    kind = device.split(":")[0]
    matrix = next(each for name, each in causal.named_parameters() if ".layers." in name and each.ndim == 2)
    narrow = matrix.dtype != causal.get_input_embeddings().weight.dtype
    dtype = matrix.dtype if narrow else torch.get_autocast_dtype(kind)
    return torch.autocast(kind, dtype, enabled=narrow or torch.is_autocast_enabled(kind))


def _computed(causal: Any, device: str) -> "torch.dtype":
    """The type that attention is computed in."""
    import torch

    if torch.is_autocast_enabled(device.split(":")[0]):
        return torch.get_autocast_dtype(device.split(":")[0])
    dtype: torch.dtype = causal.get_input_embeddings().weight.dtype
    return dtype


def _adapted(model: Any) -> bool:
    from peft import PeftModel

    return isinstance(model, PeftModel)
