"""`inkling eval ...`: measure what the project promises, on packages that you name."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkling.errors import UserError
from server.commands.eval_completion import completion
from server.commands.eval_replay import replay
from server.commands.eval_search import search
from server.commands.models import DEFAULT_BASE, AsJson, Packages
from server.commands.printing import counting, err, out, print_json, print_table

_BUSY = 0.7  # programs that want to run, before the measurement

evaluation = typer.Typer(help="Measure what is promised, on packages that you name.", no_args_is_help=True)
evaluation.command()(completion)
evaluation.command()(replay)
evaluation.command()(search)


class UnknownArmError(UserError):
    """An arm that there is not."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(evaluation, name="eval")


@evaluation.callback()
def group() -> None:
    """Measure what is promised, on packages that you name."""


@evaluation.command()
def cache(
    packages: Packages,
    cases: Annotated[int, typer.Option("--cases", min=1, help="At how many cursors losses are measured.")] = 40,
    timing_cases: Annotated[int, typer.Option("--timing-cases", min=1, help="At how many times are taken.")] = 3,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Documents beside the file.")] = 8,
    document_tokens: Annotated[int, typer.Option("--document-tokens", min=48, help="Tokens of each, at most.")] = 512,
    tail_tokens: Annotated[int, typer.Option("--tail-tokens", min=32, help="Tokens before the cursor.")] = 1024,
    continuation_tokens: Annotated[
        int, typer.Option("--continuation-tokens", min=2, max=256, help="Tokens that are scored.")
    ] = 64,
    keys: Annotated[int, typer.Option("--keys", min=2, help="Characters typed per timing case, twice.")] = 40,
    decode_tokens: Annotated[
        int, typer.Option("--decode-tokens", min=4, max=128, help="Tokens decoded per rate.")
    ] = 48,
    attended: Annotated[
        int | None, typer.Option("--attended", help="Tokens of pages that matter; default: half of the documents.")
    ] = None,
    base: Annotated[str, typer.Option("--base", help="Base weights.")] = DEFAULT_BASE,
    adapter: Annotated[
        str, typer.Option("--adapter", help="none, shipped, or the folder of a LoRA; both sides compute with it.")
    ] = "shipped",
    scheme: Annotated[
        Literal["parallel", "sequential"] | None,
        typer.Option("--scheme", help="Positions that are served; default: as the adapter was trained."),
    ] = None,
    runtime: Annotated[Literal["auto", "onnx", "torch"], typer.Option("--runtime", help="Our side.")] = "auto",
    precision: Annotated[
        Literal["float32", "int8", "int4"], typer.Option("--precision", help="Weights of ONNX Runtime.")
    ] = "int8",
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both sides; 0: all cores.")] = 0,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="ARM", help="Leave an arm of the losses out; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the cursors.")] = 0,
    llama: Annotated[bool, typer.Option(help="Measure llama.cpp too, where it is installed.")] = True,
    llama_python: Annotated[
        Path | None, typer.Option("--llama-python", help="An interpreter that has llama-cpp-python.")
    ] = None,
    gguf: Annotated[
        Path | None, typer.Option("--gguf", help="For llama.cpp; default: the file the default base was made from.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a PNG there (needs matplotlib).")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes, to see that it runs. Its figures mean little.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the document cache against full prefill in transformers: losses, times, memory, in one run.

    Each case is a cursor in a file of a package, with documents from the package's other files. All arms read the same
    text. About half an hour with the defaults on two cores; nothing else should run meanwhile.

    Examples:

      inkling eval cache httpx==0.28.1 click flask

      inkling eval cache ../project --quick --json

      inkling eval cache rich --adapter none --plot cache.png --llama-python ~/llama/bin/python
    """
    from model.evaluation.cache_arms import NAMES
    from model.evaluation.cache_cases import Sizes
    from model.evaluation.cache_evaluation import CacheSettings, evaluate
    from model.evaluation.cache_report import plot as draw
    from model.evaluation.cache_report import require_plot

    unknown = sorted(set(skip or ()) - set(NAMES))
    if unknown:
        raise UnknownArmError(f"There is no arm {', '.join(unknown)}; there are {', '.join(NAMES)}.")
    if plot is not None:
        require_plot(plot)
    sizes = Sizes(documents, document_tokens, tail_tokens, continuation_tokens)
    if quick:
        sizes, cases, timing_cases, keys, decode_tokens = Sizes(3, 128, 192, 24), min(cases, 3), 1, 6, 16
    settings = CacheSettings(
        packages=tuple(packages), base=base, adapter=adapter, runtime=runtime, precision=precision, threads=threads,
        scheme=scheme, sizes=sizes, cases=cases, timing_cases=timing_cases, keys=keys, decode_tokens=decode_tokens,
        attended=attended, skip=tuple(skip or ()), seed=seed, llama=_llama(llama, llama_python, quick), gguf=gguf,
    )  # fmt: skip
    with counting("things") as report:
        found = evaluate(settings, report)
    print_json(found) if as_json else _print(found)
    if trained := found["settings"]["trained_on"]:
        err.print(f"The adapter was trained on {', '.join(trained)}: their figures prove nothing.", markup=False)
    if (found["settings"]["load_at_start"] or 0.0) > _BUSY:
        err.print("Another program was busy when this began: the times are worth little. Run it again alone.")
    if plot is not None:
        draw(found, plot)
        err.print(f"The plot is in {plot}.", highlight=False, markup=False)


def _llama(wanted: bool, python: Path | None, quick: bool) -> str | None:
    """The interpreter for llama.cpp: the one that is named, else ours if it has it."""
    from model.evaluation.cache_llama import LlamaError, has_llama

    if not wanted:
        return None
    if python is not None:
        if not has_llama(str(python)):
            raise LlamaError(f"{python} has no llama-cpp-python. Install it there, or leave --llama-python out.")
        return str(python)
    return sys.executable if not quick and has_llama(sys.executable) else None


def _print(found: dict[str, Any]) -> None:
    """Tables for people."""
    from model.evaluation.cache_report import event_names

    settings, timing = found["settings"], found["timing"]
    print_table(
        f"Losses in nats per token, {settings['cases']} cases, {settings['elsewhere_tokens']} tokens of names that "
        "stand only in other files",
        ("arm", "loss", "gain", "gap recovered", "95%", "names", "their gain"),
        [
            (
                name, _number(arm["loss"], 3), _number(arm["gain"], 3), _percent(arm.get("gap_recovered")),
                _interval(arm.get("gap_recovered_95")), _number(arm["elsewhere_loss"], 3),
                _number(arm["elsewhere_gain"], 3),
            )
            for name, arm in found["arms"].items()
        ],
    )  # fmt: skip
    for name, arm in found["arms"].items():
        out.print(f"  {name}: in {arm['where']}, {arm['what']}", highlight=False, style="dim")
    threads = f"{settings['threads']} threads, transformers at its best: {settings['reference_threads']}"
    print_table(
        f"Times to the first token; {threads}",
        ("event", "p50 ms", "p95 ms", "tokens computed", "most", "samples"),
        [
            (
                event_names()[name], _number(event["p50_ms"], 1), _number(event["p95_ms"], 1),
                _number(event["tokens_p50"], 0), _number(event["tokens_p95"], 0), event["samples"],
            )
            for name, event in timing["events"].items()
        ],
    )  # fmt: skip
    print_table(
        "Decoding at full context",
        ("what", "tokens per second", "drafted", "accepted"),
        [
            (name, _number(rate["tokens_per_second"], 1), rate["drafted"], rate["accepted"])
            for name, rate in timing["decode"].items()
        ],
    )
    if (llama := found["llama_cpp"]) is not None:
        print_table(
            f"At {llama['context_tokens']} tokens of context; llama.cpp at its best, {llama['llama_threads']} threads",
            ("what", "llama.cpp", "inkling"),
            [
                (name, _number(value, 1), _number(llama["inkling"][name], 1))
                for name, value in llama["llama_cpp"].items()
            ],
        )
    memory = found["memory"]
    rows = [(f"process, {name.replace('_', ' ')}", value) for name, value in memory["rss_bytes"].items()]
    rows += [("one resident buffer", memory["buffer_bytes"]), ("documents of a case", memory["documents_bytes"])]
    print_table("Memory", ("what", "MB"), [(name, f"{value / 1e6:,.0f}") for name, value in rows])
    print_table("Summary", ("figure", "value"), [(name, _number(v, 3)) for name, v in found["summary"].items()])
    out.print(f"{settings['runtime']} with {', '.join(settings['adapters']) or 'no adapter'}", markup=False)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(value: list[float | None] | None) -> str:
    return "" if not value or value[0] is None or value[1] is None else f"{value[0]:.0%} to {value[1]:.0%}"
