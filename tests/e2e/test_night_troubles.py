"""What may befall a night: a full disk, a base that vanished, an adapter of another base, a clock that jumped."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inkling.folders import adapters_folder, data_folder
from inkling.process import command, environment
from model.adapters import RUNS_FOLDER, Registry, RegistryError
from server.night import NOT_ENOUGH
from tests.disks import tiny
from tests.e2e.test_night import base, ended, remember, start  # noqa: F401 - the fixture of a tiny base
from tests.unit.training.tiny_language import OTHER_HABITS, written

pytestmark = pytest.mark.slow
FEW = ("--minimum-regions", "40", "--stages", "sft", "--budget", "30s")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for little."""
    with tiny(tmp_path / "disk", "16m") as folder:
        yield folder


def test_a_full_disk_is_said_and_the_night_can_be_run_again(base: str, small_disk: Path) -> None:  # noqa: F811
    remember(written(OTHER_HABITS, 60))
    shutil.move(data_folder(), small_disk / "data")
    data_folder().symlink_to(small_disk / "data")
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        left = shutil.disk_usage(small_disk).free
        file.write(b"x" * (left - 200_000))  # room for the database and the state, not for a checkpoint
    code, last = ended(start("--base", base, *FEW))
    assert (code, last["code"]) == (2, "disk_full"), last
    assert "There is no room left on the disk" in last["reason"]
    assert Registry(adapters_folder()).list() == []
    filler.unlink()
    code, last = ended(start("--base", base, *FEW))
    assert (code, last["status"] in {"promoted", "refused"}) == (0, True), last


def test_a_base_that_vanished_is_named_and_its_adapters_stay(base: str, tmp_path: Path) -> None:  # noqa: F811
    here = tmp_path / "moved"
    shutil.copytree(base.removeprefix("path:"), here)
    remember(written(OTHER_HABITS, 60))
    code, first = ended(start("--base", f"path:{here}", *FEW))
    assert code == 0
    shutil.rmtree(here)
    code, last = ended(start("--base", f"path:{here}", *FEW))
    assert (code, last["code"]) == (2, "error")
    assert str(here) in last["reason"]
    assert [adapter.name for adapter in Registry(adapters_folder()).list()] == [first["adapter"]]


def test_an_adapter_of_another_base_is_never_compared_with_or_served(base: str, tmp_path: Path) -> None:  # noqa: F811
    registry = Registry(adapters_folder())
    folder = registry.folder / RUNS_FOLDER / "other"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (folder / "adapter_model.safetensors").write_bytes(b"of another shape")
    registry.promote(registry.add_candidate(folder, base="another", name="other").name)
    remember(written(OTHER_HABITS, 60))
    code, last = ended(start("--base", base, *FEW))
    assert code == 0
    assert registry.record(last["adapter"])["champion"] is None
    assert registry.serving("another", "any") == registry.get("other")
    served = registry.serving(base, "any")
    assert served is None or served.name == last["adapter"]
    raw = json.loads(registry.path.read_text())
    raw["champions"][base] = [None, "other"]  # as if somebody had edited the file
    registry.path.write_text(json.dumps(raw))
    with pytest.raises(RegistryError, match="was made for another"):
        registry.serving(base, "any")


def test_feedback_from_a_clock_that_was_ahead_waits_and_is_said(base: str) -> None:  # noqa: F811
    ahead = time.time() + 400 * 86_400
    right = written(OTHER_HABITS, 60)
    remember([*right[:40], *(replace(example, at=ahead + example.at) for example in right[40:])])
    options = ("--base", base, "--minimum-regions", "45", "--stages", "sft")
    code, last = ended(start(*options))
    assert (code, last["code"]) == (NOT_ENOUGH, "not_enough_data")
    assert "40 are usable" in last["reason"]
    assert "20 regions settled later than this machine's clock says" in last["reason"]


def test_a_dry_run_says_what_every_stage_has_and_makes_nothing(base: str) -> None:  # noqa: F811
    remember(written(OTHER_HABITS, 60))
    options = ("--base", base, "--minimum-regions", "40", "--stages", "sft,preference", "--dry-run")
    ran = subprocess.run(command("night", *options), env=environment(), capture_output=True, text=True, check=True)
    rows = dict(line.split("  ", 1) for line in ran.stdout.splitlines() if "  " in line.strip())
    told = {label.strip(): value.strip() for label, value in rows.items()}
    assert told["settled regions that may be used"] == "60"
    assert told["budget"] == "1200 s"
    assert told["stage sft"] == "would train on 42 examples"
    assert told["stage preference"].startswith("left out:")
    assert "Would train on 42 examples" in ran.stdout
    assert not adapters_folder().exists()
