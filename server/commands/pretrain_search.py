"""`inkling pretrain-search`: makes the adapter that is shipped for the search encoder. For those who build Inkling."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from server.commands.printing import err, out, print_table

if TYPE_CHECKING:
    from model.training.search_training import SearchPace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pretrain-search")(pretrain_search)


def pretrain_search(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the adapter goes, with the record of how it was made.")
    ] = Path("search-adapter"),
    steps: Annotated[
        int, typer.Option(min=1, help="Batches of 64 questions; two passes over all are about 800.")
    ] = 800,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter.")] = 32,
    rate: Annotated[float, typer.Option(min=0.0, help="The learning rate.")] = 5e-4,
    measure: Annotated[
        int, typer.Option(min=0, help="Questions of each held-out package that weights and adapter are compared on.")
    ] = 60,
    late_only: Annotated[
        bool,
        typer.Option("--late-only", help="Keep the adapter in --out and teach only which part of a chunk fits a word."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume/--afresh", help="Go on from the folder's checkpoint.")] = True,
    threads: Annotated[int, typer.Option(min=0, help="0: all cores.")] = 0,
    kept: Annotated[
        Path | None, typer.Option("--corpus", help="What `inkling pretrain --save-corpus` wrote, instead of fetching.")
    ] = None,
) -> None:
    """Teach the search encoder which code answers a question: docstrings and their functions of pinned open packages.

    Examples:

      inkling pretrain-search --out index/weights/all-minilm-l6-v2

      inkling pretrain-search --corpus corpus.xz --out /tmp/search --steps 100

      inkling pretrain-search --out index/weights/all-minilm-l6-v2 --late-only
    """
    from model.catalog import EMBEDDING
    from model.training import packages
    from model.training.corpus import load_corpus
    from model.training.corpus_file import read_corpus

    packages.require()
    from model.training.late_training import HeadOptions
    from model.training.search_shipping import make_search_adapter
    from model.training.search_training import SearchOptions

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*shown, console=err) as bar:
        task = bar.add_task("reading the corpus", total=1.0)

        def show(pace: "SearchPace") -> None:
            told = (
                f"step {pace.step} of {pace.steps}, loss {pace.loss:.3f}, {pace.right:.0%} right, "
                f"{pace.seconds_left / 60:.0f} min left"
            )
            bar.update(task, completed=pace.step / pace.steps, description=told)
            if not err.is_terminal and pace.step % 20 == 0:
                err.print(told, highlight=False)

        corpus = read_corpus(kept) if kept is not None else load_corpus()
        options = SearchOptions(steps=steps, rank=rank, alpha=2 * rank, learning_rate=rate)
        record = make_search_adapter(
            EMBEDDING.name, folder, corpus, options=options, late=HeadOptions(), late_only=late_only, measure=measure,
            threads=threads, resume=resume, progress=show,
        )  # fmt: skip
    out.print(f"{folder} holds the adapter after {record['steps']} steps on {record['questions']} questions.")
    if measure:
        held = record["held_out"]
        rows = [(name, *(f"{held[arm][name]:.3f}" for arm in ("weights", "adapter"))) for name in held["weights"]]
        title = "MRR@10 by meaning alone, in packages that were not trained on"
        print_table(title, ("package", "weights", "adapter"), rows)
