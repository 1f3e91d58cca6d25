"""Where the training of a night runs: in its own process, in several started by accelerate, or on a Ray cluster.

A runner starts workers that all call `model.training.jobs.work`, waits for them and passes on how far they are. What
always holds: when it returns, the checkpoint in the run folder is where the training stands; workers that are wanted to
end do so between two steps.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inkling.errors import UserError
from inkling.process import command, environment
from model.training.jobs import JOB_FILE, STOP_FILE, Job, steps_of, work
from model.training.sft import Step

RunnerName = Literal["local", "accelerate", "ray"]
RUNNERS: tuple[RunnerName, ...] = ("local", "accelerate", "ray")
_LOOK_SECONDS = 0.2
_START_SECONDS = 1800.0  # until the first step: a cluster may have to start machines and to load a large base
_END_SECONDS = 60.0  # for workers that are wanted to end: a step, and a checkpoint
_WORDS = 2000  # characters of failed workers' last words that are shown


class RunnerError(UserError):
    """Workers could not be started, or one of them failed."""


@dataclass(frozen=True)
class Cluster:
    """Which workers a night gets. `workers`: processes in all.

    `address`: for accelerate HOST:PORT of the machine that the night runs on, where there are several `machines`; for
    Ray the address of a cluster, "" for one on this machine.
    """

    runner: RunnerName = "local"
    workers: int = 2
    address: str = ""
    machines: int = 1

    def train(self, job: Job, folder: Path, progress: Callable[[Step], None], cancelled: Callable[[], bool]) -> None:
        """Have the workers train until they are done or `cancelled()`. Raises RunnerError."""
        job.write(folder)
        run = {"accelerate": self._accelerate, "ray": self._ray}[self.runner]
        try:
            run(folder, _Watch(folder, progress, cancelled))
        finally:  # where no worker came so far as to read it
            (folder / JOB_FILE).unlink(missing_ok=True)

    def launch(self, folder: Path | None, machine: int = 0) -> list[str]:
        """The command that starts this machine's share of the workers under accelerate."""
        options = ["--num_processes", str(self.workers), "--num_machines", str(self.machines)]
        options += ["--machine_rank", str(machine), "--mixed_precision", "no", "--dynamo_backend", "no"]
        if self.machines > 1:
            host, _, port = self.address.rpartition(":")
            if not host or not port.isdigit():
                raise RunnerError(
                    f"Expected HOST:PORT of the machine that the night runs on, found {self.address!r}: set "
                    "inkling.night.address (or --address)."
                )
            options += ["--main_process_ip", host, "--main_process_port", port]
        else:
            options += ["--main_process_port", "0"]  # any port that is free
        launcher = [sys.executable, "-E", "-P", "-X", "utf8", "-m", "accelerate.commands.launch"]
        if self.workers > 1:  # processes by torchrun, also on CPUs, where accelerate would start one or ask for MPI
            launcher.append("--multi_gpu")
        worker = command("night", "worker", *(["--job", str(folder)] if folder is not None else []))
        return [*launcher, *options, "--no_python", *worker]

    def _accelerate(self, folder: Path, watch: "_Watch") -> None:
        with (folder / "workers.log").open("w+b") as log:
            child = subprocess.Popen(
                self.launch(folder), env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                while child.poll() is None:
                    watch.look()
                    time.sleep(_LOOK_SECONDS)
            finally:
                if child.poll() is None:
                    child.terminate()
            if child.returncode:
                raise RunnerError(f"A worker failed (accelerate ended with {child.returncode}). {_end_of(folder)}")

    def _ray(self, folder: Path, watch: "_Watch") -> None:
        ray, trainer = _ray_trainer(self, folder)
        # `setup`: a worker's Python sees our packages; -E -P: nothing of its own folder or PYTHONPATH
        isolated = {
            "py_executable": f"{sys.executable} -E -P -X utf8",
            "worker_process_setup_hook": "inkling.cluster.setup",
        }
        own = {"address": self.address} if self.address else {"include_dashboard": False}
        ray.init(runtime_env=isolated, log_to_driver=False, **own)
        done, failed = threading.Event(), list[BaseException]()

        def fit() -> None:
            try:
                trainer.fit()
            except BaseException as error:
                failed.append(error)
            finally:
                done.set()

        threading.Thread(target=fit, name="ray", daemon=True).start()
        try:
            while not done.wait(_LOOK_SECONDS):
                watch.look()
        finally:
            ray.shutdown()
        if failed:
            raise RunnerError(f"A worker failed on Ray: {str(failed[0])[-_WORDS:]}") from failed[0]


class _Watch:
    """Passes progress on and asks the workers to end; it loses patience with workers that never begin or never end.

    Ray waits for ever for processors that it does not have, and a night would hold its lock as long.
    """

    def __init__(self, folder: Path, progress: Callable[[Step], None], cancelled: Callable[[], bool]) -> None:
        self._folder = folder
        self._progress = progress
        self._cancelled = cancelled
        self._last: Step | None = None
        self._asked: float | None = None
        self._began = time.monotonic()

    def look(self) -> None:
        step = steps_of(self._folder)
        if step is not None and step != self._last:
            self._last = step
            self._progress(step)
        if self._last is None and time.monotonic() - self._began > _START_SECONDS:
            raise RunnerError(
                f"No worker made a step within {_START_SECONDS / 60:.0f} minutes: are that many free processors of the "
                "kind there (inkling.night.workers, or --workers)?"
            )
        if self._asked is None and self._cancelled():
            self._asked = time.monotonic()
            (self._folder / STOP_FILE).touch()
        if self._asked is not None and time.monotonic() - self._asked > _END_SECONDS:
            raise RunnerError(f"The workers did not end within {_END_SECONDS:.0f} s of being asked to.")


def _ray_trainer(cluster: Cluster, folder: Path) -> tuple[Any, Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers that it was used
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise RunnerError(
            "Ray is not installed (--runner ray): install Inkling with its extra `cluster`, on every machine."
        ) from error
    import torch

    scaling = ScalingConfig(num_workers=cluster.workers, use_gpu=torch.cuda.is_available())
    storage = RunConfig(name="night", storage_path=str(folder / "ray"))
    trainer = TorchTrainer(
        _ray_worker, train_loop_config={"folder": str(folder)}, scaling_config=scaling, run_config=storage
    )
    return ray, trainer


def _ray_worker(config: dict[str, str]) -> None:
    work(Path(config["folder"]))


def _end_of(folder: Path) -> str:
    text = (folder / "workers.log").read_bytes()[-_WORDS:].decode("utf-8", "replace").strip()
    return f"Their last words: {text}"
