"""What a replay says: figures by arm, by package and by day, and those that the project promises.

Pure arithmetic on answers; it runs nothing. The first day is the same for every arm that learns, so figures are of the
days after it; only the learning curve shows them all. An interval is the paired percentile bootstrap (Efron 1979) over
files: a file is drawn with all requests in it, of all seeds and arms together. Where arms are compared that serve what
nights made, packages are drawn first and files within each, as a night is one for all files of a package.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation.cache_report import require_plot
from model.evaluation.completion_report import Estimate, estimate
from model.evaluation.replay_arms import ARMS
from model.evaluation.replay_gate import judged
from model.evaluation.replay_user import Answer, best

_RIVALS = {"frozen": "frozen", "deltas": "deltas", "placebo": "placebo", "wrong": "wrong_package"}
_MORE_RIVALS = ("gate", "full")  # told of where they were replayed
_OF_NIGHTS = frozenset(arm.name for arm in ARMS if arm.trained) | {"alone"}  # arms that serve what nights made
_PROBLEM = "solution.py"  # the path of HumanEval's cursors
_COLUMNS = (
    "requests", "kept", "offers", "accepted", "exact", "similarity", "nats", "tokens", "followed", "survived",
    "served_offers", "served_accepted", "served_kept",
)  # fmt: skip

Days = Sequence[Sequence[Answer]]
User = tuple[str, int]  # package and seed


@dataclass(frozen=True)
class Results:
    """Everything that was measured. `answers` by package, seed and arm, day by day; `old` by package, seed and arm.

    `nights` are plain JSON values. `frozen_old`: the frozen model on what must not be forgotten; [] if not measured.
    """

    answers: Mapping[tuple[str, int, str], Days]
    nights: Sequence[Mapping[str, Any]]
    frozen_old: Sequence[Answer]
    old: Mapping[tuple[str, int, str], Sequence[Answer]]
    days: Mapping[User, Sequence[str]]
    gate: bool = True


@dataclass
class _Table:
    """Sums by file, for every arm: arm -> (package, path) -> column -> sum."""

    sums: dict[str, dict[tuple[str, str], dict[str, float]]] = field(default_factory=dict)

    def add(self, arm: str, package: str, answers: Sequence[Answer], shown: frozenset[str]) -> None:
        files = self.sums.setdefault(arm, {})
        for answer in answers:
            row = files.setdefault((package, answer.path), dict.fromkeys(_COLUMNS, 0.0))
            for name, value in _values(answer, answer.id in shown).items():
                row[name] += value

    def columns(self, arm: str, names: Sequence[str], package: str | None = None) -> list[list[float]]:
        """One number per file, in the same order for every arm."""
        files = self.sums.get(arm, {})
        chosen = [key for key in sorted(self.sums["frozen"]) if package in (None, key[0])]
        return [[files[key][name] if key in files else math.nan for key in chosen] for name in names]

    @property
    def owners(self) -> list[str]:
        """The package of each file, in the order of the columns of all packages."""
        return [package for package, _ in sorted(self.sums["frozen"])]


def report(results: Results) -> dict[str, Any]:
    """`summary`, `arms`, `packages`, `curve`, `nights`, `forgetting`. May hold NaN where nothing was measured."""
    by_arm = _by_arm(results)
    table = _Table()
    for arm, users in by_arm.items():
        for (package, seed), days in users.items():
            frozen = list(chain(*by_arm["frozen"][package, seed][1:]))
            answers = list(chain(*days[1:]))
            table.add(arm, package, answers, best(answers, sum(answer.shown for answer in frozen)))
    packages = list(dict.fromkeys(package for package, _ in results.days))
    figures = {package: _arm_figures(table, list(by_arm), package) for package in packages}
    forgetting = _forgetting(results)
    return {
        "summary": _summary(table, results, forgetting),
        "arms": _arm_figures(table, list(by_arm), None),
        "packages": {
            package: {"arms": arms, "gains": _gains(table, package), "days": _days(results, package)}
            for package, arms in figures.items()
        },
        "curve": _curve(by_arm, results),
        "nights": [dict(night) for night in results.nights],
        "forgetting": forgetting,
    }


def _days(results: Results, package: str) -> list[str]:
    """The names of its days, which are the same for every seed."""
    return next(list(days) for (name, _), days in results.days.items() if name == package)


def _by_arm(results: Results) -> dict[str, dict[User, Days]]:
    """Days by arm and user, in the order of ARMS. The gate's are the frozen model's, judged anew."""
    found: dict[str, dict[User, Days]] = {}
    for arm in ARMS:
        for package, seed in results.days:
            if (package, seed, arm.name) in results.answers:
                found.setdefault(arm.name, {})[package, seed] = results.answers[package, seed, arm.name]
        if arm.name == "gate" and results.gate:
            found[arm.name] = _gated(found["frozen"])
    return found


def _gated(frozen: Mapping[User, Days]) -> dict[User, Days]:
    """The frozen model's days under gates of their own, those of a seed together."""
    found: dict[User, Days] = {}
    for seed in sorted({seed for _, seed in frozen}):
        users = [user for user in frozen if user[1] == seed]
        found |= dict(zip(users, judged([frozen[user] for user in users]), strict=True))
    return found


def _values(answer: Answer, shown: bool) -> dict[str, float]:
    """The columns of one request. `shown` at equal show-rate; `served_...` at the gate's own threshold."""
    accepted, kept = answer.accepted, answer.kept
    return {
        "requests": 1.0,
        "kept": kept if shown else 0.0,
        "offers": float(shown),
        "accepted": float(shown and accepted),
        "exact": float(answer.exact),
        "similarity": answer.similarity,
        "nats": answer.nats,
        "tokens": answer.tokens,
        "followed": kept if shown and answer.stands is not None else 0.0,
        "survived": kept if shown and answer.stands else 0.0,
        "served_offers": float(answer.shown),
        "served_accepted": float(answer.shown and accepted),
        "served_kept": kept if answer.shown else 0.0,
    }


_FIGURES: dict[str, tuple[str, str]] = {
    "kept_per_request": ("kept", "requests"),
    "show_rate": ("offers", "requests"),
    "accept_rate": ("accepted", "offers"),
    "exact_match": ("exact", "requests"),
    "similarity": ("similarity", "requests"),
    "loss": ("nats", "tokens"),
    "survival": ("survived", "followed"),
    "served_show_rate": ("served_offers", "requests"),
    "served_accept_rate": ("served_accepted", "served_offers"),
    "served_kept_per_request": ("served_kept", "requests"),
}


def _arm_figures(table: _Table, arms: Sequence[str], package: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for arm in arms:
        made: dict[str, Any] = {"requests": int(sum(table.columns(arm, ["requests"], package)[0]))}
        for name, pair in _FIGURES.items():
            value = estimate(table.columns(arm, pair, package), _ratio)
            made |= {name: value.value, f"{name}_95": [value.lower, value.upper]}
        found[arm] = made
    return found


def _gains(table: _Table, package: str | None) -> dict[str, Any]:
    """Kept characters of `nightly` relative to each of the others, at equal show-rate: an arm that hides more than the
    frozen model, as `gate` may, is not counted less for it."""
    found: dict[str, Any] = {}
    for arm, called in _called_rivals(table).items():
        gain = _compared(table, "nightly", arm, "kept", package)
        name = f"kept_chars_gain_over_{called}"
        found |= {name: gain.value, f"{name}_ci_low": gain.lower, f"{name}_ci_high": gain.upper}
    return found


def _called_rivals(table: _Table) -> dict[str, str]:
    """The arms that nightly is held against, and what figures call them."""
    return {**_RIVALS, **{arm: arm for arm in _MORE_RIVALS if arm in table.sums}}


def _compared(table: _Table, arm: str, other: str, column: str, package: str | None = None) -> Estimate:
    columns = [*table.columns(arm, [column], package), *table.columns(other, [column], package)]
    groups = table.owners if package is None and not _OF_NIGHTS.isdisjoint((arm, other)) else ()
    return estimate(columns, lambda mine, others: _ratio(mine, others) - 1.0, groups=groups)


def _better(table: _Table, arm: str, other: str) -> float:
    """In how many packages the arm keeps more; NaN where one of the two was not replayed."""
    if not {arm, other} <= table.sums.keys():
        return math.nan
    return sum(_compared(table, arm, other, "kept", package).value > 0 for package in set(table.owners))


def _summary(table: _Table, results: Results, forgetting: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that the project promises. Relative changes are shares: 0.15 is 15% more."""
    packages = list(dict.fromkeys(package for package, _ in results.days))
    losing = [package for package in packages if _compared(table, "nightly", "frozen", "kept", package).value < 0]
    loss = estimate(
        [*table.columns("nightly", ["nats", "tokens"]), *table.columns("frozen", ["nats", "tokens"])],
        lambda mine, count, others, other_count: _ratio(mine, count) - _ratio(others, other_count),
        groups=table.owners,
    )
    accept = estimate(
        [
            *table.columns("gate", ["served_accepted", "served_offers"]),
            *table.columns("frozen", ["served_accepted", "served_offers"]),
        ],
        lambda mine, offers, others, other_offers: _ratio(_ratio(mine, offers), _ratio(others, other_offers)) - 1.0,
    )
    nightly = [night for night in results.nights if night["arm"] == "nightly" and night["status"] != "skipped"]
    placebo = [night for night in results.nights if night["arm"] == "placebo" and night["status"] != "skipped"]
    memory, alone = (_compared(table, arm, "frozen", "kept") for arm in ("deltas", "alone"))
    return {
        **_gains(table, None),
        "kept_chars_gain_of_memory": memory.value,
        "kept_chars_gain_of_memory_95": [memory.lower, memory.upper],
        "kept_chars_gain_of_training_alone": alone.value,
        "kept_chars_gain_of_training_alone_95": [alone.lower, alone.upper],
        "loss_change": loss.value,
        "loss_change_95": [loss.lower, loss.upper],
        "gate_accept_gain": accept.value,
        "gate_accept_gain_ci_low": accept.lower,
        "gate_offer_change": _compared(table, "gate", "frozen", "served_offers").value,
        "placebo_promotions": sum(night["status"] == "promoted" for night in placebo),
        "placebo_nights": len(placebo),
        "promotions": sum(night["status"] == "promoted" for night in nightly),
        "nights": len(nightly),
        "old_task_loss_change": forgetting.get("nightly", {}).get("loss_change", math.nan),
        **{
            f"{part}_loss_change": forgetting.get("nightly", {}).get(part, {}).get("loss_change", math.nan)
            for part in ("humaneval", "library")
        },
        "seconds_per_night": _mean([night["seconds"] for night in nightly]),
        "packages": len(packages),
        "packages_with_fewer_kept": losing,
        **{
            f"packages_better_than_{called}": _better(table, "nightly", arm)
            for arm, called in _called_rivals(table).items()
        },
        "packages_better_by_training_alone": _better(table, "alone", "frozen"),
        "intervals_of_nights": "packages, and files within each"
        if len({*table.owners}) > 1
        else "files of the one package",
        "files": len(table.sums["frozen"]),
        "requests": int(sum(table.columns("frozen", ["requests"])[0])),
        **_stage_figures(table, results),
    }


def _stage_figures(table: _Table, results: Results) -> dict[str, Any]:
    """Of each extra arm that was replayed: kept characters relative to `nightly`, and in how many of its nights the
    stage that it has more had the data and the time to run."""
    found: dict[str, Any] = {}
    for arm in ARMS:
        if not arm.extra or arm.name not in table.sums:
            continue
        gain = _compared(table, arm.name, "nightly", "kept")
        nights = [night for night in results.nights if night["arm"] == arm.name and night["status"] != "skipped"]
        ran = sum("skipped" not in night["figures"].get(arm.stages[-1], {"skipped": ""}) for night in nights)
        name = f"kept_chars_gain_of_{arm.name}"
        found |= {name: gain.value, f"{name}_95": [gain.lower, gain.upper]}
        found |= {f"packages_better_with_{arm.name}": _better(table, arm.name, "nightly")}
        found |= {f"{arm.name}_nights": len(nights), f"{arm.name}_nights_with_stage": ran}
    return found


def _forgetting(results: Results) -> dict[str, Any]:
    """By trained arm: what it still knows of others' lines and HumanEval's, over all users, together and apart."""
    found: dict[str, Any] = {}
    for arm in dict.fromkeys(arm for _, _, arm in results.old):
        answers = list(chain(*(several for (_, _, name), several in results.old.items() if name == arm)))
        found[arm] = _kept_knowledge(results.frozen_old, answers)
        for part, problems in (("humaneval", True), ("library", False)):
            before, after = (
                [answer for answer in several if (answer.path == _PROBLEM) == problems]
                for several in (results.frozen_old, answers)
            )
            found[arm][part] = _kept_knowledge(before, after)
    return found


def _kept_knowledge(before: Sequence[Answer], after: Sequence[Answer]) -> dict[str, Any]:
    """Loss and exact matches of the frozen model and of an arm at the same cursors."""
    return {
        "cursors": len(before),
        "loss_before": _loss(before),
        "loss": _loss(after),
        "loss_change": _loss(after) / _loss(before) - 1.0 if before else math.nan,
        "exact_before": _mean([float(answer.exact) for answer in before]),
        "exact": _mean([float(answer.exact) for answer in after]),
    }


def _curve(by_arm: Mapping[str, Mapping[User, Days]], results: Results) -> list[dict[str, Any]]:
    """By day, over all users who have such a day: kept characters per request at that day's show-rate, and loss;
    `examples`: those that nights had seen by then, NaN where no night tells it."""
    found = []
    for day in range(max(len(days) for days in results.days.values())):
        users = [user for user, days in results.days.items() if day < len(days)]
        seen = [count for user in users if (count := _examples(results, user, day)) is not None]
        row: dict[str, Any] = {"day": day + 1, "users": len(users), "examples": _mean(seen) if day else 0.0}
        for arm, several in by_arm.items():
            kept = 0
            answers: list[Answer] = []
            for user in users:
                count = sum(answer.shown for answer in by_arm["frozen"][user][day])
                shown = best(several[user][day], count)
                kept += sum(answer.kept for answer in several[user][day] if answer.id in shown)
                answers += several[user][day]
            row[arm] = {"kept_per_request": kept / len(answers) if answers else math.nan, "loss": _loss(answers)}
        found.append(row)
    return found


def _examples(results: Results, user: User, day: int) -> int | None:
    """How many the nights of a user before this day had, in whichever arm; None where none tells it. One that found
    nothing new does not."""
    told = [
        night["figures"]["usable"]
        for night in results.nights
        if (night["package"], night["seed"]) == user and night["day"] < day and "usable" in night["figures"]
    ]
    return max(told, default=None)


def plot(found: Mapping[str, Any], target: Path) -> None:
    """Kept characters by arm, and as they grow with what nights have seen (by day where there were no nights), as a
    picture. Raises NoPlotError where matplotlib is missing."""
    require_plot(target)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for row, arm in enumerate(found["arms"].values()):
        value, interval = arm["kept_per_request"], arm["kept_per_request_95"]
        if value is not None:
            left.plot([value], [row], "o", color="tab:blue")
        if interval[0] is not None:
            left.plot(interval, [row, row], color="tab:blue", linewidth=1.5)
    left.set_yticks(range(len(found["arms"])), list(found["arms"]))
    left.invert_yaxis()
    left.set_xlabel("kept characters per request at equal show-rate, 95%")
    counted = all(row["examples"] is not None for row in found["curve"])
    for name in found["arms"]:
        points = [(row["examples" if counted else "day"], row[name]["kept_per_request"]) for row in found["curve"]]
        measured = [(place, value) for place, value in points if value is not None]
        right.plot([place for place, _ in measured], [value for _, value in measured], "o-", label=name)
    right.set_xlabel("settled pieces of text that nights had seen, mean of users" if counted else "day")
    right.set_ylabel("kept characters per request")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(linewidth=0.3)
    settings = found["settings"]
    figure.suptitle(f"{settings['base']}: {', '.join(settings['histories'])}, {settings['seeds']} seeds", fontsize=10)
    figure.savefig(target, dpi=130)


def _ratio(mine: Any, others: Any) -> Any:
    """Of floats or arrays; not finite where there is nothing to divide by."""
    return np.divide(mine, others)


def _loss(answers: Sequence[Answer]) -> float:
    tokens = sum(answer.tokens for answer in answers)
    return sum(answer.nats for answer in answers) / tokens if tokens else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
