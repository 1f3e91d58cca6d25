"""What a built wheel puts into an environment, and that nothing a workspace plants is ever imported.

The wheel is installed into an empty virtual environment; only its dependencies are lent by the environment that
runs the tests, through links to their folders, so that Inkling itself can come from nowhere but the wheel.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="links need rights there")]

PLANTED_PACKAGES = ("server", "model", "index", "feedback", "agent")
PLANTED_MODULES = ("sitecustomize", "usercustomize", "torch", "typer", "rich", "pygls", "numpy", "mcp")

# Never a top-level name of ours: an editable install's own traces, and what the new environment has itself.
NOT_LENT = ("inkling", "_inkling", "__editable__", "_editable_impl", "pip", "__pycache__")


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel in it, and the names that installing it added to site-packages."""

    folder: Path
    wheel: Path
    added: frozenset[str]

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def command(self) -> str:
        return str(self.folder / "bin" / "inkling")

    def run(self, *arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a program in `cwd` with PYTHONPATH pointing at it, as a hostile or careless shell would."""
        return subprocess.run(
            arguments, cwd=cwd, env={**os.environ, "PYTHONPATH": str(cwd), **extra}, capture_output=True, text=True
        )


def _site_packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}))


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, and the sdist that it was built from."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(repository)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def installation(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("environment") / "with a space"
    venv.create(folder, with_pip=False, symlinks=True)
    site = _site_packages(folder)
    lender = Path(sysconfig.get_path("purelib"))
    for lent in lender.iterdir():
        if not lent.name.startswith(NOT_LENT) and lent.suffix != ".pth":
            (site / lent.name).symlink_to(lent)
    ruff = Path(sys.executable).with_name("ruff")  # installed with the packages that are lent
    (folder / "bin" / "ruff").symlink_to(ruff)
    before = {each.name for each in site.iterdir()}
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True, capture_output=True)
    return Installation(folder, wheel, frozenset({each.name for each in site.iterdir()} - before))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A workspace that holds modules of our names, of our dependencies' and of Python's hooks. Each leaves a marker."""
    folder = tmp_path / "hostile"
    for name in PLANTED_PACKAGES:
        _plant(folder / name / "__init__.py", name, tmp_path)
        _plant(folder / name / "cli.py", f"{name}.cli", tmp_path)
    for name in PLANTED_MODULES:
        _plant(folder / f"{name}.py", name, tmp_path)
    return folder


def _plant(file: Path, name: str, into: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"open({str(into / ('marker ' + name))!r}, 'w').close()\n", encoding="utf-8")


def _markers(hostile: Path) -> list[str]:
    return sorted(each.name for each in hostile.parent.glob("marker *"))


def test_one_top_level_name_is_added(installation: Installation) -> None:
    assert {name for name in installation.added if not name.endswith(".dist-info")} == {"inkling"}


def test_the_wheel_holds_nothing_else_but_its_two_scripts(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as wheel:
        names = wheel.namelist()
    info = f"{'-'.join(installation.wheel.name.split('-')[:2])}"
    outside = {name for name in names if not name.startswith(("inkling/", f"{info}.dist-info/"))}
    assert outside == {f"{info}.data/scripts/inkling", f"{info}.data/scripts/inkling.cmd"}


def test_every_file_of_the_packages_is_in_the_wheel(installation: Installation, repository: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--", *PLANTED_PACKAGES],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    wanted = {f"inkling/packages/{name}" for name in listed if not name.startswith("server/launch/")}
    with zipfile.ZipFile(installation.wheel) as wheel:
        assert wanted - set(wheel.namelist()) == set()


def test_the_sdist_can_be_built_again(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "server/launch/build_hook.py", "constraints.txt"} <= names


def test_inkling_comes_from_the_wheel(installation: Installation, tmp_path: Path) -> None:
    answer = installation.run(installation.python, "-c", "import inkling; print(inkling.__file__)", cwd=tmp_path)
    assert Path(answer.stdout.strip()).is_relative_to(installation.folder)


@pytest.mark.parametrize("name", PLANTED_PACKAGES)
def test_our_packages_cannot_be_imported_by_others(installation: Installation, tmp_path: Path, name: str) -> None:
    answer = installation.run(installation.python, "-c", f"import {name}", cwd=tmp_path)
    assert f"ModuleNotFoundError: No module named '{name}'" in answer.stderr


def test_the_version_is_told(installation: Installation, tmp_path: Path) -> None:
    answer = installation.run(installation.command, "--version", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert installation.wheel.name.split("-")[1] in answer.stdout


def test_the_help_is_told(installation: Installation, tmp_path: Path) -> None:
    answer = installation.run(installation.command, "--help", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "inkling" in answer.stdout.lower()


def test_the_trap_works(installation: Installation, hostile: Path) -> None:
    """Without the launcher the workspace's code does run: else the tests below would prove nothing."""
    installation.run(installation.python, "-c", "import server, torch", cwd=hostile)
    assert {"marker server", "marker torch", "marker sitecustomize"} <= set(_markers(hostile))


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["doctor"]])
def test_the_command_imports_nothing_from_a_workspace(
    installation: Installation, hostile: Path, arguments: list[str]
) -> None:
    answer = installation.run(installation.command, *arguments, cwd=hostile)
    assert "Traceback" not in answer.stderr
    assert _markers(hostile) == []


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def test_the_mcp_server_imports_nothing_from_a_workspace(installation: Installation, hostile: Path) -> None:
    answer = subprocess.run(
        [installation.command, "mcp"],
        cwd=hostile,
        env={**os.environ, "PYTHONPATH": str(hostile)},
        input=json.dumps(HELLO) + "\n",
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "inkling"
    assert _markers(hostile) == []


def test_a_workspace_with_a_package_of_our_own_name_is_ignored_too(installation: Installation, hostile: Path) -> None:
    _plant(hostile / "inkling" / "__init__.py", "inkling", hostile.parent)
    _plant(hostile / "inkling" / "__main__.py", "inkling.__main__", hostile.parent)
    answer = installation.run(installation.command, "--version", cwd=hostile)
    assert answer.returncode == 0, answer.stderr
    assert _markers(hostile) == []


def test_a_link_to_the_command_imports_nothing_from_a_workspace(installation: Installation, hostile: Path) -> None:
    link = hostile / "inkling-link"
    link.symlink_to(installation.command)
    answer = installation.run(str(link), "--version", cwd=hostile)
    assert answer.returncode == 0, answer.stderr
    assert _markers(hostile) == []


def test_python_m_starts_again_isolated(installation: Installation, hostile: Path) -> None:
    """Only Python's own hook on PYTHONPATH runs, in the first process, before any code of ours can."""
    answer = installation.run(installation.python, "-m", "inkling", "--version", cwd=hostile)
    assert answer.returncode == 0, answer.stderr
    assert set(_markers(hostile)) <= {"marker sitecustomize", "marker usercustomize"}


def test_python_m_with_the_flags_imports_nothing_from_a_workspace(installation: Installation, hostile: Path) -> None:
    answer = installation.run(installation.python, "-E", "-P", "-m", "inkling", "--version", cwd=hostile)
    assert answer.returncode == 0, answer.stderr
    assert _markers(hostile) == []


CHILDREN = """
import multiprocessing, os, subprocess, sys
from inkling.__main__ import isolated, packages_folder
from inkling.process import command, environment

def child(queue):
    import server, model, index, feedback, agent
    queue.put((isolated(), [module.__file__ for module in (server, model, index, feedback, agent)]))

def main():
    assert isolated()
    sys.path.insert(0, packages_folder())
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    process = spawn.Process(target=child, args=(queue,))
    process.start()
    alone, files = queue.get(timeout=60)
    process.join()
    assert alone and all(file.startswith(packages_folder()) for file in files), files
    subprocess.run(command("--version"), check=True, stdout=subprocess.DEVNULL)  # this one inherits PYTHONPATH
    subprocess.run(command("--version"), check=True, stdout=subprocess.DEVNULL, env=environment())

if __name__ == "__main__":
    main()
"""


def test_children_import_nothing_from_a_workspace(installation: Installation, hostile: Path, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere" / "children.py"
    script.parent.mkdir()
    script.write_text(CHILDREN, encoding="utf-8")
    answer = installation.run(installation.python, "-E", "-P", str(script), cwd=hostile)
    assert answer.returncode == 0, answer.stderr
    assert _markers(hostile) == []


@pytest.mark.weights
@pytest.mark.timeout(600)
def test_the_tour_works_from_a_wheel_inside_a_hostile_workspace(
    installation: Installation, hostile: Path, repository: Path
) -> None:
    """The whole ring turns on a repository that tries to be imported, and nothing of it is."""
    for name in ("documents.py", "offers.py", "indexing.py", "workspaces.py"):
        shutil.copy(repository / "server" / name, hostile / f"app_{name}")
    done = installation.run(installation.command, "tour", "--regions", "8", "--budget", "20s", "--json", cwd=hostile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["failed"] == []
    assert _markers(hostile) == []
