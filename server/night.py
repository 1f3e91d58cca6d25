"""`inkling night`: from the feedback database to a verdict, in a process of its own.

It is glue: it loads examples, takes the lock, lowers its priority, shows progress and turns signals into a clean end.
What is trained and what may be served is decided in `model.training.night`. What always holds: one night at a time
in a data folder, and a killed one blocks no later one, as the system frees its lock.
"""

import contextlib
import json as jsonlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from feedback.consent import Consent, list_consents
from feedback.database import Place, find_database
from feedback.examples import Example, load_examples
from inkling.errors import UserError
from inkling.folders import adapters_folder, data_folder
from model.adapters import Registry
from model.weights import resolve

if TYPE_CHECKING:
    from model.training.night import Progress
    from model.training.night_data import Stage
    from model.training.verdict import Verdict

DONE, FAILED, NOT_ENOUGH, CANCELLED = 0, 2, 3, 130
LOCK_FILE = "night.lock"
_NICENESS = 10
_DURATION = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s?)?")


class NightError(UserError):
    """A night cannot run here and now."""


def night(
    database: Place,
    *,
    base: str,
    budget_seconds: float,
    minimum_regions: int,
    stages: Sequence["Stage"] = ("sft",),
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Run one night and print how it goes: rich progress on stderr, or JSON lines on stdout for a parent.

    Returns the exit code: 0 promoted, refused or planned; 3 not enough data; 2 a user error; 130 cancelled.
    The last JSON line has `phase` "verdict" with `status`, `code`, `reason`, `adapter`, `figures`.
    """
    _stay_offline()
    from model.training.sft import TrainingCancelledError

    with _JsonLines() if json else _Bar() as page, _signals() as cancelled:
        try:
            with _alone():
                _be_nice()
                options = {"minimum_regions": minimum_regions, "stages": tuple(stages), "dry_run": dry_run}
                verdict = _run(database, base, budget_seconds, options, page.report, cancelled)
        except TrainingCancelledError as error:
            page.end("cancelled", "cancelled", f"{error} Start the night again to go on.")
            return CANCELLED
        except UserError as error:
            page.end("failed", "error", str(error))
            return FAILED
        page.end(verdict.status, verdict.code, verdict.reason, verdict)
    return NOT_ENOUGH if verdict.status == "skipped" else DONE


def duration(text: str) -> float:
    """Seconds from `90`, `90s`, `20m`, `1h30m`. Raises NightError for anything else, and for nothing at all."""
    match = _DURATION.fullmatch(text.strip().lower())
    parts = {name: int(value) for name, value in match.groupdict().items() if value} if match else {}
    seconds = parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0)
    if not seconds:
        raise NightError(f"{text!r} is no duration: write it like 90s, 20m or 1h30m (--budget, night.budget).")
    return float(seconds)


def stages_of(text: str) -> "tuple[Stage, ...]":
    """The stages that `sft,preference` names. Every night begins with sft. Raises NightError for anything else."""
    named = tuple(part.strip() for part in text.split(","))
    if named == ("sft",):
        return ("sft",)
    if named == ("sft", "preference"):
        return ("sft", "preference")
    raise NightError(f"There are the stages sft and sft,preference, not {text!r} (--stages).")


def allowed_examples(database: Place) -> list[Example]:
    """The examples in the database, without those of workspaces whose owner has switched consent off since."""
    engine = find_database(database)
    if engine is None:
        return []
    try:
        withdrawn = {root for root, value in list_consents(database).items() if value is Consent.OFF}
        return [example for example in load_examples(engine) if example.workspace not in withdrawn]
    finally:
        engine.dispose()


def _run(
    database: Place,
    base: str,
    budget_seconds: float,
    options: dict[str, Any],
    report: "Callable[[Progress], None]",
    cancelled: Callable[[], bool],
) -> "Verdict":
    if find_spec("peft") is None:
        raise NightError("Training needs packages that are not installed: pip install peft accelerate.")
    from model.training.night import run_night
    from model.training.night_data import NightOptions

    return run_night(
        allowed_examples(database),
        base=base,
        base_folder=resolve(base),
        registry=Registry(adapters_folder()),
        options=NightOptions(budget_seconds=budget_seconds, **options),
        progress=report,
        cancelled=cancelled,
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of this data folder; NightError at once if another night has it."""
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise NightError(
            f"Another night is running ({folder / LOCK_FILE} is held): wait until it is over, or end that process."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """A flag that SIGINT and SIGTERM set. The second signal acts as it would have without us."""
    asked = threading.Event()
    watched = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in watched}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in watched:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number in watched:
            signal.signal(number, before[number])


def _be_nice() -> None:
    """Yield the processor to whoever works at this machine; never twice in one process."""
    if sys.platform != "win32" and os.getpriority(os.PRIO_PROCESS, 0) < _NICENESS:
        with contextlib.suppress(PermissionError):  # a container may forbid it: a night is slower to yield, no worse
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def _stay_offline() -> None:
    """Weights are on disk already: no library may look for them elsewhere, or tell anybody that it was used."""
    os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"})


class _JsonLines(AbstractContextManager["_JsonLines"]):
    """Progress and verdict, one JSON object a line, on standard output."""

    def __exit__(self, *error: object) -> None:
        return None

    def report(self, progress: "Progress") -> None:
        fields = asdict(progress)
        self._print({"phase": fields.pop("stage"), **fields})

    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None:
        found = {"adapter": verdict.adapter, "figures": verdict.figures} if verdict else {}
        last = {"phase": "verdict", "status": status, "code": code, "reason": reason, "message": reason, **found}
        self._print(last)

    @staticmethod
    def _print(value: dict[str, Any]) -> None:
        try:
            print(jsonlib.dumps(value, ensure_ascii=False), flush=True)
        except BrokenPipeError:  # the parent is gone; the night goes on and its verdict is in the record
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with the process


class _Bar(AbstractContextManager["_Bar"]):
    """A progress bar on standard error for people; the verdict on standard output."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "_Bar":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def report(self, progress: "Progress") -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total)
        self._bars.update(
            self._tasks[progress.stage],
            description=progress.message,
            completed=progress.done,
            total=progress.total,
        )

    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None:
        self._bars.stop()
        print(reason, file=sys.stdout if verdict else sys.stderr, flush=True)
