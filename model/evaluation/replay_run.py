"""One run of `inkling eval replay`: histories and settings in, one report out, resumable at every step.

It puts the parts together, in the order of the days; it prints nothing. What always holds: an arm is asked about a day
before any night sees that day; all arms are asked the same; what is finished is on disk before the next unit begins.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from feedback.examples import Example
from inkling.errors import UserError
from inkling.folders import cache_folder
from model.adapters import check_folder
from model.catalog import BASE as DEFAULT
from model.catalog import parse
from model.evaluation.cache_evaluation import usable_cores
from model.evaluation.cache_report import without_nan
from model.evaluation.completion_cases import CompletionCase, Sizes, make_cases
from model.evaluation.human_eval import load_problems, single_line_cases
from model.evaluation.replay_arms import ARMS, Arm, Served
from model.evaluation.replay_history import days_of
from model.evaluation.replay_nights import Night, Nights
from model.evaluation.replay_pace import Pace, Tell
from model.evaluation.replay_report import Results, report
from model.evaluation.replay_requests import Ask, User, UserDay, ask_of
from model.evaluation.replay_sources import Source, of_package, of_repository, old_packages, somebody_else, unique
from model.evaluation.replay_store import Store, Unit
from model.evaluation.replay_user import RULE, Answer
from model.prompt import Format, Layout
from model.shipped import METADATA_FILE, Shipped, read_shipped, shipped
from model.tokens import Tokens
from model.training.night_data import NightOptions
from model.training.sft import SftOptions
from model.weights import resolve

SIZES = Sizes(documents=2, document=160, tail=256, suffix=64)
_FORMAT = 2  # of the results on disk


class ArmsError(UserError):
    """Arms that cannot be replayed."""


@dataclass(frozen=True)
class ReplaySettings:
    """What to replay. A day is at most `hunks` hunks, of which at most `requests` lines are asked for.

    `adapter`: shipped, none, or a folder that `inkling pretrain` made. `night_seconds` is what a night may take,
    `minimum_regions` the pieces of text that it needs. `old_lines` and `humaneval`: cursors at which forgetting is
    measured. `out` None: below the cache folder, by settings. `threads` 0: all that this process may use.
    """

    packages: tuple[str, ...] = ()
    repositories: tuple[Path, ...] = ()
    commits: int = 200
    base: str = DEFAULT.name
    adapter: str = "shipped"
    arms: tuple[str, ...] = tuple(arm.name for arm in ARMS)
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
    out: Path | None = None


def quick_settings(settings: ReplaySettings) -> ReplaySettings:
    """The same for one history, one seed and two days: a few minutes on two cores, to see that it runs."""
    return replace(
        settings, packages=settings.packages[:1], repositories=() if settings.packages else settings.repositories[:1],
        sizes=Sizes(documents=1, document=96, tail=128, suffix=32), days=2, hunks=min(settings.hunks, 24), seeds=1,
        requests=min(settings.requests, 8), night_seconds=min(settings.night_seconds, 30.0), minimum_regions=5,
        sft=replace(settings.sft, batch=2, epochs=1), old_lines=min(settings.old_lines, 6), humaneval=0,
    )  # fmt: skip


def evaluate(settings: ReplaySettings, tell: Tell, *, so_far: bool = False) -> dict[str, Any]:
    """The report, ready for JSON. What an earlier run with the same settings had finished is taken from disk.

    `so_far`: nothing is run; the report is of the users and arms that are finished.
    """
    unknown = sorted(set(settings.arms) - {arm.name for arm in ARMS})
    if unknown or "frozen" not in settings.arms:
        raise ArmsError(
            f"Arms are {', '.join(arm.name for arm in ARMS)}; frozen has to be among them. Found {unknown}."
        )
    folder = resolve(settings.base)
    anchor = _anchor(settings)
    sources = [of_package(text) for text in settings.packages]
    sources += [of_repository(path, settings.days + 1, settings.commits) for path in settings.repositories]
    unique(sources)
    if "nightly" not in settings.arms and ("alone" in settings.arms or ("wrong" in settings.arms and len(sources) > 1)):
        raise ArmsError("The arms alone and wrong serve what nights made: leave them out, or add the arm nightly.")
    if not sources:
        raise ArmsError("Nothing to replay: name a package with versions, or a repository with --git.")
    described = _described(settings, anchor, sources)
    out = settings.out or cache_folder() / "replay" / _key(described)
    with Store(out, described) as store:
        run = _Run(settings, folder, anchor, sources, store, tell)
        run.leave_unfinished() if so_far else run.go()
        found = report(run.results())
    made = {"rule": RULE, "results": str(out), **described, **_machine(run), "trained_on": _known(anchor, sources)}
    plain: dict[str, Any] = without_nan({**found, "settings": made})
    return plain


class _Run:
    """The units of one run, in order."""

    def __init__(
        self,
        settings: ReplaySettings,
        folder: Path,
        anchor: Shipped | None,
        sources: Sequence[Source],
        store: Store,
        tell: Tell,
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._arms = [arm for arm in ARMS if arm.name in settings.arms and arm.asked]
        self.threads = settings.threads or usable_cores()
        scheme = anchor.scheme if anchor is not None else "parallel"  # as nights lay rows out
        fills = anchor is not None and anchor.fills_middle
        tokens = Tokens(folder)
        self._layout = Layout(tokens, settings.sizes.budget, Format.of(tokens, fills_middle=fills))
        self.served = Served(folder, anchor, scheme, settings.sizes, self.threads)
        options = NightOptions(
            budget_seconds=settings.night_seconds, minimum_regions=settings.minimum_regions,
            distance_bound=settings.distance_bound, threads=self.threads, sft=settings.sft,
        )  # fmt: skip
        self._nights = Nights(parse(settings.base).name, folder, anchor, store.folder / "adapters", options)
        self._days = {
            (source.name, seed): days_of(source.snapshots, hunks=settings.hunks, days=settings.days, seed=seed)
            for source in sources
            for seed in range(settings.seeds)
        }
        self._pace = Pace(self._units(), store, tell)

    def go(self) -> None:
        """Do what is not done yet."""
        for seed in range(self._settings.seeds):
            for number, source in enumerate(self._sources):
                self._live(source, seed)
                if number and "wrong" in self._settings.arms:
                    self._live_wrong(self._sources[number - 1], source, seed)
            if "wrong" in self._settings.arms:
                self._live_wrong(self._sources[-1], self._sources[0], seed)
        self._remember()

    def leave_unfinished(self) -> None:
        """Go on without what is not there: arms that no user has to the end, then users who lack one of the others."""

        def whole(user: tuple[str, int], arm: Arm) -> bool:
            days = range(len(self._days[user]))
            return all(Unit("answers", *user, arm.name, day) in self._store for day in days)

        self._arms = [arm for arm in self._arms if any(whole(user, arm) for user in self._days)]
        whole_users = [user for user in self._days if all(whole(user, arm) for arm in self._arms)]
        self._days = {user: self._days[user] for user in whole_users}
        if not self._arms or not self._days:
            raise ArmsError(f"Nothing is finished in {self._store.folder} yet: leave --so-far out to go on.")

    def results(self) -> Results:
        """Everything that was measured."""
        answers: dict[tuple[str, int, str], list[list[Answer]]] = {}
        nights: list[dict[str, Any]] = []
        for (package, seed), days in self._days.items():
            for arm in self._arms:
                answers[package, seed, arm.name] = [
                    self._answers(Unit("answers", package, seed, arm.name, day)) for day in range(len(days))
                ]
                for day in range(len(days) - 1):
                    unit = Unit("night", package, seed, arm.name, day)
                    if unit in self._store:
                        nights.append({**unit.__dict__, **self._store[unit]})
        old = {
            (package, seed, arm.name): self._answers(Unit("old", package, seed, arm.name, 0))
            for package, seed in self._days
            for arm in self._arms
            if arm.trained and arm.name != "wrong"
        }
        frozen = self._answers(Unit("old", "", 0, "frozen", 0))
        names = {key: [day.name for day in days] for key, days in self._days.items()}
        return Results(answers, nights, frozen, old, names, gate="gate" in self._settings.arms)

    def _live(self, source: Source, seed: int) -> None:
        """All days of a package, with the nights between them."""
        user: tuple[UserDay, ...] | None = None  # made only if there is something to do
        for day in range(len(self._days[source.name, seed])):
            for arm in self._arms:
                if arm.name == "wrong":
                    continue
                for unit in self._of_day(source.name, seed, arm, day):
                    if unit in self._store:
                        continue
                    user = user or self._user(source, seed)
                    if unit.kind == "night":
                        past = [example for one in user[: unit.day + 1] for example in one.examples]
                        self._night(unit, past)
                    else:
                        self._ask(unit, user[day].asks, arm, self._adapter(unit))

    def _live_wrong(self, source: Source, other: Source, seed: int) -> None:
        """The same days with somebody else's adapters."""
        arm = next(arm for arm in ARMS if arm.name == "wrong")
        user: tuple[UserDay, ...] | None = None
        for day in range(len(self._days[source.name, seed])):
            unit = Unit("answers", source.name, seed, "wrong", day)
            if unit in self._store:
                continue
            user = user or self._user(source, seed)
            adapter = None
            if day and other is not source:
                last = min(day, len(self._days[other.name, seed]) - 1) - 1
                adapter = self._store[Unit("night", other.name, seed, "nightly", last)]["candidate"]
            elif day:
                night = Unit("night", source.name, seed, "wrong", 0)
                if night not in self._store:
                    self._night(night, self._strange(sum(len(one.examples) for one in user[:-1]), seed))
                adapter = self._store[night]["candidate"]
            self._ask(unit, user[day].asks, arm, adapter)

    def _night(self, unit: Unit, past: Sequence[Example]) -> None:
        """One night; its end is written down."""
        name = f"{unit.package}-{unit.seed}-{unit.arm}"
        told = self._pace.of(unit)
        before = [Unit("night", unit.package, unit.seed, unit.arm, day) for day in range(unit.day)]
        made = sum(self._store[night]["candidate"] is not None for night in before)
        night: Night
        if unit.arm == "nightly":
            night = self._nights.promoted(name, past, unit.seed, made, told)
        elif unit.arm == "placebo":
            night = self._nights.placebo(name, past, unit.seed, made, told)
        else:
            night = self._nights.full(f"{name}-{unit.day}", past, unit.seed, told)
        self._finish(unit, night.plain)

    def _ask(self, unit: Unit, asks: Sequence[Ask], arm: Arm, adapter: str | None) -> None:
        """A day's answers. Where an arm serves what one without an adapter does, they are not made again."""
        bare = "deltas" if arm.recent and unit.kind == "answers" else "frozen"
        if adapter is None and arm.name not in ("frozen", bare) and bare in self._settings.arms:
            self._finish(unit, {"adapter": None, "same": bare})
            return
        told = self._pace.of(unit)
        path = self._store.folder / "adapters" / adapter if adapter is not None else None
        answers = self.served.ask(asks, path, recent=arm.recent, tick=lambda done: told("answers", done, len(asks)))
        self._finish(unit, {"adapter": adapter, "answers": [asdict(answer) for answer in answers]})

    def _adapter(self, unit: Unit) -> str | None:
        """What an arm serves on a day: what came of the night before, relative to the adapters' folder."""
        of = "nightly" if unit.arm == "alone" else unit.arm
        night = Unit("night", unit.package, unit.seed, of, unit.day - 1)
        if night not in self._store:
            return None
        found: str | None = self._store[night]["champion" if of == "nightly" else "candidate"]
        return found

    def _remember(self) -> None:
        """How well each last adapter still knows what is none of its user's."""
        asks: list[Ask] | None = None
        for unit in self._units():
            if unit.kind != "old" or unit in self._store:
                continue
            asks = asks if asks is not None else self._old_asks()
            adapter = None
            if unit.arm != "frozen":
                last = len(self._days[unit.package, unit.seed]) - 1
                adapter = self._adapter(replace(unit, day=last))
            arm = next(arm for arm in ARMS if arm.name == unit.arm)
            self._ask(unit, asks, arm, adapter)

    def _old_asks(self) -> list[Ask]:
        settings = self._settings
        cases: list[CompletionCase] = []
        if settings.old_lines:
            made = make_cases(old_packages(), self._layout, settings.sizes, settings.old_lines)
            cases += [case for case in made if case.task == "line"]
        if settings.humaneval:
            cases += single_line_cases(load_problems(), settings.humaneval)
        return [ask_of(case, number) for number, case in enumerate(cases)]

    def _user(self, source: Source, seed: int) -> tuple[UserDay, ...]:
        user = User(source.name, seed, self._layout, self._settings.sizes)
        return user.days(self._days[source.name, seed], source.snapshots[-1], self._settings.requests)

    def _strange(self, count: int, seed: int) -> list[Example]:
        """As many examples of somebody else as the package's own nights had in the end."""
        other = somebody_else()
        days = days_of(other.snapshots, hunks=self._settings.hunks, days=self._settings.days + 1, seed=seed)
        user = User(other.name, seed, self._layout, self._settings.sizes).days(days, other.snapshots[-1], 1)
        return [example for day in user for example in day.examples][:count]

    def _answers(self, unit: Unit) -> list[Answer]:
        if unit not in self._store:
            return []
        found = self._store[unit]
        if found.get("same"):
            package = unit.package if unit.kind == "answers" else ""
            seed = unit.seed if unit.kind == "answers" else 0
            return self._answers(Unit(unit.kind, package, seed, found["same"], unit.day))
        return [Answer(**answer) for answer in found["answers"]]

    def _finish(self, unit: Unit, found: dict[str, Any]) -> None:
        self._store.add(unit, found)
        self._pace.finished(unit)

    def _of_day(self, package: str, seed: int, arm: Arm, day: int) -> list[Unit]:
        """The night before the day, where the arm has one, and the day."""
        night = [Unit("night", package, seed, arm.name, day - 1)] if arm.trained and arm.name != "wrong" and day else []
        return [*night, Unit("answers", package, seed, arm.name, day)]

    def _units(self) -> list[Unit]:
        """All work there is."""
        found: list[Unit] = []
        for (package, seed), days in self._days.items():
            for day in range(len(days)):
                for arm in self._arms:
                    found += self._of_day(package, seed, arm, day)
            if len(self._sources) == 1 and "wrong" in self._settings.arms:
                found.append(Unit("night", package, seed, "wrong", 0))
        if self._settings.old_lines or self._settings.humaneval:
            found.append(Unit("old", "", 0, "frozen", 0))
            found += [
                Unit("old", package, seed, arm.name, 0)
                for package, seed in self._days
                for arm in self._arms
                if arm.trained and arm.name != "wrong"
            ]
        return found


def _anchor(settings: ReplaySettings) -> Shipped | None:
    if settings.adapter == "none":
        return None
    if settings.adapter == "shipped":
        return shipped(parse(settings.base).name)
    folder = Path(settings.adapter).expanduser()
    if not (folder / METADATA_FILE).is_file():
        raise ArmsError(f"{folder} has no {METADATA_FILE}. Expected shipped, none, or what `inkling pretrain` made.")
    return read_shipped(folder)


def _described(settings: ReplaySettings, anchor: Shipped | None, sources: Sequence[Source]) -> dict[str, Any]:
    """What decides about results: the same description, the same results. Seeds may be added later."""
    asked = asdict(replace(settings, packages=(), repositories=(), out=None, threads=0, seeds=0))
    left_out = ("packages", "repositories", "out", "threads", "seeds")
    return {
        **{name: value for name, value in asked.items() if name not in left_out},
        "format": _FORMAT,
        "anchor": check_folder(anchor.folder) if anchor is not None else None,
        "histories": {source.name: source.versions for source in sources},
        "inkling": _version("inkling"),
    }


def _known(anchor: Shipped | None, sources: Sequence[Source]) -> list[str]:
    """The packages that the adapter under all arms was trained on: figures of theirs prove little."""
    if anchor is None:
        return []
    record = json.loads((anchor.folder / METADATA_FILE).read_text(encoding="utf-8"))
    corpus = {package["name"] for package in record.get("corpus", ()) if not package.get("held_out")}
    return [source.name for source in sources if source.name in corpus]


def _machine(run: _Run) -> dict[str, Any]:
    return {
        "seeds": run._settings.seeds,
        "threads": run.threads,
        "runtime": run.served.runtime or None,
        "cores": usable_cores(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in ("inkling", "torch", "transformers", "peft", "onnxruntime")},
    }


def _key(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
