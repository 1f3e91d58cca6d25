"""`inkling night`: from the feedback database to a verdict, in a process of its own.

It is glue: it loads examples, takes the lock, lowers its priority, gives way to whoever works at the machine, and turns
signals into a clean end. What is trained and what may be served is decided in `model.training.night`. What always
holds: one night at a time in a data folder; a killed one blocks no later one, as the system frees its lock; one that
was interrupted is gone on with, on the same feedback.
"""

import contextlib
import errno
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, cast

from filelock import FileLock, Timeout

from feedback.changes import Change
from feedback.database import Place
from feedback.examples import Example
from feedback.held import release
from index.priority import give_way
from inkling.errors import UserError
from inkling.folders import adapters_folder, data_folder
from inkling.process import OFFLINE
from model.adapters import RUNS_FOLDER, Registry, Trial, write_atomically
from model.pruning import prune
from model.training import packages
from model.training.checkpoints import CHECKPOINT_FILE
from model.weights import resolve
from server.erasing import forget_erased
from server.night_sources import allowed_changes, allowed_decisions, allowed_examples
from server.nights.beginning import settled_by
from server.nights.live import decide, settled, undecided, waiting_for
from server.nights.pages import Bar, JsonLines, Page, Told
from server.nights.pauses import Manners, Pauses
from server.nights.record_page import PAGE_FILE, record_page
from server.nights.state import DISK_FULL, WORKER_FAILED, NightState, StateWriter, read_state
from server.nights.timers import PAUSED_CODE
from server.settings import gate_file

if TYPE_CHECKING:
    from model.gate import Mode
    from model.training.gate import GateVerdict
    from model.training.night_data import NightOptions, Stage
    from model.training.progress import Progress
    from model.training.runners import Cluster
    from model.training.sections import Checks
    from model.training.verdict import Verdict

DONE, FAILED, NOT_ENOUGH, CANCELLED = 0, 2, 3, 130
LOCK_FILE = "night.lock"
_CLOCKS_DIFFER = 60.0  # seconds between clocks that are right
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DURATION = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s?)?")


class NightError(UserError):
    """A night cannot run here and now."""


class NoRoomError(NightError):
    """The disk is full."""


@dataclass(frozen=True)
class Plan:
    """What a night is asked for.

    `mode` is the one in which the gate is judged; `canary_share`: how many of the sessions get what is promoted first
    (0 or 1: it is served everywhere at once); `tests`: a command whose end with 0 says that a section that was written
    into a copy of its commit is right, "" for none; `manners`: how the night gives way to whoever works at the machine,
    None: only by its low priority; `cluster`: who trains, None: this process.
    """

    base: str
    budget_seconds: float
    minimum_regions: int
    stages: "tuple[Stage, ...]" = ("gate", "sft")
    mode: "Mode" = "balanced"
    dry_run: bool = False
    canary_share: float = 0.0
    tests: str = ""
    manners: Manners | None = None
    cluster: "Cluster | None" = None


def night(database: Place, plan: Plan, *, json: bool = False) -> int:
    """Run one night and print how it goes: rich progress on stderr, or JSON lines on stdout for a parent.

    Returns the exit code: 0 promoted, refused or planned; 3 not enough data; 2 a user error; 75 it gave way and is to
    be started again; 130 cancelled. The last JSON line has `phase` "verdict" with `status`, `code`, `reason`,
    `adapter`, `figures`.
    """
    os.environ.update(OFFLINE)
    with JsonLines() if json else Bar(plan.budget_seconds) as page, _signals() as asked:
        try:
            with _room(), _alone():
                give_way()
                return _night(database, plan, page, asked)
        except UserError as error:
            page.end("failed", _code(error), str(error))
            return FAILED


def _night(database: Place, plan: Plan, page: Page, asked: Callable[[], bool]) -> int:
    """One night that has the lock, to its exit code."""
    from model.training.sft import TrainingCancelledError

    now, before = time.time(), read_state()
    until = before.until if before is not None and _goes_on(before, plan.base, now) else now
    scheduled = plan.manners is not None
    told = Told(page, None if plan.dry_run else StateWriter(plan.base, until=until, scheduled=scheduled))
    pauses = Pauses(asked, plan.manners, lambda why: told.wait(f"The night waits: {why}."))
    try:
        if pauses.ended():
            raise TrainingCancelledError("Cancelled before anything was done.")
        with _room():
            verdict = _run(database, plan, until, told.report, pauses)
    except TrainingCancelledError as error:
        if pauses.gave_up is not None:
            told.end("paused", "paused", f"The night goes on later, where it stands: {pauses.gave_up}.")
            return PAUSED_CODE
        told.end("cancelled", "cancelled", f"{error} Start the night again to go on.")
        return CANCELLED
    except UserError as error:
        told.end("failed", _code(error), str(error))
        if _code(error) == "error" and not plan.dry_run:
            release()
        return FAILED
    if not plan.dry_run:
        release()
    if verdict.adapter is not None:
        _tidy(plan.base, verdict.adapter)
    told.end(verdict.status, verdict.code, verdict.reason, verdict)
    nothing = verdict.status == "skipped" and verdict.figures.get("gate", {}).get("status") in (None, "skipped")
    return NOT_ENOUGH if nothing else DONE


def duration(text: str) -> float:
    """Seconds from `90`, `90s`, `20m`, `1h30m`. Raises NightError for anything else, and for nothing at all."""
    match = _DURATION.fullmatch(text.strip().lower())
    parts = {name: int(value) for name, value in match.groupdict().items() if value} if match else {}
    seconds = parts.get("hours", 0) * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0)
    if not seconds:
        raise NightError(f"{text!r} is no duration: write it like 90s, 20m or 1h30m (--budget, night.budget).")
    return float(seconds)


def stages_of(text: str) -> "tuple[Stage, ...]":
    """The stages that `gate,sft,preference` names, in the order in which they run. Raises NightError for others."""
    from model.training.night_data import STAGES

    named = [part.strip() for part in text.split(",")]
    unknown = [name for name in named if name not in STAGES]
    if unknown or len(set(named)) < len(named):
        raise NightError(f"Stages are {', '.join(STAGES)}, each at most once, not {text!r} (--stages, night.stages).")
    later = [name for name in named if name in STAGES[STAGES.index("sft") + 1 :]]
    if later and "sft" not in named:
        first = f"--stages sft,{','.join(later)}"
        raise NightError(f"Without sft there is nothing for {' and '.join(later)} to go on from: add it ({first}).")
    return tuple(stage for stage in STAGES if stage in named)


def _run(database: Place, plan: Plan, until: float, report: "Callable[[Progress], None]", pauses: Pauses) -> "Verdict":
    """Train and judge on what had settled by `until`."""
    gate = _renew_gate(database, plan, report) if "gate" in plan.stages else None
    if plan.stages == ("gate",) and gate is not None:
        return _verdict_on(gate)
    packages.require(f" (gate {gate.status} all the same: {gate.reason})" if gate is not None else "")
    examples, now, registry = allowed_examples(database), time.time(), Registry(adapters_folder())
    back = None if plan.dry_run else _tried(database, plan, registry, examples, pauses)
    if (trial := undecided(registry, database, plan.base)) is not None:
        verdict = _waiting(trial)
    else:
        earlier = settled_by(until, examples, dry_run=plan.dry_run)
        verdict = _trained(database, plan, registry, earlier, gate, report, pauses)
    if back is not None:
        verdict = replace(verdict, reason=f"{verdict.reason} {back}")
    if gate is not None:
        figures = {**verdict.figures, "gate": gate.plain}
        verdict = replace(verdict, reason=f"{verdict.reason} Gate {gate.status}: {gate.reason}", figures=figures)
    ahead = sum(example.at > now + _CLOCKS_DIFFER for example in examples)
    if not ahead:
        return verdict
    told = f"{ahead} regions settled later than this machine's clock says and are left until then: is it right?"
    return replace(verdict, reason=f"{verdict.reason} {told}")


def _trained(
    database: Place,
    plan: Plan,
    registry: Registry,
    examples: list[Example],
    gate: "GateVerdict | None",
    report: "Callable[[Progress], None]",
    pauses: Pauses,
) -> "Verdict":
    """The verdict on an adapter that is trained on these examples; what is promoted gets its share of the sessions."""
    from index.relevance import relevance_file
    from model.training.night import run_night
    from model.training.night_data import NightOptions

    options = NightOptions(
        budget_seconds=plan.budget_seconds,
        minimum_regions=plan.minimum_regions,
        stages=plan.stages,
        dry_run=plan.dry_run,
    )
    with _checks(plan) as checks:
        verdict = run_night(
            examples,
            base=plan.base,
            base_folder=resolve(plan.base),
            registry=registry,
            options=options,
            gate=gate.plain if gate is not None else None,
            changes=earlier_changes(examples, options) if "section" in plan.stages else (),
            checks=checks,
            progress=report,
            cancelled=pauses.ended,
            clock=pauses.clock,
            promote=lambda name: registry.introduce(name, plan.canary_share),
            cluster=plan.cluster,
            relevance=relevance_file(),
        )
    if verdict.status == "promoted" and 0 < plan.canary_share < 1:
        first = f"It is served to {plan.canary_share:.0%} of the sessions until live figures decide."
        verdict = replace(verdict, reason=f"{verdict.reason} {first}")
    if verdict.adapter is not None and (gone := forget_erased(registry, verdict.adapter, database)):
        erased = f"{gone} of its regions were erased meanwhile; its record names them no more."
        verdict = replace(verdict, reason=f"{verdict.reason} {erased}")
    return verdict


def earlier_changes(examples: Sequence[Example], options: "NightOptions") -> list[Change]:
    """What the newest commits from before the later examples changed. Those after them teach nothing, as a night is
    measured on what came then, and would take the room of the others."""
    from model.training.curriculum import windowed
    from model.training.dataset import split_by_time

    chosen = windowed(examples, options.window, options.replay_share, options.sft.seed)
    later = split_by_time(chosen, later_share=options.later_share, least_later=options.least_later).later
    return allowed_changes(examples, min(example.at for example in later)) if later else []


def _tried(database: Place, plan: Plan, registry: Registry, examples: list[Example], pauses: Pauses) -> str | None:
    """Let what settled since, and then live figures, decide about what is on trial; a sentence if it was taken back."""
    return _in_the_shadow(plan, registry, examples, pauses) or decide(registry, database, plan.base)


def _in_the_shadow(plan: Plan, registry: Registry, examples: list[Example], pauses: Pauses) -> str | None:
    """Measure what is on trial on what settled since; the sentence for the user where it was taken back."""
    from model.evaluation.shadow import shadow
    from model.shipped import shipped
    from model.training.sft import TrainingCancelledError

    def tick(done: int) -> None:
        if pauses.ended():
            raise TrainingCancelledError("Cancelled while the adapter on trial was measured.")

    trial = registry.trial(plan.base)
    if trial is None:
        return None
    verdict = shadow(trial, registry, resolve(plan.base), examples, shipped(plan.base), tick)
    return settled(registry, trial, verdict) if verdict is not None else None


@contextmanager
def _checks(plan: Plan) -> "Iterator[Checks | None]":
    """What rewards sections besides likeness and syntax, where sections are written."""
    if "section" not in plan.stages:
        yield None
        return
    from model.training.sections import Checks
    from server.section_checks import CommandTests, RuffLint

    with CommandTests(plan.tests) if plan.tests else contextlib.nullcontext() as tests:
        yield Checks(RuffLint(), tests)


def _tidy(base: str, adapter: str) -> None:
    """The record as a page beside it, and no more weights than are kept. A disk that is full by now costs no more than
    that: `models show` makes the page, the next night prunes."""
    registry = Registry(adapters_folder())
    with contextlib.suppress(OSError, UserError):
        text = record_page(registry.record(adapter), adapter)
        write_atomically(registry.get(adapter).folder / PAGE_FILE, text.encode())
        prune(registry, base)


def _goes_on(before: NightState, base: str, now: float) -> bool:
    """Whether there is a night to go on with, and something that it had come to."""
    left = (adapters_folder() / RUNS_FOLDER).glob(f"*/{CHECKPOINT_FILE}")
    return before.resumable(base, now) and next(left, None) is not None


@contextmanager
def _room() -> Iterator[None]:
    """A disk that is full is said in words: NoRoomError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise NoRoomError(
            f"There is no room left on the disk{where}: free some below {data_folder()}. Start the night again then: "
            "it goes on where it stands."
        ) from error


def _code(error: UserError) -> str:
    """What a night that failed is told by; after some failures it can be gone on with (`server.nights.state`)."""
    from model.training.runners import RunnerError

    if isinstance(error, NoRoomError):
        return DISK_FULL
    return WORKER_FAILED if isinstance(error, RunnerError) else "error"


def _renew_gate(database: Place, plan: Plan, report: "Callable[[Progress], None]") -> "GateVerdict":
    from model.training.gate import GateOptions, renew_gate
    from model.training.progress import Progress

    report(Progress("gate", 0, 1, "Fitting the gate on decisions"))
    decisions = allowed_decisions(database, time.time())
    made = renew_gate(decisions, gate_file(), GateOptions(mode=plan.mode), dry_run=plan.dry_run)
    report(Progress("gate", 1, 1, f"Gate: {made.status}"))
    return made


def _waiting(trial: Trial) -> "Verdict":
    """No night while a canary is undecided: what it promoted would end that trial, and nothing would ever pass one."""
    from model.training.verdict import Verdict

    return Verdict("skipped", "on_trial", f"Nothing was trained: {waiting_for(trial)} Then a night trains again.")


def _verdict_on(gate: "GateVerdict") -> "Verdict":
    """A night of the gate alone."""
    from model.training.verdict import Status, Verdict

    statuses: dict[str, Status] = {"installed": "promoted"}
    status = statuses.get(gate.status, cast("Status", gate.status))
    return Verdict(status, f"gate_{gate.status}", gate.reason, None, {"gate": gate.plain})


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
