"""Neovim as a second client, with the configuration that the documentation gives, against the real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inkling.process import environment


def _neovim() -> str:
    """The newest way to Neovim there is; skips where it is older than 0.11, or missing."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("nvim", path=beside)
    if found is None:
        pytest.skip("there is no Neovim (nvim on PATH)")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < (0, 11):
        pytest.skip(f"{said.splitlines()[0]} is older than 0.11")
    return found


@pytest.mark.weights
@pytest.mark.slow
def test_the_documented_configuration_works(project: Path, repository: Path, tmp_path: Path):
    neovim, home = _neovim(), tmp_path / "home"
    (project / "main.py").write_text("import os\n\nvalues = [1, 2, 3]\n")
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "inkling").symlink_to(Path(sys.executable).with_name("inkling"))
    places = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    path = os.pathsep.join([str(home / "bin"), os.environ.get("PATH", "")])
    configured = repository / "docs" / "neovim" / "init.lua"
    ran = subprocess.run(
        [neovim, "--headless", "-u", str(configured), "-l", str(Path(__file__).with_name("neovim.lua")), "main.py"],
        cwd=project,
        env=environment({**places, "PATH": path}),
        capture_output=True,
        text=True,
        timeout=280,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["diagnostics"] == ["F401"]
    assert seen["fixed"] == ["", "values = [1, 2, 3]"]
    assert seen["undone"] == "import os"
    assert {"shapes.py", "report.py"} <= set(seen["search"])
    assert seen["completed"].startswith("for i in range(")
