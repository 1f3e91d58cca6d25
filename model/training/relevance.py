"""Which offered context helped: each document of a settled region is read alone before what the user really wrote.

Where a document lowers the loss of that text, it helped; weights over the figures of `index.relevance` are fitted to
that, with a bias that may say that nothing helps. They start from the weights in use and go only as far as the data
pull. It trains no network, chooses no documents and installs nothing itself.

Always: no weights are to be installed unless the lower 95% bound says that the documents chosen by the new weights
lower the loss of later text by more than those chosen by the weights in use.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from feedback.examples import Example
from feedback.records import is_of_edits
from index.context import Catalog, imported_files
from index.languages import definitions, language_of
from index.relevance import Cursor, Features, Relevance, installed
from model.evaluation.comparison import improvement, measure
from model.prompt import Budget
from model.shipped import Shipped
from model.training.serving import serving_format
from model.training.sft import TrainingCancelledError

HELPED = 0.01  # nats per token: less is no help
TAKEN = 3  # documents of a cursor that count when weights are judged
READING = Budget(documents=512, document=512, tail=224, grid=12, suffix=64)

Lose = Callable[[Sequence[Example]], NDArray[np.float64]]  # mean nats per target token of each


@dataclass(frozen=True)
class RelevanceOptions:
    """`seconds` are spent on reading, newest regions first. `pull`: how hard the weights in use hold the new ones."""

    seconds: float = 60.0
    least: int = 60  # regions with documents
    later_share: float = 0.3
    pull: float = 4.0
    seed: int = 0


@dataclass(frozen=True)
class RelevanceVerdict:
    """What came of it. `figures` are plain JSON values for the record; `relevance` is what is to be installed."""

    status: Literal["installed", "refused", "skipped"]
    reason: str
    figures: Mapping[str, Any]
    relevance: Relevance | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"status": self.status, "reason": self.reason, **self.figures}


@dataclass(frozen=True)
class _Offered:
    """The documents of one region: figures (documents, len(Features)), and by how much each lowered the loss."""

    figures: NDArray[np.float64]
    gains: NDArray[np.float64]
    group: str


def learn_relevance(
    examples: Sequence[Example],
    lose: Lose,
    name: str,
    options: RelevanceOptions,
    cancelled: Callable[[], bool] = lambda: False,
    file: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RelevanceVerdict:
    """Measure, fit and judge; what deserves it is to be installed under `name`, in place of what `file` holds.

    `examples` are the oldest first. Raises TrainingCancelledError.
    """
    current = installed(file)
    usable = [example for example in map(_chosen, examples) if example.documents]
    if len(usable) < options.least:
        return RelevanceVerdict(
            "skipped",
            f"{len(usable)} regions were offered context, {options.least} are needed.",
            {"usable": len(usable)},
        )
    offered = _read(usable, lose, options.seconds, cancelled, clock)
    figures: dict[str, Any] = {"usable": len(usable), "read": len(offered)}
    if len(offered) < options.least:
        return RelevanceVerdict(
            "skipped", f"The time was enough for {len(offered)} regions, {options.least} are needed.", figures
        )
    cut = len(offered) - round(options.later_share * len(offered))
    earlier, later = offered[:cut], offered[cut:]
    fitted = replace(current, weights=_fitted(earlier, current.weights, options.pull), name=name)
    groups = [each.group for each in later]
    gain = improvement(-_worth(later, current), -_worth(later, fitted), groups, seed=options.seed)
    helped = float(np.mean(np.concatenate([each.gains for each in earlier]) > HELPED))
    figures |= {
        "helped": helped, "worth_before": -gain.before, "worth_after": -gain.after, "gain": gain.mean,
        "gain_lower": gain.lower, "gain_upper": gain.upper, "later": gain.examples, "weights": fitted.weights._asdict(),
    }  # fmt: skip
    said = f"the chosen context lowers the loss by {-gain.after:.3f} nats per token instead of {-gain.before:.3f}"
    if gain.lower <= 0:
        reason = f"Weights of context stay '{current.name}': {said}, which may be chance ({gain.lower:+.3f} at least)."
        return RelevanceVerdict("refused", reason, figures)
    return RelevanceVerdict("installed", f"New weights of context: {said}.", figures, fitted)


def night_relevance(
    examples: Sequence[Example],
    model: Any,
    base_folder: Path,
    anchor: Shipped | None,
    device: str,
    name: str,
    seconds: float,
    cancelled: Callable[[], bool],
    clock: Callable[[], float],
    file: Path,
) -> RelevanceVerdict:
    """The same with a PEFT model, read in the serving format.

    It is read without its adapter, which has learned these texts by heart: to it no context would matter.
    """
    encode = serving_format(base_folder, anchor, READING)

    def lose(asked: Sequence[Example]) -> NDArray[np.float64]:
        with model.disable_adapter():
            return measure(model, [encode(example) for example in asked], device).losses

    options = RelevanceOptions(seconds=seconds)
    return learn_relevance(examples, lose, name, options, cancelled, file, clock)


def _chosen(example: Example) -> Example:
    """Without the documents that are there whatever the weights say."""
    return replace(example, documents=tuple(one for one in example.documents if not is_of_edits(one.path)))


def figures_of(example: Example) -> NDArray[np.float64]:
    """The figures of each document of a region, shape (documents, len(Features))."""
    catalog = Catalog(Path(example.workspace).name)
    catalog.fill({document.path: number for number, document in enumerate(example.documents)})
    imported = imported_files(example.path, example.prefix, catalog)
    cursor = Cursor.at(example.path, example.prefix, example.suffix, imported)
    rows = []
    for document in example.documents:
        found = definitions(language_of(document.path), document.text.encode("utf-8", "replace"))
        rows.append(cursor.features(document.path, [each.name for each in found], document.text))
    return np.array(rows, dtype=np.float64)


def _read(
    examples: Sequence[Example],
    lose: Lose,
    seconds: float,
    cancelled: Callable[[], bool],
    clock: Callable[[], float],
) -> list[_Offered]:
    """The newest regions that the time is enough for, the oldest first."""
    end = clock() + seconds
    found: list[_Offered] = []
    for example in reversed(examples):
        if cancelled():
            raise TrainingCancelledError("Cancelled while the context that was offered was read.")
        if clock() > end:
            break
        alone = [replace(example, documents=(document,)) for document in example.documents]
        losses = lose([replace(example, documents=()), *alone])
        found.append(_Offered(figures_of(example), losses[0] - losses[1:], example.group))
    return found[::-1]


def _fitted(offered: Sequence[_Offered], start: Features, pull: float) -> Features:
    """Logistic regression on whether a document helped, each weighed by how much it changed, held at `start`."""
    from scipy.optimize import minimize

    rows = np.concatenate([each.figures for each in offered])
    gains = np.concatenate([each.gains for each in offered])
    helped = gains > HELPED
    weight = np.abs(gains - HELPED) / max(float(np.abs(gains - HELPED).mean()), 1e-9)
    origin = np.array(start)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = rows @ weights
        wrong = np.logaddexp(0.0, np.where(helped, -scores, scores))
        slope = weight * (1.0 / (1.0 + np.exp(-np.clip(scores, -30, 30))) - helped)
        away = weights - origin
        return float(weight @ wrong + 0.5 * pull * away @ away), rows.T @ slope + pull * away

    found = minimize(loss, origin, jac=True, method="L-BFGS-B")
    return Features(*(round(float(value), 6) for value in found.x))


def _worth(offered: Sequence[_Offered], relevance: Relevance) -> NDArray[np.float64]:
    """By how much the documents that these weights choose lower the loss: the mean of the best, 0 where none is."""
    worth = np.zeros(len(offered))
    for number, each in enumerate(offered):
        scores = each.figures @ np.array(relevance.weights)
        best = [place for place in np.argsort(-scores, kind="stable")[:TAKEN] if scores[place] > 0]
        worth[number] = float(each.gains[best].mean()) if best else 0.0
    return worth
