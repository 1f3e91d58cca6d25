"""`inkling eval search`: how well the index finds, on packages that you name, against BM25, vectors and grep."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkling.errors import UserError
from server.commands.models import DEFAULT_EMBEDDING, AsJson, Packages
from server.commands.printing import counting, err, out, print_json, print_table

_SPEED_TEXTS = 96


class NothingToAskError(UserError):
    """The packages hold no docstring that could be asked for."""


def search(
    packages: Packages,
    questions: Annotated[int, typer.Option("--questions", min=1, help="Docstrings per package, at most.")] = 100,
    commits: Annotated[int, typer.Option("--commits", min=0, help="Commits per folder with a history, at most.")] = 50,
    embedding: Annotated[str, typer.Option("--embedding", help="Embedding weights.")] = DEFAULT_EMBEDDING,
    adapter: Annotated[
        str, typer.Option("--adapter", help="On the weights: shipped, none, or what `inkling pretrain-search` made.")
    ] = "shipped",
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both encoders; 0: all cores.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the questions.")] = 0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a PNG there (needs matplotlib).")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure search: docstrings ask for their functions, commit messages for their files, all arms in one run.

    The packages are indexed together, without their docstrings. A folder with a git history adds its commits. The
    reranker was fitted on wtforms, apscheduler, h2, questionary, httpie, mongoengine, lmfit, jupyter-client,
    magic-wormhole and pdfminer-six: their figures prove nothing.

    Examples:

      inkling eval search httpx==0.28.1 click==8.1.8 flask==3.1.0

      inkling eval search ../project --questions 50 --json

      inkling eval search httpx==0.28.1 --adapter none
    """
    from index.evaluation.report import plot as draw
    from index.evaluation.report import require_plot

    if plot is not None:
        require_plot(plot)
    with counting("things") as report:
        found = _measured(packages, questions, commits, embedding, adapter, threads or None, seed, report)
    print_json(found) if as_json else _print(found)
    if plot is not None:
        draw(found, plot)
        err.print(f"The plot is in {plot}.", highlight=False, markup=False)


def _measured(
    packages: list[str],
    most: int,
    commits: int,
    embedding: str,
    adapter: str,
    threads: int | None,
    seed: int,
    report: Any,
) -> dict[str, Any]:
    from index.embedding import Embedder
    from index.evaluation.grep_arm import Grep
    from index.evaluation.measure import ask, speed_ratio, workspace
    from index.evaluation.questions import Question, commit_questions, docstring_questions
    from index.search import Search
    from model.evaluation.packages import load_package
    from model.weights import resolve

    folder = resolve(embedding)
    chosen: Path | Literal["shipped"] | None = (
        "shipped" if adapter == "shipped" else None if adapter == "none" else Path(adapter).expanduser()
    )
    encoder = Embedder(folder, adapter=chosen, threads=threads)
    choose = random.Random(seed)
    files: dict[str, str] = {}
    by_docstring: list[Question] = []
    by_commit: list[Question] = []
    names: list[str] = []
    for text in packages:
        package = load_package(text, report)
        bare, asked = docstring_questions(package.files)
        place = f"{package.name}/"
        files |= {place + path: content for path, content in bare.items()}
        by_docstring += _below(place, choose.sample(asked, min(most, len(asked))))
        source = Path(text).expanduser()
        if commits and source.is_dir():
            by_commit += _below(place, commit_questions(source, package.files, commits))
        names.append(str(package))
    if not by_docstring:
        raise NothingToAskError("Expected functions with docstrings of at least four words, found none. Name others.")
    with workspace(files, encoder, report) as (root, built):
        searching = Search(root, encoder)
        searching.search("load everything")
        grep = Grep(root, files)
        docstrings = ask(searching, grep, by_docstring, report, "docstrings")
        history = ask(searching, grep, by_commit, report, "commits") if by_commit else None
        stats = searching.stats()
        searching.close()
    texts = [text[:1600] for text in list(files.values())[:_SPEED_TEXTS]]
    speed = speed_ratio(encoder, Embedder(folder, adapter=chosen, threads=threads, batch=32, onnx=False), texts)
    hybrid = docstrings["hybrid"]
    return {
        "settings": {
            "packages": names, "docstrings": len(by_docstring), "commits": len(by_commit), "files": stats["files"],
            "chunks": stats["chunks"], "embedding": encoder.model, "grep": grep.program, "seed": seed,
        },
        "docstrings": docstrings,
        "commits": history,
        "build": built,
        "embedding_speed": speed,
        "summary": {
            "mrr10_hybrid": hybrid["mrr10"],
            "mrr10_bm25": docstrings["bm25"]["mrr10"],
            "mrr10_vector": docstrings["vector"]["mrr10"],
            "recall1": hybrid["recall1"],
            "recall5": hybrid["recall5"],
            "recall10": hybrid["recall10"],
            "tokens_ratio_vs_grep": hybrid["tokens"] / max(docstrings["grep"]["tokens"], 1.0),
            "query_ms_p95": hybrid["ms_p95"],
            "embed_speedup": speed["speedup"],
        },
    }  # fmt: skip


def _below(place: str, questions: Any) -> list[Any]:
    """The questions, with their targets below a folder."""
    return [
        replace(question, targets=tuple(replace(target, path=place + target.path) for target in question.targets))
        for question in questions
    ]


def _print(found: dict[str, Any]) -> None:
    """Tables for people."""
    settings = found["settings"]
    columns = ("arm", "MRR@10", "recall@1", "@5", "@10", "tokens to the target", "ms p50", "p95")
    for title, arms in (("docstring to function", found["docstrings"]), ("commit to files", found["commits"])):
        if arms is None:
            continue
        count = settings["docstrings" if arms is found["docstrings"] else "commits"]
        rows = [
            (
                name, *(f"{arm[key]:.3f}" if key in arm else "" for key in ("mrr10", "recall1", "recall5", "recall10")),
                f"{arm['tokens']:,.0f}", *(f"{arm[key]:.1f}" if key in arm else "" for key in ("ms_p50", "ms_p95")),
            )
            for name, arm in arms.items()
        ]  # fmt: skip
        print_table(f"{title}: {count} questions, {settings['chunks']:,} chunks", columns, rows)
    print_table("Summary", ("figure", "value"), [(name, f"{v:.3f}") for name, v in found["summary"].items()])
    grep = found["docstrings"]["grep"]
    out.print(f"grep ({settings['grep']}): {grep['hops']:.0f} steps, found {grep['found']:.0%}", highlight=False)
