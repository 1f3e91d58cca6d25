"""The plot of a measured search. Figures in, a picture out; matplotlib is only needed for this."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inkling.errors import UserError


class NoPlotError(UserError):
    """A plot was asked for that cannot be drawn."""


def require_plot(path: Path) -> None:
    """Raises NoPlotError before anything is measured for a plot that could not be drawn."""
    if find_spec("matplotlib") is None:
        raise NoPlotError("A plot needs matplotlib. Run `pip install matplotlib`, or leave --plot out.")
    if not path.resolve().parent.is_dir():
        raise NoPlotError(f"Expected a folder for the plot, found none at {path.resolve().parent}.")


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw quality and tokens per arm."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (quality, tokens) = pyplot.subplots(1, 2, figsize=(10, 4))
    names = [name for name in found["docstrings"] if name != "grep"]
    measures = ("mrr10", "recall1", "recall5", "recall10")
    for place, name in enumerate(names):
        values = [found["docstrings"][name][measure] for measure in measures]
        quality.bar([at + 0.27 * place for at in range(len(measures))], values, 0.25, label=name)
    quality.set_xticks([at + 0.27 for at in range(len(measures))], measures)
    quality.set_title("docstring to function")
    quality.legend()
    arms = list(found["docstrings"])
    tokens.bar(arms, [found["docstrings"][name]["tokens"] for name in arms])
    tokens.set_title("tokens read until the function is reached")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
