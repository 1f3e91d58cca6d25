"""`inkling pretrain`: makes the adapter that is shipped for a base. For those who build Inkling, not for every day."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from server.commands.models import DEFAULT_BASE
from server.commands.printing import err, out, print_table

if TYPE_CHECKING:
    from model.training.pretraining import Pace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(pretrain)


def pretrain(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the adapter goes, with the record of how it was made.")
    ] = Path("adapter"),
    base: Annotated[str, typer.Option("--base", help="The base weights that it is made for.")] = DEFAULT_BASE,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train.")] = 120.0,
    tokens: Annotated[int, typer.Option(min=0, help="End after so many tokens; 0: only the time counts.")] = 0,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, a third more time: for large bases.")
    ] = False,
    measure: Annotated[
        int, typer.Option(min=0, help="On how many held-out cursors base and adapter are compared afterwards.")
    ] = 48,
    onto: Annotated[
        Path | None, typer.Option("--onto", help="An adapter of an earlier training, to go on from its weights.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--afresh", help="Go on from the folder's checkpoint.")] = True,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapter: more learns more, and makes it larger.")] = 32,
    rate: Annotated[float, typer.Option(min=0.0, help="The learning rate; 0: 8e-4, on a GPU 2e-3.")] = 0.0,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of a step, where it is not a pack of a GPU.")] = 2,
    edits: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share that stands at lines written between two versions.")
    ] = 0.3,
    distilled: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share also taught by reading documents one after the other.")
    ] = 0.25,
    kept: Annotated[
        Path | None,
        typer.Option("--corpus", help="What --save-corpus wrote, instead of fetching: needs no network."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save-corpus", help="Only read the corpus, and write it into this one file.")
    ] = None,
) -> None:
    """Teach a base to fill in the middle and to read documents that were encoded apart, from pinned open packages.

    Examples:

      inkling pretrain --out model/weights/smollm2-135m-instruct

      inkling pretrain --out /tmp/adapter --minutes 5 --afresh

      inkling pretrain --out /tmp/more --onto model/weights/smollm2-135m-instruct --rank 64 --rate 3e-4 --rows 4

      inkling pretrain --save-corpus corpus.xz

      inkling pretrain --corpus corpus.xz --out /tmp/adapter --rank 64 --tokens 100000000

      torchrun --nproc_per_node 4 -m inkling pretrain --out /tmp/adapter --tokens 100000000
    """
    from model.training import packages
    from model.training.corpus_file import read_corpus, write_corpus

    if save is None:
        packages.require()
    from model.training.shipping import make_adapter, measure_adapter, whole_corpus

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*shown, console=err) as bar:
        task = bar.add_task("reading the corpus", total=1.0)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done / total, description=f"reading {what}")

        corpus = read_corpus(kept) if kept else whole_corpus(base, edits=edits > 0, progress=tell)
        if save is not None:
            bar.update(task, completed=1.0, description="writing it")
            write_corpus(corpus, save)
            files = sum(len(found) for found in (*corpus.training.values(), *corpus.held_out.values()))
            out.print(f"{save} holds {files} files of {len(corpus.packages)} packages, {save.stat().st_size >> 20} MB.")
            return

        from model.training.pretraining import PretrainOptions

        def show(pace: "Pace") -> None:
            told = (
                f"step {pace.step}, {pace.tokens} tokens, {pace.tokens_per_second:.0f}/s, loss {pace.loss:.3f}, "
                f"{pace.seconds_left / 60:.0f} min left"
            )
            bar.update(task, completed=pace.share, description=told)
            if not err.is_terminal and pace.step % 5 == 0:
                err.print(told, highlight=False)

        options = PretrainOptions(
            minutes=minutes,
            tokens=tokens,
            rows=rows,
            edits=edits,
            distilled_share=distilled,
            rank=rank,
            alpha=2 * rank,
            learning_rate=rate,
            gradient_checkpointing=gradient_checkpointing,
        )
        record = make_adapter(base, folder, corpus=corpus, options=options, onto=onto, resume=resume, progress=show)
        if os.environ.get("RANK", "0") != "0":  # of `torchrun`: the first process measures and says what came of it
            return
        if measure:
            task = bar.add_task("measuring on held-out packages", total=1.0)
            figures = measure_adapter(
                base, folder, count=measure, progress=lambda done, total: bar.update(task, completed=done / total)
            )
    out.print(f"{folder} holds the adapter after {record['steps']} steps and {record['tokens']} tokens.")
    if measure:
        table = [
            (arm, *(f"{figures[name][arm][key]:.3f}" for name in ("base", "adapter") for key in ("written", "exact")))
            for arm in figures["base"]
        ]
        columns = ("arm", "base: nats per token", "base: line right", "adapter: nats per token", "adapter: line right")
        print_table(f"{measure} cursors of packages that were not trained on", columns, table)
