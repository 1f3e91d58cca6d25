"""`inkling eval replay`: real history as the user, and whether nights help it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.commands.models import DEFAULT_BASE, AsJson
from server.commands.printing import err, out, print_json, print_table

if TYPE_CHECKING:
    from model.evaluation.replay_pace import Progress

_EVERY = 10.0  # seconds between two lines of progress inside a unit


def replay(
    packages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PACKAGE==V1,V2,...]...",
            help="Versions from the package index, or folders: FOLDER1,FOLDER2,... None of it is run.",
        ),
    ] = None,
    git: Annotated[
        list[Path] | None, typer.Option("--git", metavar="REPO", help="Commits of a repository here; repeatable.")
    ] = None,
    commits: Annotated[int, typer.Option("--commits", min=2, help="How many of its last commits count.")] = 200,
    days: Annotated[int, typer.Option("--days", min=2, help="Days of a history, at most.")] = 5,
    hunks: Annotated[int, typer.Option("--hunks", min=1, help="Hunks that are written on a day, at most.")] = 60,
    requests: Annotated[int, typer.Option("--requests", min=1, help="Lines of a day that are asked for.")] = 80,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How often all of it is done.")] = 3,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="ARM",
            help="Only these arms and frozen; repeatable. preference and sections run only where they are named.",
        ),
    ] = None,
    night_seconds: Annotated[float, typer.Option("--night-seconds", min=1, help="What a night may take.")] = 300.0,
    minimum_regions: Annotated[
        int, typer.Option("--minimum-regions", min=4, help="Pieces of text that a night needs.")
    ] = 40,
    old_lines: Annotated[
        int, typer.Option("--old-lines", min=0, help="Lines of others at which forgetting is measured.")
    ] = 60,
    humaneval: Annotated[
        int, typer.Option("--humaneval", min=0, help="Likewise, at how many cursors of HumanEval's 1033.")
    ] = 40,
    base: Annotated[str, typer.Option("--base", help="Base weights.")] = DEFAULT_BASE,
    adapter: Annotated[
        str, typer.Option("--adapter", help="Under every arm: shipped, none, or what `inkling pretrain` made.")
    ] = "shipped",
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that share the users, where cores or a GPU are idle.")
    ] = 1,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Of each; 0: a share of all cores.")] = 0,
    results: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Results and adapters; default: in the cache folder.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a PNG there (needs matplotlib).")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One history, one seed, two days, tiny. Its figures mean little.")
    ] = False,
    so_far: Annotated[bool, typer.Option("--so-far", help="Run nothing: tell what a run has finished by now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay real history as the user: do nights help, more than memory alone, a placebo, or somebody else's nights?

    The lines that changed from version to version are what the user writes, with the context that existed then. After
    each day a night is run with its own promotion gate. The simulated user accepts an offer that is what was written,
    or of whose 3 or more characters the first 80% are. Hours for many packages; the same command goes on after it was
    killed. With more --seeds, or with --arm preference and --arm sections beside the arms of before, it keeps what is
    there.

    Examples:

      inkling eval replay itsdangerous==2.0.1,2.1.2,2.2.0 --seeds 1

      inkling eval replay click==8.0.4,8.1.8 tomlkit==0.11.8,0.13.2 --json --plot replay.png

      inkling eval replay --git . --quick
    """
    from model.evaluation.cache_report import require_plot
    from model.evaluation.replay_arms import NAMES
    from model.evaluation.replay_report import plot as draw
    from model.evaluation.replay_run import evaluate
    from model.evaluation.replay_settings import ReplaySettings, quick_settings
    from model.training.packages import require as require_training

    if plot is not None:
        require_plot(plot)
    if not so_far:
        require_training()
    settings = ReplaySettings(
        packages=tuple(packages or ()), repositories=tuple(git or ()), commits=commits, base=base, adapter=adapter,
        arms=NAMES if not arms else tuple(dict.fromkeys(["frozen", *arms])), days=days,
        hunks=hunks, requests=requests, seeds=seeds, night_seconds=night_seconds, minimum_regions=minimum_regions,
        old_lines=old_lines, humaneval=humaneval, threads=threads, workers=workers, out=results,
    )  # fmt: skip
    found = evaluate(quick_settings(settings) if quick else settings, _Lines(), so_far=so_far)
    print_json(found) if as_json else _print(found)
    if trained := found["settings"]["trained_on"]:
        err.print(f"The adapter was trained on {', '.join(trained)}: their figures prove little.", markup=False)
    if plot is not None:
        draw(found, plot)
        err.print(f"The plot is in {plot}.", highlight=False, markup=False)


class _Lines:
    """Progress as lines on standard error: one for each unit that is done, and one now and then between."""

    def __init__(self) -> None:
        self._done = -1
        self._told = 0.0

    def __call__(self, step: "Progress") -> None:
        now = time.monotonic()
        if step.done == self._done and now - self._told < _EVERY:
            return
        self._done, self._told = step.done, now
        left = "" if step.seconds_left is None else f", about {_duration(step.seconds_left)} left"
        err.print(f"{step.done} of {step.total}{left}: {step.message}", highlight=False, markup=False, soft_wrap=True)


def _print(found: Mapping[str, Any]) -> None:
    """Tables for people."""
    settings, summary = found["settings"], found["summary"]
    print_table(
        f"{summary['requests']} requests in {summary['files']} files of {', '.join(settings['histories'])}, "
        f"{settings['seeds']} seeds; the days after the first",
        ("arm", "kept per request", "95%", "shown", "accepted", "exact", "similar", "loss", "survived"),
        [
            (
                name, _number(arm["kept_per_request"]), _interval(arm["kept_per_request_95"]),
                _percent(arm["show_rate"]), _percent(arm["accept_rate"]), _percent(arm["exact_match"]),
                _percent(arm["similarity"]), _number(arm["loss"], 3), _percent(arm["survival"]),
            )
            for name, arm in found["arms"].items()
        ],
    )  # fmt: skip
    for arm in _described():
        if arm.name in found["arms"]:
            out.print(f"  {arm.name}: {arm.what}", highlight=False, style="dim")
    rivals = [rival for rival in _RIVALS if f"kept_chars_gain_over_{rival}" in summary]
    print_table(
        "Kept characters of nightly, relative to the others",
        ("package", *(f"over {rival.replace('_', ' ')}" for rival in rivals)),
        [
            (name, *(_percent(gains[f"kept_chars_gain_over_{rival}"]) for rival in rivals))
            for name, gains in [*((n, one["gains"]) for n, one in found["packages"].items()), ("all", summary)]
        ],
    )
    print_table(
        "Learning curve: kept characters per request",
        ("day", "learned from", *found["arms"]),
        [
            (row["day"], _number(row["examples"], 0), *(_number(row[n]["kept_per_request"]) for n in found["arms"]))
            for row in found["curve"]
        ],
    )
    print_table(
        "Nights",
        ("package", "seed", "day", "arm", "verdict", "seconds", "later loss", "after sft"),
        [
            (
                night["package"], night["seed"], night["day"] + 1, night["arm"], f"{night['status']} ({night['code']})",
                _number(night["seconds"], 0), _losses(night["figures"]), _stage(night["figures"]),
            )
            for night in found["nights"]
        ],
    )  # fmt: skip
    print_table("Summary", ("figure", "value"), [(name, _shown(value)) for name, value in summary.items()])
    out.print(f"The simulated user {settings['rule']}.", markup=False, highlight=False)
    out.print(f"{settings['runtime'] or 'nothing was asked anew'}; results: {settings['results']}", markup=False)


_RIVALS = ("frozen", "deltas", "gate", "full", "placebo", "wrong_package")


def _described() -> Any:
    from model.evaluation.replay_arms import ARMS

    return ARMS


def _losses(figures: Mapping[str, Any]) -> str:
    return f"{figures['later_before']:.3f} to {figures['later_after']:.3f}" if "later_after" in figures else "-"


def _stage(figures: Mapping[str, Any]) -> str:
    """What the stage behind sft came to, where there was to be one."""
    for name in ("preference", "section"):
        if name in figures:
            told = figures[name]
            return f"{name}: left out" if "skipped" in told else f"{name}: {told['steps']} steps"
    return "-"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(value: list[float | None]) -> str:
    return "" if None in value else f"{value[0]:.2f} to {value[1]:.2f}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value) or "none"
    return _number(value, 3) if value is None or isinstance(value, float) else str(value)
