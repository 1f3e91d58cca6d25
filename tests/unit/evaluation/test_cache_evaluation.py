"""A whole run on a tiny base: every figure is there, our float32 runtime agrees with transformers, and the command
prints one JSON object and nothing else.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from model.evaluation.cache_arms import NAMES
from model.evaluation.cache_cases import Sizes
from model.evaluation.cache_evaluation import CacheSettings, SizesError, evaluate
from model.evaluation.cache_llama import LlamaError, measure_llama
from server.commands import evaluation

SIZES = Sizes(documents=3, document=96, tail=120, continuation=16)
SUMMARY = {
    "ttft_speedup_p50", "decode_speedup", "decode_speedup_edits", "full_context_gain", "wrong_repo_gain",
    "gap_recovered", "line_ms_p95",
}  # fmt: skip

pytestmark = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")


def settings(tiny_base: Path, shop: Path, **changes: Any) -> CacheSettings:
    given: dict[str, Any] = {
        "packages": (f"{shop}/",), "base": f"path:{tiny_base}", "adapter": "none", "runtime": "onnx",
        "precision": "float32", "threads": 1, "sizes": SIZES, "cases": 3, "timing_cases": 1, "keys": 4,
        "decode_tokens": 8,
    }  # fmt: skip
    return CacheSettings(**{**given, **changes})


@pytest.fixture(scope="module")
def report(tiny_base: Path, shop: Path) -> dict[str, Any]:
    return evaluate(settings(tiny_base, shop), lambda phase, done, total: None)


def test_the_report_has_every_promised_figure(report: dict[str, Any]):
    assert set(report["summary"]) >= SUMMARY
    assert set(report) == {"summary", "arms", "timing", "memory", "llama_cpp", "settings", "cases"}
    assert set(report["arms"]) == {name for name in NAMES if not name.startswith("bare_")}
    assert report["settings"]["cases"] == len(report["cases"]) == 3
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_our_runtime_and_transformers_agree_on_plain_prompts(report: dict[str, Any]):
    arms = report["arms"]
    assert arms["none"]["loss"] == pytest.approx(arms["reference_none"]["loss"], abs=1e-4)
    assert arms["full"]["loss"] == pytest.approx(arms["reference_full"]["loss"], abs=1e-4)


def test_the_torch_runtime_is_measured_alike(report: dict[str, Any], tiny_base: Path, shop: Path):
    found = evaluate(settings(tiny_base, shop, runtime="torch"), lambda phase, done, total: None)
    for name in ("none", "full", "parallel", "sequential", "wrong"):
        assert found["arms"][name]["loss"] == pytest.approx(report["arms"][name]["loss"], abs=1e-4)
    assert found["settings"]["runtime"] != report["settings"]["runtime"]


def test_a_key_costs_one_token_and_an_edit_elsewhere_less_than_its_document(report: dict[str, Any]):
    events = report["timing"]["events"]
    assert events["keystroke"]["tokens_p50"] <= 4
    assert events["edit_elsewhere"]["tokens_p95"] <= SIZES.document + 1
    assert events["swap"]["tokens_p95"] == 1
    assert events["cold_documents"]["tokens_p95"] == 0
    assert events["first_time"]["tokens_p50"] > events["cold_from_disk"]["tokens_p50"]


def test_drafts_change_no_token_in_float32(report: dict[str, Any]):
    assert report["timing"]["drafts_against_plain"]["differing_continuations"] == 0


def test_losses_are_the_same_in_a_second_run(report: dict[str, Any], tiny_base: Path, shop: Path):
    again = evaluate(settings(tiny_base, shop), lambda phase, done, total: None)
    assert [case["path"] for case in again["cases"]] == [case["path"] for case in report["cases"]]
    for name, arm in report["arms"].items():
        assert again["arms"][name]["loss"] == pytest.approx(arm["loss"], abs=1e-5)


def test_arms_can_be_left_out_but_not_those_that_others_are_counted_from(tiny_base: Path, shop: Path):
    chosen = settings(tiny_base, shop, cases=1, skip=tuple(NAMES))
    found = evaluate(chosen, lambda phase, done, total: None)
    assert set(found["arms"]) == {"reference_none", "reference_full", "none"}


def test_both_sides_compute_with_an_adapter_and_the_bare_base_stands_beside_it(
    tiny_base: Path, shop: Path, make_adapter: Any
):
    chosen = settings(tiny_base, shop, cases=1, adapter=str(make_adapter(1)), skip=("sequential", "top_pages"))
    arms = evaluate(chosen, lambda phase, done, total: None)["arms"]
    assert arms["full"]["loss"] == pytest.approx(arms["reference_full"]["loss"], abs=1e-3)
    assert not np.isclose(arms["bare_full"]["loss"], arms["reference_full"]["loss"], atol=1e-2)


def test_more_than_the_model_has_positions_for_is_refused_at_once(tiny_base: Path, shop: Path):
    with pytest.raises(SizesError, match="--documents"):
        evaluate(settings(tiny_base, shop, sizes=Sizes(documents=9, document=128)), lambda phase, done, total: None)


def test_llama_without_llama_says_what_to_do(tiny_base: Path, tmp_path: Path):
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 1\n")
    silent.chmod(0o755)
    with pytest.raises(LlamaError, match="--llama-python"):
        measure_llama(str(silent), tmp_path / "no.gguf", None, list(range(1100)), 1, 4, 1)  # type: ignore[arg-type]


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    evaluation.register(made)
    return made


def test_the_command_prints_one_json_object_and_nothing_else(app: typer.Typer, tiny_base: Path, shop: Path):
    arguments = [
        "eval", "cache", f"{shop}/", "--base", f"path:{tiny_base}", "--adapter", "none", "--runtime", "onnx",
        "--precision", "float32", "--cases", "1", "--documents", "2", "--document-tokens", "96", "--tail-tokens", "96",
        "--continuation-tokens", "8", "--timing-cases", "1", "--keys", "2", "--decode-tokens", "4", "--threads", "1",
        "--no-llama", "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)["summary"]) >= SUMMARY


def test_an_unknown_arm_is_an_error_that_names_those_that_there_are(app: typer.Typer, shop: Path):
    done = CliRunner().invoke(app, ["eval", "cache", f"{shop}/", "--skip", "nothing"])
    assert "int8_keys" in str(done.exception)


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_base_is_measured_in_a_quick_run(app: typer.Typer, shop: Path):
    arguments = ["eval", "cache", f"{shop}/", "--quick", "--cases", "1", "--json", "--skip", "top_pages"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(done.stdout)["summary"]["ttft_speedup_p50"] > 1
