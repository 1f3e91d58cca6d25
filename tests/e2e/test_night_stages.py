"""All stages of `inkling night` on a workspace that is a repository: each says what it did, or why it did nothing."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from inkling.folders import adapters_folder
from model.adapters import Registry
from tests.e2e.test_night import ended, remember, start
from tests.unit.training.tiny_language import HOURS, OTHER_HABITS, make_base, written


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny base, as `--base` takes it."""
    folder = tmp_path_factory.mktemp("tiny-base")
    make_base(folder)
    return f"path:{folder}"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Twelve modules that were committed an hour ago, and one that was committed now."""
    root, hour_ago = tmp_path / "project", int(time.time()) - 3600
    root.mkdir()
    who = {f"GIT_{role}_{what}": "me@here" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for number in range(13):
        (root / f"module_{number}.py").write_text(f"def shade_{number}(value):\n    return value + {number} * value\n")
        (root / ".env").write_text(f"SECRET={number}\n")
        at = f"{hour_ago + number if number < 12 else int(time.time())} +0000"
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        for arguments in (("add", "-A"), ("commit", "-q", "-m", "a shade")):
            subprocess.run(["git", *arguments], cwd=root, env={**os.environ, **who, **dates}, check=True)
    return root


def test_every_stage_is_in_the_record(base: str, repository: Path) -> None:
    began = time.time() - 600
    remember([replace(one, at=began + one.at / HOURS) for one in written(OTHER_HABITS, 60)], str(repository))
    tests = f"{sys.executable} -m compileall -q ."
    stages = "gate,sft,preference,section"
    child = start("--base", base, "--minimum-regions", "40", "--stages", stages, "--tests", tests)
    code, last = ended(child)
    assert code == 0, last
    figures = last["figures"]
    assert "needs 200" in figures["gate"]["reason"]
    assert "Gate skipped" in last["reason"]
    assert "pairs, 100 are needed" in figures["preference"]["skipped"]
    section = figures["section"]
    assert section["sections"] == 12  # what was committed after the later examples, and .env, are none
    assert section["steps"], section
    assert {guard["name"] for guard in figures["guards"]} >= {
        "exact match", "use of context", "knowledge of context", "distance to base", "show rate", "length",
        "edit rate", "reward components",
    }  # fmt: skip
    record = Registry(adapters_folder()).record(last["adapter"])
    assert {name: record["figures"][name] for name in ("gate", "section", "behaviour")} == {
        name: figures[name] for name in ("gate", "section", "behaviour")
    }
