"""What every test stands on: a home of its own, the machine's own weights, and no way to a model hub.

Markers: `gpu` skips where there is no CUDA device. `weights` never skips: `make test` pulls the weights first, so
missing ones are a failure.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from inkling.folders import models_folder

# Looked up before any test moves INKLING_HOME, so that tests share what `inkling models pull` brought.
_MODELS = models_folder().absolute()

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

# Before anything imports a Hugging Face package, as those read these variables once.
os.environ.update(_OFFLINE)


@pytest.fixture(autouse=True)
def inkling_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that this test's data, caches, logs and settings go to. Lies outside `tmp_path`."""
    home = tmp_path_factory.mktemp("inkling-home")
    monkeypatch.setenv("INKLING_HOME", str(home))
    monkeypatch.setenv("INKLING_MODELS", str(_MODELS))
    return home


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail by marker, before the test's own fixtures run."""
    if item.get_closest_marker("gpu") and not _cuda():
        pytest.skip("there is no CUDA device")
    if item.get_closest_marker("weights") and (missing := _missing_weights()):
        pytest.fail(f"The weights {', '.join(missing)} are not in {_MODELS}. Run `make weights`.", pytrace=False)


@cache
def _missing_weights() -> list[str]:
    from model.catalog import CATALOG

    return [name for name in CATALOG if not (_MODELS / name).is_dir()]


@cache
def _cuda() -> bool:
    """Asked in a child process: importing torch here would slow down every test that does not need it."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-E", "-P", "-c", code], stderr=subprocess.DEVNULL).returncode == 0
