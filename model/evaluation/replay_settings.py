"""What to replay: histories, arms, sizes, seeds, and what a night may take. Values only."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from inkling.errors import UserError
from model.catalog import BASE as DEFAULT
from model.evaluation.completion_cases import Sizes
from model.evaluation.replay_arms import NAMES
from model.training.night_data import NightOptions
from model.training.sft import SftOptions

SIZES = Sizes(documents=2, document=160, tail=256, suffix=64)


class ArmsError(UserError):
    """Arms that cannot be replayed."""


@dataclass(frozen=True)
class ReplaySettings:
    """What to replay. A day is at most `hunks` hunks, of which at most `requests` lines are asked for.

    `adapter`: shipped, none, or a folder that `inkling pretrain` made. `night_seconds` is what a night may take,
    `minimum_regions` the pieces of text that it needs. `old_lines` and `humaneval`: cursors at which forgetting is
    measured. `out` None: below the cache folder, by settings. `workers`: processes that share the
    work; `threads`: of each, 0 for an equal share of the cores.
    """

    packages: tuple[str, ...] = ()
    repositories: tuple[Path, ...] = ()
    commits: int = 200
    base: str = DEFAULT.name
    adapter: str = "shipped"
    arms: tuple[str, ...] = NAMES
    sizes: Sizes = SIZES
    days: int = 5
    hunks: int = 60
    requests: int = 80
    seeds: int = 3
    night_seconds: float = 300.0
    minimum_regions: int = 40
    sft: SftOptions = field(default_factory=SftOptions)
    distance_bound: float = NightOptions.distance_bound
    old_lines: int = 60
    humaneval: int = 40
    threads: int = 0
    workers: int = 1
    out: Path | None = None


def quick_settings(settings: ReplaySettings) -> ReplaySettings:
    """The same for one history, one seed and two days: a few minutes on two cores, to see that it runs."""
    return replace(
        settings, packages=settings.packages[:1], repositories=() if settings.packages else settings.repositories[:1],
        sizes=Sizes(documents=1, document=96, tail=128, suffix=32), days=2, hunks=min(settings.hunks, 24), seeds=1,
        requests=min(settings.requests, 8), night_seconds=min(settings.night_seconds, 30.0), minimum_regions=5,
        sft=replace(settings.sft, batch=2, epochs=1), old_lines=min(settings.old_lines, 6), humaneval=0,
    )  # fmt: skip
