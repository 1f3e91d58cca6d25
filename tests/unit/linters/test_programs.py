"""Where a linter's program is looked for."""

import sys
from pathlib import Path

import pytest

from server.linters import programs


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the workspace, on PATH by an absolute and a relative entry."""
    program = tmp_path / "bin" / "sly-linter"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"bin:.:{program.parent}")
    return program


def test_a_program_of_an_untrusted_workspace_is_not_found(planted: Path, tmp_path: Path):
    assert programs.find("sly-linter", tmp_path, trusted=False) is None
    assert programs.find(str(planted), tmp_path, trusted=False) is None
    assert programs.find("bin/sly-linter", tmp_path, trusted=False) is None


def test_a_link_to_a_program_of_an_untrusted_workspace_is_not_found(
    planted: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "sly-linter").symlink_to(planted)
    monkeypatch.setenv("PATH", str(elsewhere))
    assert programs.find("sly-linter", tmp_path, trusted=False) is None


def test_in_a_trusted_workspace_it_is_found(planted: Path, tmp_path: Path):
    assert programs.find("sly-linter", tmp_path, trusted=True) == planted
    assert programs.find("bin/sly-linter", tmp_path, trusted=True) == planted


def test_what_lies_beside_our_interpreter_comes_first(planted: Path):
    (planted.parent / "ruff").write_text("#!/bin/sh\n")
    (planted.parent / "ruff").chmod(0o755)
    assert programs.find("ruff", None, trusted=True) == Path(sys.executable).parent / "ruff"
