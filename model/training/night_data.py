"""What a night may use and what it reads: options, the split by time, rows, pairs, sections, what fits the budget.

Examples in, token sequences out; it measures speed, it trains nothing. What always holds: later examples that the
champion was trained on are not measured on.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from feedback.changes import Change
from feedback.examples import Example
from model.adapters import Adapter, Registry
from model.evaluation.comparison import measure
from model.shipped import Shipped
from model.training.curriculum import balanced, difficulty_of, windowed
from model.training.dataset import Encode, TrainingSequence, encoded, shuffled_targets, silent, split_by_time
from model.training.kto import Judged, judged_of
from model.training.old_tasks import general_examples, old_examples
from model.training.preference import Pair, PreferenceOptions, pairs_of
from model.training.section_tasks import Section, Sections, section_of, sections_of
from model.training.section_training import SectionOptions
from model.training.sentinel import Bounds
from model.training.serving import serving_format
from model.training.sft import SftOptions
from model.training.verdict import Verdict

_MOST_GENERAL = 48  # texts that are none of the user's; they come again in every pass
DISTANCE_EXAMPLES = 16  # enough for a mean over some hundred tokens; each costs two passes
_PASSES = 2.2  # over each later example: by champion and candidate, with a wrong target behind the same context
_MEASURED_SHARE = 0.4  # of the budget, for measuring
_OLD_SHARE = 0.25  # of that, for old tasks at most: they are read once by champion and candidate
_TIMED, _TIMED_SHARE = 8, 0.02  # how often the speed is looked at, and the share of the budget for it
_TIMED_TOGETHER = 4

Stage = Literal["gate", "sft", "preference", "section"]
STAGES: tuple[Stage, ...] = get_args(Stage)  # in the order in which they run


@dataclass(frozen=True)
class NightOptions:
    """What a night may use. `window` and `most_later`: the newest so many examples are trained and measured on;
    `replay_share` of the window is drawn from older ones. `context_share`: of the gain that must be knowledge of the
    context; `context_loss` and `certainty_loss`: the shares that may be lost of the margin over wrong targets and of
    the probability of right tokens."""

    budget_seconds: float = 1200.0
    minimum_regions: int = 300
    later_share: float = 0.3
    least_later: int = 4
    most_later: int = 200
    window: int = 4000
    replay_share: float = 0.1
    maximum_tokens: int = 1024
    distance_bound: float = 1.0
    context_loss: float = 0.04
    certainty_loss: float = 0.03
    context_share: float = 0.25
    old_bound: float = 0.01  # of the loss on old tasks, by which it may rise
    threads: int = 0  # 0: all cores but one
    dry_run: bool = False
    stages: tuple[Stage, ...] = ("sft",)
    minimum_pairs: int = 100  # or unpaired judgements, where pairs are fewer
    minimum_sections: int = 8
    held_sections: int = 4
    sft: SftOptions = field(default_factory=SftOptions)
    preference: PreferenceOptions = field(default_factory=PreferenceOptions)
    section: SectionOptions = field(default_factory=SectionOptions)
    drift: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Data:
    """Token sequences of both sides. `general` is held beside `training` and has no targets. `wrong` are the later
    contexts with somebody else's target, `watched` the same cursors as texts, `old` what is none of the user's.
    `groups` of later examples are alike (`Example.group`)."""

    training: list[TrainingSequence]
    general: list[TrainingSequence]
    later: list[TrainingSequence]
    groups: list[str]
    wrong: list[TrainingSequence]
    watched: list[Section]
    old: list[TrainingSequence]
    pairs: list[Pair]
    judged: list[Judged]
    sections: Sections
    figures: dict[str, Any]


def prepare(
    examples: Sequence[Example],
    base_folder: Path,
    anchor: Shipped | None,
    champion: Adapter | None,
    registry: Registry,
    options: NightOptions,
    changes: Sequence[Change] = (),
) -> Data:
    """Split, clean and tokenise. Later examples that the champion was trained on would flatter it: they are dropped.

    `changes` are those of commits, for the section stage.
    """
    chosen = windowed(examples, options.window, options.replay_share, options.sft.seed)
    split = split_by_time(chosen, later_share=options.later_share, least_later=options.least_later)
    known = set(registry.record(champion.name).get("training_examples", ())) if champion is not None else set()
    fresh = [example for example in split.later if example.id not in known]
    encode = serving_format(base_folder, anchor)
    once, unused = encoded(split.training, encode, maximum_tokens=options.maximum_tokens)
    general = general_rows(len(once), encode, options)
    languages = {example.id: example.language for example in split.training}
    training, repeated = balanced(once, [languages[sequence.example] for sequence in once])
    later, unmeasured = encoded(fresh[-options.most_later :], encode, maximum_tokens=options.maximum_tokens)
    measured = {sequence.example for sequence in later}
    left = [example for example in fresh if example.id in measured]
    wrong = encoded(shuffled_targets(left, options.sft.seed), encode, maximum_tokens=10**9)[0]
    wanted = split.training if "preference" in options.stages else ()
    pairs, unpaired = pairs_of(wanted, encode, maximum_tokens=options.maximum_tokens)
    few = len(pairs) < options.minimum_pairs
    judged = judged_of(wanted, encode, maximum_tokens=options.maximum_tokens) if few else []
    old = encoded(old_examples(), encode, maximum_tokens=options.maximum_tokens)[0]
    sections = Sections((), {})
    if "section" in options.stages:
        until = min((example.at for example in split.later), default=0.0)
        sections = sections_of(
            split.training, changes, until=until, measured=[example.target for example in split.later]
        )
    figures = {
        "examples": len(examples),
        "usable": split.usable,
        "training": len(training),
        "later": len(later),
        "training_tokens": sum(len(sequence.row) for sequence in training),
        "training_targets": sum(sequence.targets for sequence in training),
        "general": len(general),
        "replayed": sum(sequence.example in known for sequence in once),
        "languages": dict(Counter(languages[sequence.example] for sequence in once)),
        "repeated_for_balance": dict(repeated),
        "difficulty": dict(Counter(difficulty_of(example) for example in split.training)),
        "dropped": {**split.dropped, "beyond_window": len(examples) - len(chosen)},
        "dropped_training": dict(unused),
        "dropped_later": {**unmeasured, "known_to_champion": len(split.later) - len(fresh)},
        "dropped_pairs": dict(unpaired),
        "pairs": len(pairs),
        "judged": {"wanted": sum(one.wanted for one in judged), "unwanted": sum(not one.wanted for one in judged)},
        "old_tasks": {"cases": len(old)} if old else {"skipped": "this Python has no standard library to read"},
    }
    watched = [section_of(example) for example in left]
    groups = [example.group for example in left]
    return Data(training, general, later, groups, wrong, watched, old, pairs, judged, sections, figures)


def general_rows(texts: int, encode: Encode, options: NightOptions) -> list[TrainingSequence]:
    """What is held beside so many texts of the user's, and teaches nothing."""
    share = options.sft.general
    count = min(_MOST_GENERAL, texts // share) if share else 0
    rows, _ = encoded(general_examples(count), encode, maximum_tokens=options.maximum_tokens)
    return [silent(each) for each in rows]


def how_preferred(data: Data, options: NightOptions) -> tuple[Literal["dpo", "kto"] | None, str]:
    """By pairs, else by single judgements, else not at all; and why."""
    if "preference" not in options.stages:
        return None, "not asked for"
    if len(data.pairs) >= options.minimum_pairs:
        return "dpo", ""
    wanted = sum(one.wanted for one in data.judged)
    unwanted = len(data.judged) - wanted
    if len(data.judged) >= options.minimum_pairs and min(wanted, unwanted) >= options.minimum_pairs // 5:
        return "kto", ""
    return None, (
        f"{len(data.pairs)} pairs, {options.minimum_pairs} are needed; without pairs as many judged texts, a fifth of "
        f"them of each kind: {wanted} were wanted, {unwanted} were not"
    )


def lacking(data: Data, options: NightOptions) -> Verdict | None:
    usable = int(data.figures["usable"])
    if usable < options.minimum_regions:
        return Verdict(
            "skipped",
            "not_enough_data",
            f"Nothing was trained: sft needs {options.minimum_regions} settled regions, {usable} are usable so far. "
            "Go on working, or lower the number with --minimum-regions.",
            None,
            data.figures,
        )
    if not data.training or len(data.later) < options.least_later:
        return Verdict(
            "skipped",
            "not_enough_later",
            f"Nothing was trained: {len(data.training)} examples to train on and {len(data.later)} later ones to "
            f"measure on are left; at least 1 and {options.least_later} are needed.",
            None,
            data.figures,
        )
    return None


def _pace(model: Any, sequences: Sequence[TrainingSequence], device: str, seconds: float) -> float:
    """Seconds that a token takes to be read beside others: of several times the least, as one busy moment says nothing
    of a night."""
    measure(model, sequences, device)  # warms up
    least, began = float("inf"), time.monotonic()
    for _ in range(_TIMED):
        started = time.monotonic()
        measure(model, sequences, device)
        least = min(least, time.monotonic() - started)
        if time.monotonic() - began > seconds:
            break
    return least / sum(len(each.row) for each in sequences)


def affordable(model: Any, data: Data, device: str, options: NightOptions) -> Data:
    """Keep as many of the newest later examples as can be measured in their share of the budget.

    Some are timed to know the machine. Each is read by champion and candidate, with its own target and a wrong one
    behind what both begin with; some twice more for the distance to the base. Old tasks are left out where they would
    take too much of it.
    """
    pace = _pace(model, data.later[-_TIMED_TOGETHER:], device, _TIMED_SHARE * options.budget_seconds)
    seconds = pace * sum(len(each.row) for each in data.later)
    share, old, figures = _MEASURED_SHARE * options.budget_seconds, data.old, dict(data.figures)
    remembering = 2 * pace * sum(len(each.row) for each in old)
    if remembering > _OLD_SHARE * share:
        told = f"reading them takes {remembering:.0f} s, there is room for {_OLD_SHARE * share:.0f} s (--budget)"
        old, remembering, figures["old_tasks"] = [], 0.0, {"skipped": told}
    apart = 2 * pace * sum(len(each.row) for each in data.later[-DISTANCE_EXAMPLES:])
    fitting = int((share - remembering - apart) / (_PASSES * seconds / len(data.later)))
    most = max(options.least_later, min(fitting, len(data.later)))
    figures |= {"later": min(most, len(data.later)), "later_unmeasured": max(0, len(data.later) - most)}
    newest = {name: getattr(data, name)[-most:] for name in ("later", "groups", "wrong", "watched")}
    return replace(data, **newest, old=old, figures=figures)
