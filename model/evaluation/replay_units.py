"""The units of a replay, in the order of the days: a user's answers and the nights between them.

It puts the parts together; it neither reads settings from a person nor prints. What always holds: an arm is asked
about a day before any night sees that day; all arms are asked the same; what is finished is handed to the store before
the next unit begins.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from feedback.changes import Change
from feedback.examples import Example
from model.catalog import parse
from model.evaluation.cache_evaluation import usable_cores
from model.evaluation.completion_cases import CompletionCase, make_cases
from model.evaluation.human_eval import load_problems, single_line_cases
from model.evaluation.replay_arms import ARMS, Arm, Served, arm_named
from model.evaluation.replay_history import days_of
from model.evaluation.replay_nights import Night, Nights
from model.evaluation.replay_pace import Pace, Tell
from model.evaluation.replay_report import Results
from model.evaluation.replay_requests import Ask, User, UserDay, ask_of
from model.evaluation.replay_settings import ArmsError, ReplaySettings
from model.evaluation.replay_sources import Source, old_packages, somebody_else
from model.evaluation.replay_stages import commits, with_offers
from model.evaluation.replay_store import Unit
from model.evaluation.replay_user import Answer
from model.prompt import Format, Layout
from model.shipped import Shipped
from model.tokens import Tokens
from model.training.night_data import NightOptions


class Kept(Protocol):
    """Where results are: `model.evaluation.replay_store`, or what a worker knows of it."""

    folder: Path

    def __contains__(self, unit: Unit) -> bool: ...

    def __getitem__(self, unit: Unit) -> dict[str, Any]: ...

    def add(self, unit: Unit, found: dict[str, Any]) -> None:
        """It is finished."""


@dataclass(frozen=True)
class Plan:
    """All that decides what a replay does: settings, the base's folder, what is served below every arm, histories."""

    settings: ReplaySettings
    folder: Path
    anchor: Shipped | None
    sources: tuple[Source, ...]

    @property
    def threads(self) -> int:
        """Of each process."""
        return self.settings.threads or max(1, usable_cores() // self.settings.workers)


@dataclass(frozen=True)
class Task:
    """What one process does in one go. `live`: the days of a user with the nights between them; `wrong`: the same days
    with the adapters of the package `other`; `old`: what the last adapters still know of what is none of the user's,
    without a package what the frozen model knows."""

    kind: Literal["live", "wrong", "old"]
    package: str = ""
    seed: int = 0
    other: str = ""

    @property
    def needs(self) -> set[tuple[str, int]]:
        """The packages and seeds whose nights it asks."""
        return {(name, self.seed) for name in (self.package, self.other) if name}


class Replay:
    """The units of one replay. Belongs to one thread."""

    def __init__(self, plan: Plan, store: Kept, tell: Tell) -> None:
        settings, folder, anchor = plan.settings, plan.folder, plan.anchor
        self._settings = settings
        self._store = store
        self._sources = {source.name: source for source in plan.sources}
        self._arms = [arm for arm in ARMS if arm.name in settings.arms and arm.asked]
        scheme = anchor.scheme if anchor is not None else "parallel"  # as nights lay rows out
        fills = anchor is not None and anchor.fills_middle
        tokens = Tokens(folder)
        self._layout = Layout(tokens, settings.sizes.budget, Format.of(tokens, fills_middle=fills))
        self.served = Served(folder, anchor, scheme, settings.sizes, plan.threads)
        options = NightOptions(
            budget_seconds=settings.night_seconds, minimum_regions=settings.minimum_regions,
            distance_bound=settings.distance_bound, threads=plan.threads, sft=settings.sft,
        )  # fmt: skip
        self._nights = Nights(parse(settings.base).name, folder, anchor, store.folder / "adapters", options)
        self._days = {
            (source.name, seed): days_of(source.snapshots, hunks=settings.hunks, days=settings.days, seed=seed)
            for source in plan.sources
            for seed in range(settings.seeds)
        }
        self._old: list[Ask] = []  # made if there is something to do
        self._pace = Pace(self._units(), store.__contains__, tell)

    def phases(self) -> list[list[Task]]:
        """All tasks, seed by seed. Those of a phase do not need each other, only what earlier phases have made."""
        found: list[list[Task]] = [[]]
        for seed in range(self._settings.seeds):
            found[-1] += [Task("live", name, seed) for name in self._sources]
            found.append(self._behind(seed))
        return found

    def in_order(self) -> list[Task]:
        """The same for one process: all of a user as early as can be, so that what is finished tells as much as can
        be."""
        tasks = [task for phase in self.phases() for task in phase]
        after = [task for task in tasks if task.kind != "live"]
        found: list[Task] = []
        done: set[tuple[str, int]] = set()
        for task in (task for task in tasks if task.kind == "live"):
            found.append(task)
            done.add((task.package, task.seed))
            found += [one for one in after if one not in found and one.needs <= done]
        return found

    def _behind(self, seed: int) -> list[Task]:
        """What is asked once all users of a seed have had their nights."""
        names = list(self._sources)
        wrong = [Task("wrong", name, seed, names[(place + 1) % len(names)]) for place, name in enumerate(names)]
        found = wrong if "wrong" in self._settings.arms else []
        if self._asks_old:
            found += [*([Task("old")] if seed == 0 else []), *(Task("old", name, seed) for name in names)]
        return found

    def do(self, task: Task) -> None:
        """Do what of it is not done yet."""
        if task.kind == "live":
            self._live(self._sources[task.package], task.seed)
        elif task.kind == "wrong":
            self._live_wrong(self._sources[task.package], self._sources[task.other], task.seed)
        else:
            self._remember(
                [unit for unit in self._old_units() if (unit.package, unit.seed) == (task.package, task.seed)]
            )

    def finished(self, unit: Unit, found: dict[str, Any]) -> None:
        """Write down a unit that this process or another has done."""
        self._store.add(unit, found)
        self._pace.finished(unit)

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
                        self._night(unit, self._past(unit, user), self._commits(unit))
                    else:
                        self._ask(unit, user[day].asks, arm, self._adapter(unit))

    def _live_wrong(self, source: Source, other: Source, seed: int) -> None:
        """The same days with somebody else's adapters."""
        arm = arm_named("wrong")
        user: tuple[UserDay, ...] | None = None
        for day in range(len(self._days[source.name, seed])):
            unit = Unit("answers", source.name, seed, "wrong", day)
            if unit in self._store:
                continue
            user = user or self._user(source, seed)
            adapter = None
            if day and other is not source:
                last = min(day, len(self._days[other.name, seed]) - 1) - 1
                adapter = self._newest(Unit("night", other.name, seed, "nightly", last))
            elif day:
                night = Unit("night", source.name, seed, "wrong", 0)
                if night not in self._store:
                    self._night(night, self._strange(sum(len(one.examples) for one in user[:-1]), seed))
                adapter = self._store[night]["candidate"]
            self._ask(unit, user[day].asks, arm, adapter)

    def _past(self, unit: Unit, user: Sequence[UserDay]) -> list[Example]:
        """All that was written by a night; for one that learns preferences, with what its arm offered there."""
        days = user[: unit.day + 1]
        if "preference" not in arm_named(unit.arm).stages:
            return [example for day in days for example in day.examples]
        answers = [self._answers(replace(unit, kind="answers", day=number)) for number in range(len(days))]
        return [example for day, given in zip(days, answers, strict=True) for example in with_offers(day, given)]

    def _commits(self, unit: Unit) -> list[Change]:
        """What was committed by a night, where sections are written."""
        if "section" not in arm_named(unit.arm).stages:
            return []
        return list(commits(unit.package, self._days[unit.package, unit.seed][: unit.day + 1]))

    def _night(self, unit: Unit, past: Sequence[Example], changes: Sequence[Change] = ()) -> None:
        """One night; its end is written down."""
        name = f"{unit.package}-{unit.seed}-{unit.arm}"
        told = self._pace.of(unit)
        before = [Unit("night", unit.package, unit.seed, unit.arm, day) for day in range(unit.day)]
        made = sum(self._store[night]["candidate"] is not None for night in before)
        stages = arm_named(unit.arm).stages
        night: Night
        if stages:
            night = self._nights.promoted(name, past, unit.seed, made, told, stages, changes)
        elif unit.arm == "placebo":
            night = self._nights.placebo(name, past, unit.seed, made, told)
        else:
            night = self._nights.full(f"{name}-{unit.day}", past, unit.seed, told)
        self.finished(unit, night.plain)

    def _ask(self, unit: Unit, asks: Sequence[Ask], arm: Arm, adapter: str | None) -> None:
        """A day's answers. Where an arm serves what one without an adapter does, they are not made again."""
        bare = "deltas" if arm.recent and unit.kind == "answers" else "frozen"
        if adapter is None and arm.name not in ("frozen", bare) and bare in self._settings.arms:
            self.finished(unit, {"adapter": None, "same": bare})
            return
        told = self._pace.of(unit)
        path = self._store.folder / "adapters" / adapter if adapter is not None else None
        answers = self.served.ask(asks, path, recent=arm.recent, tick=lambda done: told("answers", done, len(asks)))
        self.finished(unit, {"adapter": adapter, "answers": [asdict(answer) for answer in answers]})

    def _adapter(self, unit: Unit) -> str | None:
        """What an arm serves on a day: what came of the night before, relative to the adapters' folder."""
        of = "nightly" if unit.arm == "alone" else unit.arm
        night = Unit("night", unit.package, unit.seed, of, unit.day - 1)
        if night not in self._store:
            return None
        if not arm_named(of).stages:
            return self._newest(night)
        found: str | None = self._store[night]["champion"]
        return found

    def _newest(self, night: Unit) -> str | None:
        """What this night made, promoted or not; where it made nothing, what stayed from one before it."""
        nights = [self._store[replace(night, day=day)]["candidate"] for day in range(night.day + 1)]
        return next((candidate for candidate in reversed(nights) if candidate is not None), None)

    def _remember(self, units: Sequence[Unit]) -> None:
        """How well last adapters still know what is none of their user's."""
        for unit in units:
            if unit in self._store:
                continue
            self._old = self._old or self._old_asks()
            adapter = None
            if unit.arm != "frozen":
                last = len(self._days[unit.package, unit.seed]) - 1
                adapter = self._adapter(replace(unit, day=last))
            arm = arm_named(unit.arm)
            self._ask(unit, self._old, arm, adapter)

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
        return [*found, *self._old_units()]

    @property
    def _asks_old(self) -> bool:
        return bool(self._settings.old_lines or self._settings.humaneval)

    def _old_units(self) -> list[Unit]:
        """Those that tell what was forgotten."""
        if not self._asks_old:
            return []
        return [
            Unit("old", "", 0, "frozen", 0),
            *(
                Unit("old", *user, arm.name, 0)
                for user in self._days
                for arm in self._arms
                if arm.trained and arm.name != "wrong"
            ),
        ]
