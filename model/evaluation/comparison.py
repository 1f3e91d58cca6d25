"""Two models on the same later examples: losses, the improvement with its uncertainty, and guards.

It only measures and holds against written bounds; it neither trains nor promotes. What always holds: both models see
the same rows, and every figure is per example first, so that long targets do not decide alone.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.training.batches import in_packs, robust
from model.training.dataset import TrainingSequence

RESAMPLES = 10_000
_LITTLE_MARGIN = 0.5  # nats; of a smaller one as much may be lost as of this
_ONE_SIDED = 1.645  # standard errors
_LEAST_FREEDOM = 4


@dataclass(frozen=True)
class Measured:
    """One model on some sequences, one entry per sequence, float64 and bool.

    `losses`: mean nats per target token. `exact`: whether greedy decoding would write the whole target, which is the
    case exactly if every target token is the most likely one after the true text before it. `certainty`: mean
    probability of the target tokens. `robust`: mean of what `model.training.batches.robust` says of them.
    """

    losses: np.ndarray
    exact: np.ndarray
    certainty: np.ndarray
    robust: np.ndarray


@dataclass(frozen=True)
class Improvement:
    """By how many nats per token the loss fell, mean over examples, with the 95% interval. `groups`: of how many."""

    before: float
    after: float
    mean: float
    lower: float
    upper: float
    examples: int
    groups: int


@dataclass(frozen=True)
class Guard:
    """A figure that must not pass its bound. `rule` says in words what is asked."""

    name: str
    value: float
    bound: float
    passed: bool
    rule: str


def measure(
    model: Any,
    sequences: Sequence[TrainingSequence],
    device: str = "cpu",
    tick: Callable[[int], None] = lambda done: None,
) -> Measured:
    """Losses and exact matches of `model` (from `model.training.network`, with or without adapter), in eval mode.

    `tick` is called with the number of sequences done; it may raise to stop.
    """
    import torch

    losses = np.zeros(len(sequences))
    exact = np.zeros(len(sequences), dtype=bool)
    certainty = np.zeros(len(sequences))
    forgiving = np.zeros(len(sequences))
    model.eval()
    done = 0
    with torch.inference_mode():
        for pack in in_packs(model, [sequence.row for sequence in sequences], device):
            for logits, wanted, _ in pack:
                nats = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
                losses[done] = float(nats.mean())
                certainty[done] = float((-nats).exp().mean())
                forgiving[done] = float(robust(nats).mean())
                exact[done] = bool((logits.argmax(-1) == wanted).all())
                done += 1
                tick(done)
    return Measured(losses, exact, certainty, forgiving)


def measure_beside(
    model: Any,
    sequences: Sequence[TrainingSequence],
    others: Sequence[TrainingSequence],
    device: str = "cpu",
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[Measured, Measured]:
    """`measure` for as many pairs of two sequences; of those that begin alike, the beginning is computed once."""
    pairs = [each for pair in zip(sequences, others, strict=True) for each in pair]
    found = measure(model, pairs, device, lambda done: tick(done // 2))

    def every_second(first: int) -> Measured:
        return Measured(*(figures[first::2] for figures in (found.losses, found.exact, found.certainty, found.robust)))

    return every_second(0), every_second(1)


def distance(model: Any, sequences: Sequence[TrainingSequence], device: str = "cpu") -> float:
    """Mean Kullback-Leibler divergence KL(adapter || anchor) in nats per target token; `model` is a PEFT model."""
    import torch

    total, tokens = 0.0, 0
    rows = [sequence.row for sequence in sequences]
    model.eval()
    with torch.inference_mode():
        for pack in in_packs(model, rows, device):
            tuned = [torch.log_softmax(logits, -1) for logits, _, _ in pack]
            with model.disable_adapter():
                plain = next(in_packs(model, rows[: len(pack)], device))
            rows = rows[len(pack) :]
            for mine, (logits, _, _) in zip(tuned, plain, strict=True):
                total += float((mine.exp() * (mine - torch.log_softmax(logits, -1))).sum())
                tokens += len(mine)
    return total / tokens


def improvement(
    before: np.ndarray, after: np.ndarray, groups: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Improvement:
    """Paired comparison of per-example losses, both of shape (examples,). `groups`: which examples are of one kind.

    The interval is the widest one, at each end, of the percentile bootstrap over examples (Efron 1979), Student's t,
    and t by the error that examples of one group make together (Liang & Zeger 1986; degrees of freedom as in Cameron
    & Miller 2015, but at least four, as two groups alone would forbid every verdict). The bootstrap alone is too
    narrow for few examples, t alone ignores skew (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").
    One example or one group says nothing about the next: its interval is infinite.
    """
    from scipy.special import stdtrit

    gained = before - after
    count = len(gained)
    numbers = np.unique([str(one) for one in groups], return_inverse=True)[1] if groups is not None else None
    many = int(numbers.max()) + 1 if numbers is not None and count else count
    if min(count, many) < 2:
        lower, upper = -np.inf, np.inf
    else:
        draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
        means = gained[draws].mean(axis=1)
        half = float(stdtrit(count - 1, 0.975)) * float(gained.std(ddof=1)) / np.sqrt(count)
        if numbers is not None:
            sums = np.bincount(numbers, gained - gained.mean())
            error = float(np.sqrt(many / (many - 1) * (sums**2).sum())) / count
            half = max(half, float(stdtrit(max(many - 1, _LEAST_FREEDOM), 0.975)) * error)
        lower = min(float(np.quantile(means, 0.025)), float(gained.mean()) - half)
        upper = max(float(np.quantile(means, 0.975)), float(gained.mean()) + half)
    return Improvement(float(before.mean()), float(after.mean()), float(gained.mean()), lower, upper, count, many)


def loss_guard(gain: Improvement) -> Guard:
    """What is judged by a loss that forgives surprises must not have become more of a surprise by the plain one."""
    return Guard("loss", -gain.mean, 0.0, gain.mean >= 0, "nats per token do not rise")


def exact_guard(champion: Measured, candidate: Measured) -> Guard:
    """Greedy decoding must not write clearly fewer whole targets: at most one or 2% of the examples are lost, or no
    more than chance takes where some are won and others lost (one-sided 95% of McNemar's test, 1947)."""
    examples = len(champion.exact)
    changed = float((champion.exact != candidate.exact).sum())
    bound = max(1.0, 0.02 * examples, _ONE_SIDED * changed**0.5)
    lost = float(champion.exact.sum()) - float(candidate.exact.sum())
    return Guard(
        "exact match", lost, bound, lost <= bound, f"at most {bound:.3g} of {examples} whole targets fewer than before"
    )


def distance_guard(nats: float, bound: float) -> Guard:
    """The adapter must stay near its anchor (the base with what is shipped), so that what that knows is kept."""
    return Guard("distance to base", nats, bound, nats <= bound, f"KL to the base at most {bound:g} nats per token")


def certainty_guard(champion: Measured, candidate: Measured, share: float) -> Guard:
    """What is right must stay likely: the mean probability of target tokens may fall by at most a share of itself.

    The loss can fall although this does, by hedging: what was sure gets less so, what was a surprise less of one. Who
    learns from a few hundred pieces of code hedges a little; who learned from shuffled ones does nothing else.
    """
    before = float(champion.certainty.mean())
    lost = 1.0 - float(candidate.certainty.mean()) / before if before > 0 else 0.0
    return Guard("certainty", lost, share, lost <= share, f"right tokens get less likely by at most {share:.0%}")


def context_guard(before: np.ndarray, after: np.ndarray, share: float) -> Guard:
    """The context must not count for less: `before` and `after` are margins in nats, one per example.

    A margin is the loss of somebody else's target minus the loss of the true one, after the same context. Whoever
    learns how the user writes makes the user's other texts less of a surprise, too, and these have more to lose; but
    that the true one follows from the context is learned as well. So true nights hardly lose any of the margin, and
    those on shuffled targets a tenth of it and more (docs/benchmarks.md). A small share of it may be lost. Where there
    was no margin to lose, `knowledge_guard` decides.
    """
    change = float((after - before).mean())
    bound = -share * max(_LITTLE_MARGIN, float(before.mean()))
    return Guard(
        "use of context", change, bound, change >= bound, f"margin over wrong targets changes by >= {bound:.2g}"
    )


def knowledge_guard(before: np.ndarray, after: np.ndarray, gain: float, share: float) -> Guard:
    """What was gained must be knowledge of the context: `before` and `after` are margins, as in `context_guard`.

    Whoever learned only how often each target comes tells true and wrong ones apart no better than by chance, whatever
    was gained: the margin ends at zero, also where it had been negative and so has grown. So the lower end of the 95%
    interval of the candidate's margin has to reach a share of the gain; and where the champion had less margin than was
    gained, and so little to lose, the margin must have grown by as much, counted from zero if it was below.
    """
    held = improvement(after, np.zeros(len(after))) if len(after) else None
    value = held.lower if held is not None else -np.inf
    if len(before) and before.mean() < gain:
        value = min(value, float(after.mean() - max(before.mean(), 0.0)))
    bound = share * max(gain, 0.0)
    return Guard(
        "knowledge of context",
        float(value) if np.isfinite(value) else -1e9,
        bound,
        bool(value > 0 and value >= bound),
        f"margin over wrong targets (lower bound; growth from little) above 0 and >= {share:.0%} of the gain",
    )
