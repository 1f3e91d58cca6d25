"""The quick size of the replay, on the default base and real code: part of this repository as it might have grown."""

import ast
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from server.commands import evaluation

GROWN = "agent"


def grow(repository: Path, folder: Path) -> str:
    """Three versions as `eval replay` names them: every third definition is there late, every sixth last."""
    for version, missing in enumerate(((0, 3), (3,), ()), start=1):
        place = folder / str(version) / "helper"
        place.mkdir(parents=True)
        for path in sorted((repository / GROWN).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            lines = text.splitlines(keepends=True)
            defined = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            for number, node in reversed(list(enumerate(defined))):
                if number % 6 in missing:
                    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                    del lines[first - 1 : node.end_lineno]
            (place / path.name).write_text("".join(lines), encoding="utf-8")
    return ",".join(f"{folder / str(version) / 'helper'}/" for version in (1, 2, 3))


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_default_base_is_replayed_in_a_quick_run(repository: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    evaluation.register(app)
    arguments = ["eval", "replay", grow(repository, tmp_path / "versions"), "--quick", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["requests"] == 8  # of the day after the first
    assert {night["arm"] for night in found["nights"]} >= {"nightly", "full", "placebo"}
    assert found["summary"]["placebo_promotions"] == 0
    for arm in found["arms"].values():
        assert 0.1 < arm["loss"] < 4.0
    told = CliRunner().invoke(app, [*arguments, "--so-far"], catch_exceptions=False)
    assert told.exit_code == 0
    assert "kept_chars_gain_of_memory" in told.stdout
