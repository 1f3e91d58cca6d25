"""One training by several workers is the training by one: under accelerate and, where it is installed, on Ray."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from model.training import runners
from model.training.checkpoints import CHECKPOINT_FILE
from model.training.dataset import TrainingSequence
from model.training.jobs import JOB_FILE, Job, JobError, taken_job, work
from model.training.network import load_for_training
from model.training.runners import Cluster, RunnerError
from model.training.serving import serving_format
from model.training.sft import SftOptions, Step, Trained, train
from tests.unit.training.tiny_language import OTHER_HABITS, written

OPTIONS = SftOptions(rank=4, alpha=8, learning_rate=1e-2, epochs=3, batch=4)


@pytest.fixture(scope="session")
def sequences(tiny_base: Path) -> tuple[TrainingSequence, ...]:
    encode = serving_format(tiny_base)
    return tuple(encode(example) for example in written(OTHER_HABITS, 24))


@pytest.fixture
def job(tiny_base: Path, sequences: tuple[TrainingSequence, ...]) -> Job:
    return Job(f"path:{tiny_base}", sequences, OPTIONS, 600.0)


def trained(tiny_base: Path, job: Job, folder: Path) -> tuple[dict[str, Any], Trained]:
    """What the night has after its own call, which goes on from whatever lies in the folder."""
    model, done = train(
        load_for_training(tiny_base), job.sequences, options=OPTIONS, budget_seconds=600.0, run_folder=folder
    )
    return {name: value.detach() for name, value in model.named_parameters() if "lora_" in name}, done


def assert_same(tiny_base: Path, job: Job, folder: Path, steps: list[Step]) -> None:
    """The workers' adapter in `folder` is the one that one process makes."""
    found, done = trained(tiny_base, job, folder)
    wanted, alone = trained(tiny_base, job, folder / "alone")
    assert steps[-1].done == done.steps == alone.steps == 18
    assert done.losses == pytest.approx(alone.losses, abs=1e-4)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-4, rtol=0)


def test_two_workers_under_accelerate_are_stopped_go_on_and_train_what_one_does(
    tiny_base: Path, job: Job, tmp_path: Path
) -> None:
    folder, cluster = tmp_path / "run", Cluster("accelerate", workers=2)
    seen: list[Step] = []
    cluster.train(job, folder, seen.append, lambda: bool(seen))
    assert seen[-1].done < 18
    assert (folder / CHECKPOINT_FILE).exists()
    assert not (folder / JOB_FILE).exists()  # it holds what the user wrote
    cluster.train(job, folder, seen.append, lambda: False)
    assert_same(tiny_base, job, folder, seen)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (the extra `cluster`)")
def test_two_workers_on_ray_train_what_one_does(tiny_base: Path, job: Job, tmp_path: Path) -> None:
    folder, seen = tmp_path / "run", list[Step]()
    Cluster("ray", workers=2).train(job, folder, seen.append, lambda: False)
    assert_same(tiny_base, job, folder, seen)


def test_a_job_is_read_as_it_was_written(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path)
    assert taken_job((tmp_path / JOB_FILE).read_text()) == job
    assert (tmp_path / JOB_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"base": "b", "rows": [], "options": {"targets": []}}'])
def test_what_is_no_job_asks_for_one_version_everywhere(text: str) -> None:
    with pytest.raises(JobError, match="the same version of Inkling"):
        taken_job(text)


def test_a_worker_without_a_job_says_which_folder_must_be_shared(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="every machine sees"):
        work(tmp_path)


def test_a_base_that_vanished_is_what_the_workers_say(job: Job, tmp_path: Path) -> None:
    gone = Job(f"path:{tmp_path / 'gone'}", job.sequences, OPTIONS, 600.0)
    with pytest.raises(RunnerError, match=r"A worker failed[\s\S]*gone"):
        Cluster("accelerate", workers=1).train(gone, tmp_path / "run", lambda step: None, lambda: False)


def test_without_ray_the_extra_is_named(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunnerError, match="its extra `cluster`"):
        Cluster("ray").train(job, tmp_path, lambda step: None, lambda: False)


@pytest.mark.parametrize("address", ["", "10.0.0.1", "10.0.0.1:", ":29500", "host:port"])
def test_several_machines_need_an_address(address: str, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"Expected HOST:PORT .*inkling\.night\.address"):
        Cluster("accelerate", workers=4, address=address, machines=2).launch(tmp_path)


def test_the_launchers_ignore_the_environment_and_the_current_folder(tmp_path: Path) -> None:
    words = Cluster("accelerate", workers=4, address="10.0.0.1:29500", machines=2).launch(tmp_path, machine=1)
    assert words[:5] == [sys.executable, "-E", "-P", "-X", "utf8"]
    worker = words[words.index("--no_python") + 1 :]
    assert worker == [
        sys.executable,
        "-E",
        "-P",
        "-X",
        "utf8",
        "-m",
        "inkling",
        "night",
        "worker",
        "--job",
        str(tmp_path),
    ]
    assert words[words.index("--machine_rank") + 1] == "1"


def test_workers_that_never_begin_are_not_waited_for_without_end(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(self: Cluster, folder: Path | None, machine: int = 0) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    monkeypatch.setattr(Cluster, "launch", idle)
    monkeypatch.setattr(runners, "_START_SECONDS", 0.5)
    with pytest.raises(RunnerError, match="No worker made a step"):
        Cluster("accelerate", workers=2).train(job, tmp_path / "run", lambda step: None, lambda: False)
