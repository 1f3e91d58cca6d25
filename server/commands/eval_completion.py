"""`inkling eval completion`: what the model fills in, on packages that you name."""

from typing import Annotated, Any

import typer

from server.commands.models import DEFAULT_BASE, AsJson, Packages
from server.commands.printing import counting, err, out, print_json, print_table


def completion(
    packages: Packages,
    cases: Annotated[int, typer.Option("--cases", min=1, help="At how many cursors of each task.")] = 60,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Documents beside the file.")] = 3,
    document_tokens: Annotated[int, typer.Option("--document-tokens", min=48, help="Tokens of each, at most.")] = 256,
    tail_tokens: Annotated[int, typer.Option("--tail-tokens", min=32, help="Tokens before the cursor.")] = 384,
    suffix_tokens: Annotated[int, typer.Option("--suffix-tokens", min=8, help="Tokens behind the cursor.")] = 96,
    base: Annotated[str, typer.Option("--base", help="Base weights.")] = DEFAULT_BASE,
    adapter: Annotated[
        str, typer.Option("--adapter", help="none, shipped, or a folder that `inkling pretrain` made.")
    ] = "shipped",
    humaneval: Annotated[
        int, typer.Option("--humaneval", min=0, help="At how many cursors of HumanEval's 1033; 0: none.")
    ] = 100,
    threads: Annotated[int, typer.Option("--threads", min=0, help="For texts and times; 0: all cores.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the cursors.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes, to see that it runs. Its figures mean little.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure infilling: a line, some lines, a function's body, by the base and with the adapter on it.

    What stood at each cursor is taken out and asked for again, with and without the package's other files, with and
    without what follows. Exact matches and similarity are of the text that is served, losses are in nats per token.
    One to two hours with the defaults on two cores; for the times nothing else should run meanwhile.

    Examples:

      inkling eval completion httpx==0.28.1 click==8.1.8

      inkling eval completion ../project --quick --json

      inkling eval completion rich --adapter /tmp/adapter --cases 20 --humaneval 0
    """
    from model.evaluation.completion_cases import Sizes
    from model.evaluation.completion_evaluation import CompletionSettings, evaluate

    sizes = Sizes(documents, document_tokens, tail_tokens, suffix_tokens)
    if quick:
        sizes, cases, humaneval = Sizes(2, 128, 160, 48), min(cases, 2), min(humaneval, 4)
    settings = CompletionSettings(
        packages=tuple(packages), base=base, adapter=adapter, sizes=sizes, cases=cases, humaneval=humaneval,
        threads=threads, seed=seed,
    )  # fmt: skip
    with counting("things") as report:
        found = evaluate(settings, report)
    print_json(found) if as_json else _print(found)
    if trained := found["settings"]["trained_on"]:
        err.print(f"The adapter was trained on {', '.join(trained)}: their figures prove nothing.", markup=False)


def _print(found: dict[str, Any]) -> None:
    """Tables for people."""
    from model.evaluation.completion_arms import ARMS

    titles = {"line": "A line", "lines": "2 to 6 lines", "section": "The body of a function", "all": "All of it"}
    for task, figures in found["tasks"].items():
        print_table(
            f"{titles[task]}: {figures['cases']} cursors, {figures['tokens']} tokens, "
            f"{figures['copied']} of them stand in a document",
            ("arm", "loss", "95%", "exact", "95%", "similar"),
            [
                (
                    name, _number(arm["loss"]), _interval(arm["loss_95"], "{:.2f}"), _percent(arm.get("em")),
                    _interval(arm.get("em_95"), "{:.0%}"), _percent(arm.get("similarity")),
                )
                for name, arm in figures["arms"].items()
            ],
        )  # fmt: skip
    for arm in ARMS:
        if arm.name in found["tasks"]["all"]["arms"]:
            out.print(f"  {arm.name}: {arm.what}", highlight=False, style="dim")
    latency = found["latency"]
    print_table(
        f"Served completions of a line, {latency['samples']} samples, {found['settings']['threads']} threads",
        ("event", "p50 ms", "p95 ms"),
        [
            (what, *(_number(latency[name][key], 0) for key in ("p50_ms", "p95_ms")))
            for name, what in (("cold", "nothing cached, documents included"), ("keystroke", "one character more"))
        ],
    )
    summary = found["summary"]
    print_table(
        "Summary",
        ("figure", "value", "95%"),
        [
            (name, value if isinstance(value, int) else _number(value), _interval(summary.get(f"{name}_95"), "{:.3f}"))
            for name, value in summary.items()
            if not name.endswith("_95")
        ],
    )
    settings = found["settings"]
    trained = f" of {settings['adapter_tokens']:,} tokens" if settings["adapter_tokens"] else ""
    told = f"adapter {settings['adapter_folder']}{trained}" if settings["adapter_folder"] else "no adapter"
    out.print(f"{settings['runtime']}, {told}; losses: {settings['losses']}", markup=False, highlight=False)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(value: list[float | None] | None, form: str) -> str:
    return "" if not value or None in value else f"{form.format(value[0])} to {form.format(value[1])}"
