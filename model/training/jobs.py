"""One training for several processes: what each of them is given, and what each of them does.

The night writes a job into its run folder and has workers started; each calls `work`, which is `model.training.sft`'s
training with its share of every step. The main one leaves its checkpoint in the run folder, from which the night goes
on as if it had trained by itself. What always holds: a job's file, which holds what the user wrote, is gone as soon as
the main worker has read it, or the workers are over.
"""

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from inkling.errors import UserError
from model.adapters import write_atomically
from model.shipped import shipped
from model.threads import set_threads
from model.training.checkpoints import CHECKPOINT_FILE
from model.training.dataset import TrainingSequence
from model.training.network import load_for_training
from model.training.rows import Row
from model.training.sft import SftOptions, Step, TrainingCancelledError, train
from model.training.workers import Workers
from model.weights import resolve

JOB_FILE = "job.json"
STEP_FILE = "step.json"  # how far the workers are
STOP_FILE = "stop"  # the night wants them to end
_REPORT_SECONDS = 0.5


class JobError(UserError):
    """A job cannot be run here."""


@dataclass(frozen=True)
class Job:
    """What is trained. The base is named, and each machine looks up its own copy; the shipped adapter lies below."""

    base: str
    sequences: tuple[TrainingSequence, ...]
    options: SftOptions
    budget_seconds: float

    def write(self, folder: Path) -> None:
        """Leave it in a run folder, readable by its owner only."""
        rows = [[sequence.example, *asdict(sequence.row).values()] for sequence in self.sequences]
        raw = {"base": self.base, "rows": rows, "options": asdict(self.options), "budget_seconds": self.budget_seconds}
        folder.mkdir(parents=True, exist_ok=True)
        for name in (STOP_FILE, STEP_FILE):
            (folder / name).unlink(missing_ok=True)
        write_atomically(folder / JOB_FILE, json.dumps(raw).encode())


def taken_job(text: str) -> Job:
    """The job that this text says. Raises JobError if it says none."""
    try:
        raw = json.loads(text)
        options = {**raw["options"], "targets": tuple(raw["options"]["targets"])}
        sequences = [
            TrainingSequence(example, Row(*(tuple(part) for part in parts))) for example, *parts in raw["rows"]
        ]
        return Job(raw["base"], tuple(sequences), SftOptions(**options), float(raw["budget_seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise JobError(
            f"This is no job of a night ({error}): all machines need the same version of Inkling."
        ) from error


def work(folder: Path | None, workers: Workers | None = None) -> None:
    """Train this process's share. `folder`: the run folder, which only the main process has to see.

    Ends without a word where the night wants it to: the checkpoint is in the folder then.
    """
    workers = workers or Workers()
    text, checkpoint = workers.same(_read(folder) if workers.main else None)
    job = taken_job(text)
    set_threads(0)
    below = shipped(job.base)
    model = load_for_training(resolve(job.base), [below.folder] if below is not None else [], device=workers.device)
    with tempfile.TemporaryDirectory() as own:
        mine = folder if workers.main and folder is not None else Path(own)
        if checkpoint is not None and mine != folder:
            (mine / CHECKPOINT_FILE).write_bytes(checkpoint)
        report = _Report(mine / STEP_FILE)
        try:
            train(
                model,
                job.sequences,
                options=job.options,
                budget_seconds=job.budget_seconds,
                run_folder=mine,
                device=workers.device,
                progress=report.step,
                cancelled=(mine / STOP_FILE).exists,
                workers=workers,
            )
        except TrainingCancelledError:
            return


def steps_of(folder: Path) -> Step | None:
    """How far the workers of this run folder are; None before their first step."""
    try:
        return Step(**json.loads((folder / STEP_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _read(folder: Path | None) -> tuple[str, bytes | None]:
    """The job's text and the checkpoint that it goes on from. The job's file is removed."""
    if folder is None:
        raise JobError("The main process needs the folder of the job: start it with `inkling night --runner`.")
    try:
        text = (folder / JOB_FILE).read_text()
    except OSError as error:
        raise JobError(
            f"The main worker cannot read {folder / JOB_FILE} ({error.strerror}): the data folder must lie on a disk "
            "that every machine sees (INKLING_HOME)."
        ) from error
    (folder / JOB_FILE).unlink()
    path = folder / CHECKPOINT_FILE
    return text, path.read_bytes() if path.exists() else None


class _Report:
    """Leaves the newest step for the night to read, not more often than somebody looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = float("-inf")

    def step(self, step: Step) -> None:
        if time.monotonic() - self._at >= _REPORT_SECONDS or step.done == step.planned:
            self._at = time.monotonic()
            write_atomically(self._path, json.dumps(asdict(step)).encode())
