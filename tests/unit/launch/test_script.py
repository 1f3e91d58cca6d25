"""The `inkling` start script finds its interpreter wherever it was put or linked. The script is the real one; the
interpreters are stand-ins that print who they are and what they were given.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the sh script is for macOS and Linux")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with spaces in its name; its `tools` hold the two programs that the script calls, and no Python."""
    machine = tmp_path / "a machine"
    tools = machine / "tools"
    tools.mkdir(parents=True)
    for name in ("readlink", "dirname"):
        program = shutil.which(name)
        assert program
        (tools / name).symlink_to(program)
    return machine


def place_script(repository: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "inkling"
    shutil.copy(repository / "server" / "launch" / "scripts" / "inkling", script)
    script.chmod(0o755)
    return script


def place_python(folder: Path, label: str, name: str = "python3", *, has_inkling: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    probe = f'case "$*" in *"import inkling"*) exit {0 if has_inkling else 1} ;; esac\n'
    file.write_text(f'#!/bin/sh\n{probe}printf "%s\\n" "{label}" "$@"\n', encoding="utf-8")
    file.chmod(0o755)


def start(script: Path | str, *arguments: str, machine: Path, path: Path | None = None) -> list[str]:
    """What the chosen interpreter printed."""
    places = os.pathsep.join([str(each) for each in (path, machine / "tools") if each])
    answer = subprocess.run(
        [str(script), *arguments], capture_output=True, text=True, check=True, env={"PATH": places}, cwd=machine
    )
    return answer.stdout.splitlines()


def test_in_a_virtual_environment_the_interpreter_beside_it_is_taken(repository: Path, machine: Path) -> None:
    script = place_script(repository, machine / "venv" / "bin")
    (machine / "venv" / "pyvenv.cfg").touch()
    place_python(machine / "venv" / "bin", "beside")
    place_python(machine / "elsewhere", "on PATH")
    assert start(script, machine=machine, path=machine / "elsewhere")[0] == "beside"


def test_the_interpreter_is_started_isolated_and_gets_every_argument_whole(repository: Path, machine: Path) -> None:
    script = place_script(repository, machine / "venv" / "bin")
    (machine / "venv" / "pyvenv.cfg").touch()
    place_python(machine / "venv" / "bin", "beside")
    lines = start(script, "search", "two words", "*", "", "$HOME", machine=machine)
    assert lines[1:] == ["-E", "-P", "-X", "utf8", "-m", "inkling", "search", "two words", "*", "", "$HOME"]


def test_links_are_followed_absolute_relative_and_chained(repository: Path, machine: Path) -> None:
    place_script(repository, machine / "venv" / "bin")
    (machine / "venv" / "pyvenv.cfg").touch()
    place_python(machine / "venv" / "bin", "beside")
    (machine / "local bin").mkdir()
    (machine / "local bin" / "absolute").symlink_to(machine / "venv" / "bin" / "inkling")
    (machine / "local bin" / "relative").symlink_to(Path("..") / "venv" / "bin" / "inkling")
    (machine / "local bin" / "inkling").symlink_to("relative")
    for name in ("absolute", "relative", "inkling"):
        assert start(machine / "local bin" / name, machine=machine)[0] == "beside"


def test_it_may_be_started_by_a_relative_path(repository: Path, machine: Path) -> None:
    place_script(repository, machine / "venv" / "bin")
    (machine / "venv" / "pyvenv.cfg").touch()
    place_python(machine / "venv" / "bin", "beside")
    assert start("venv/bin/inkling", machine=machine)[0] == "beside"


def test_in_a_user_install_the_first_interpreter_on_path_that_has_inkling_is_taken(
    repository: Path, machine: Path
) -> None:
    script = place_script(repository, machine / ".local" / "bin")
    place_python(machine / "usr", "too new", "python3", has_inkling=False)
    place_python(machine / "usr", "3.12", "python3.12")
    assert start(script, machine=machine, path=machine / "usr")[0] == "3.12"


def test_a_neighbour_without_inkling_is_passed_over(repository: Path, machine: Path) -> None:
    script = place_script(repository, machine / "brew" / "bin")
    place_python(machine / "brew" / "bin", "other version", "python3", has_inkling=False)
    place_python(machine / "usr", "on PATH", "python3.11")
    assert start(script, machine=machine, path=machine / "usr")[0] == "on PATH"


def test_without_any_interpreter_the_command_that_mends_it_is_named(repository: Path, machine: Path) -> None:
    script = place_script(repository, machine / "bin")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        start(script, machine=machine)
    assert caught.value.returncode == 127
    assert "from the folder with its source: python3 -m pip install '.[cpu]'" in caught.value.stderr
