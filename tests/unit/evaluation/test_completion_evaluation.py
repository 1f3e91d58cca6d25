"""A whole run on a tiny base with an adapter: every figure is there, and the command prints one JSON object."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from model.evaluation import completion_evaluation
from model.evaluation.completion_arms import ARMS
from model.evaluation.completion_cases import Sizes
from model.evaluation.completion_evaluation import CompletionSettings, NoAdapterError, SizesError, evaluate
from model.evaluation.human_eval import Problem
from model.evaluation.packages import PackageError
from server.commands import evaluation
from tests.unit.evaluation.test_completion_arms import filling
from tests.unit.evaluation.test_completion_cases import MILL

SIZES = Sizes(documents=2, document=64, tail=96, suffix=24)
SUMMARY = {
    "base_loss", "adapter_loss", "base_em", "adapter_em", "mask_gap", "humaneval_single_line_em",
    "base_humaneval_single_line_em", "left_to_right_loss_change",
}  # fmt: skip

pytestmark = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")


def quiet(phase: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages") / "mill"
    for path, text in MILL.files.items():
        (folder.parent / path).parent.mkdir(exist_ok=True)
        (folder.parent / path).write_text(text)
    return folder


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filling(tiny_base, tmp_path_factory.mktemp("models") / "filling")


@pytest.fixture(scope="module")
def adapter(make_adapter: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter, with a record as if it had been trained on `mill`."""
    folder = tmp_path_factory.mktemp("adapters") / "recorded"
    shutil.copytree(make_adapter(1), folder)
    corpus = [{"name": "mill", "held_out": False}, {"name": "shop", "held_out": True}]
    record = {"fills_middle": True, "scheme": "sequential", "tokens": 1234, "corpus": corpus}
    (folder / "metadata.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def settings(base: Path, adapter: Path, mill: Path) -> CompletionSettings:
    return CompletionSettings(
        (f"{mill}/",), f"path:{base}", str(adapter), SIZES, cases=2, humaneval=3, threads=1, seed=0
    )


@pytest.fixture(scope="module")
def report(settings: CompletionSettings) -> dict[str, Any]:
    problems = (Problem("Test/0", "def add(a, b):\n", "    total = a + b\n    total += 0\n    return total\n"),)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(completion_evaluation, "load_problems", lambda: problems)
        return evaluate(settings, quiet)


def test_the_report_has_every_promised_figure(report: dict[str, Any]):
    assert set(report) == {"summary", "tasks", "latency", "settings", "cases"}
    assert SUMMARY | {f"{name}_95" for name in SUMMARY} <= set(report["summary"])
    assert set(report["tasks"]) == {"line", "lines", "section", "all"}
    assert set(report["tasks"]["all"]["arms"]) == {arm.name for arm in ARMS}
    assert report["summary"]["cases"] == len(report["cases"]) == 6
    assert report["summary"]["humaneval_cases"] == 3
    assert report["latency"]["samples"] == 2
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_settings_say_what_was_trained_and_on_what(report: dict[str, Any]):
    assert report["settings"]["trained_on"] == ["mill"]
    assert report["settings"]["adapter_tokens"] == 1234
    assert report["settings"]["packages"] == ["mill"]
    assert report["settings"]["scheme"] == "sequential"


def test_texts_are_there_where_an_arm_writes(report: dict[str, Any]):
    written = {arm.name for arm in ARMS if arm.written}
    assert all(set(case["texts"]) == written for case in report["cases"])
    assert all(set(case["loss"]) == {arm.name for arm in ARMS} for case in report["cases"])


def test_a_second_run_measures_the_same(report: dict[str, Any], settings: CompletionSettings):
    again = evaluate(replace(settings, humaneval=0), quiet)
    assert again["cases"] == report["cases"]
    assert again["summary"]["humaneval_single_line_em"] is None


def test_the_base_alone_can_be_measured(settings: CompletionSettings):
    found = evaluate(replace(settings, adapter="none", humaneval=0, cases=1), quiet)
    assert found["summary"]["base_loss"] > 0
    assert found["summary"]["adapter_loss"] is None
    assert not any(name.startswith("adapter") for name in found["tasks"]["all"]["arms"])
    assert found["settings"]["adapter_folder"] is None


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"sizes": Sizes(documents=9, document=128)}, SizesError, "--documents"),
        ({"sizes": Sizes(documents=1, document=250, tail=32, suffix=8)}, SizesError, "--document-tokens"),
        ({"adapter": "shipped"}, NoAdapterError, "--adapter none"),
        ({"adapter": "/nowhere"}, NoAdapterError, r"no metadata\.json"),
        ({"packages": ("../nowhere/at/all",)}, PackageError, "Expected NAME"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    settings: CompletionSettings, changes: dict[str, Any], error: type[Exception], told: str
):
    with pytest.raises(error, match=told):
        evaluate(replace(settings, humaneval=0, **changes), quiet)


def test_an_adapter_that_never_learned_to_fill_in_is_refused(
    settings: CompletionSettings, adapter: Path, tmp_path: Path
):
    folder = tmp_path / "plain"
    shutil.copytree(adapter, folder)
    (folder / "metadata.json").write_text(json.dumps({"fills_middle": False, "scheme": "parallel"}))
    with pytest.raises(NoAdapterError, match="never learned"):
        evaluate(replace(settings, adapter=str(folder)), quiet)


def test_a_base_without_tokens_for_the_middle_is_refused(settings: CompletionSettings, tiny_base: Path):
    with pytest.raises(NoAdapterError, match="no tokens"):
        evaluate(replace(settings, base=f"path:{tiny_base}"), quiet)


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    evaluation.register(made)
    return made


def arguments(settings: CompletionSettings) -> list[str]:
    sizes = settings.sizes
    return [
        "eval", "completion", *settings.packages, "--base", settings.base, "--adapter", settings.adapter,
        "--cases", "1", "--humaneval", "0", "--threads", "1", "--documents", str(sizes.documents),
        "--document-tokens", str(sizes.document), "--tail-tokens", str(sizes.tail),
        "--suffix-tokens", str(sizes.suffix),
    ]  # fmt: skip


def test_the_command_prints_one_json_object_and_nothing_else(app: typer.Typer, settings: CompletionSettings):
    done = CliRunner().invoke(app, [*arguments(settings), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)["summary"]) >= SUMMARY
    assert "prove nothing" in done.stderr  # it was trained on what it is measured on


def test_the_command_prints_tables_for_people(app: typer.Typer, settings: CompletionSettings):
    done = CliRunner().invoke(app, arguments(settings), catch_exceptions=False)
    assert done.exit_code == 0
    assert "The body of a function" in done.stdout
    assert "left_to_right_loss_change" in done.stdout


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_base_is_measured_in_a_quick_run(app: typer.Typer, mill: Path):
    done = CliRunner().invoke(
        app, ["eval", "completion", f"{mill}/", "--quick", "--cases", "1", "--humaneval", "0", "--json"],
        catch_exceptions=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert 0 < found["summary"]["adapter_loss"] < 10
    assert found["latency"]["samples"] == 1
