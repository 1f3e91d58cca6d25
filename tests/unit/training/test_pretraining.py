"""Exercises are what a server would have asked; the adapter that they teach can be taken at any moment."""

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from index.lora import UnusableAdapterError
from model.adapters import check_folder
from model.completion import CompletionRequest
from model.document import Document
from model.evaluation.comparison import measure
from model.positions import Parallel
from model.shipped import read_shipped
from model.tokens import Tokens
from model.training.batches import divergence
from model.training.checkpoints import CHECKPOINT_FILE, OtherTrainingError
from model.training.corpus_files import CodeFile
from model.training.cursors import Cursor
from model.training.dataset import TrainingSequence
from model.training.exercises import END, MIDDLE, PREFIX, Exercises, Shape
from model.training.network import load_network
from model.training.pretraining import Pace, PretrainOptions, for_device, pretrain, rate
from model.training.rows import Row

FILES = {
    "some": tuple(
        CodeFile(
            "some",
            f"some/f{number}.py",
            "".join(
                f"def area_{number}_{n}(width):\n    height = {n}\n    return width * height\n\n\n" for n in range(8)
            ),
            {"some/f0.py": ("area_0_3",)} if number else {},
        )
        for number in range(4)
    )
}
SHAPE = Shape(documents=160, document=(40, 60), long_document=(80, 120), tails=(60,), suffixes=(20,))
OPTIONS = PretrainOptions(minutes=60, tokens=8000, rows=2, rank=4, alpha=8, learning_rate=5e-3, checkpoint_seconds=0.0)
RECORD: dict[str, Any] = {"base": "tiny", "fills_middle": True, "scheme": "parallel", "data_hash": "0"}


@pytest.fixture
def exercises(tiny_base: Path) -> Exercises:
    return Exercises(FILES, Tokens(tiny_base), Parallel(128), SHAPE)


def rows(exercises: Exercises, count: int) -> list[Row]:
    return [exercises.draw(np.random.default_rng([7, number])) for number in range(count)]


def text_of(row: Row, tokens: Tokens, block: int) -> str:
    return tokens.decode(token for token, found in zip(row.tokens, row.blocks, strict=True) if found == block).decode()


def test_the_same_seed_draws_the_same_exercises(exercises: Exercises, tiny_base: Path) -> None:
    again = Exercises(FILES, Tokens(tiny_base), Parallel(128), SHAPE)
    assert rows(exercises, 8) == rows(again, 8)
    assert len({row.tokens for row in rows(exercises, 8)}) == 8


def test_documents_are_whole_definitions_of_other_files(exercises: Exercises, tiny_base: Path) -> None:
    tokens = Tokens(tiny_base)
    seen = 0
    for row in rows(exercises, 40):
        own = text_of(row, tokens, -1).split("\n", 1)[0]
        for block in range(1, 1 + max(row.blocks)):
            path, code = text_of(row, tokens, block).split("\n", 1)
            assert path != own
            ast.parse(code)
            seen += 1
    assert seen > 20


def test_exercises_are_of_every_kind(exercises: Exercises, tiny_base: Path) -> None:
    drawn = rows(exercises, 60)
    marker = Tokens(tiny_base).named("<jupyter_code>")
    assert any(max(row.blocks) > 1 for row in drawn)
    assert any(max(row.blocks) == 0 for row in drawn)
    assert any(min(row.blocks) == -3 for row in drawn) is False  # files this short get one cursor
    assert any(marker not in row.tokens for row in drawn)
    assert any(marker in row.tokens for row in drawn)
    assert {weight for row in drawn for weight in row.weights} == {0.0, PREFIX, MIDDLE, END}


def test_loss_lies_on_the_text_before_the_cursor_and_on_the_middle(exercises: Exercises, tiny_base: Path) -> None:
    tokens = Tokens(tiny_base)
    text = "a = 1\nb = 22\nc = 3\n"
    start = text.index("22") + 1
    request = CompletionRequest("x.py", "python", text, "", (Document("y.py", "k = 1\n"),), "some")
    row = exercises.lay_out(request, [Cursor(start, start + 1, True)], masked=True)

    def weighted(weight: float) -> bytes:
        chosen = [token for token, found in zip(row.tokens, row.weights, strict=True) if found == weight]
        return tokens.decode(chosen)

    assert weighted(PREFIX) + weighted(MIDDLE) == b"a = 1\nb = 22"
    assert weighted(MIDDLE).endswith(b"2")
    assert row.tokens[-1] == tokens.named("<|endoftext|>")
    assert row.weights[-1] == END
    assert text_of(row, tokens, -1) == "x.py\n\nc = 3\na = 1\nb = 22"
    plain = exercises.lay_out(request, [Cursor(start, start + 1, True)], masked=False)
    assert plain.positions == tuple(range(len(plain)))
    assert plain.tokens == row.tokens


def test_a_killed_training_ends_with_the_same_adapter(exercises: Exercises, tiny_base: Path, tmp_path: Path) -> None:
    def run(out: Path, stop: int = 0, options: PretrainOptions = OPTIONS) -> dict[str, Any]:
        def watch(pace: Pace) -> None:
            if pace.step == stop:
                raise KeyboardInterrupt

        base = load_network(tiny_base)
        return pretrain(base, exercises, options=options, out=out, record=RECORD, progress=watch)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop=5)
    assert (tmp_path / "cut" / CHECKPOINT_FILE).exists()
    assert check_folder(tmp_path / "cut")
    with pytest.raises(OtherTrainingError, match="--afresh"):  # and nothing of it is lost
        run(tmp_path / "cut", options=replace(OPTIONS, clip=2.0))
    cut = run(tmp_path / "cut")
    assert (cut["steps"], cut["tokens"]) == (whole["steps"], whole["tokens"])
    assert cut["training_loss"]["last"] == pytest.approx(whole["training_loss"]["last"], abs=5e-2)
    assert cut["training_loss"]["last"] < cut["training_loss"]["first"]
    assert not (tmp_path / "cut" / CHECKPOINT_FILE).exists()

    record = json.loads((tmp_path / "cut" / "metadata.json").read_text())
    assert record["base"] == "tiny"
    assert read_shipped(tmp_path / "cut").fills_middle
    sequences = [TrainingSequence(str(number), row) for number, row in enumerate(rows(exercises, 12))]
    before = measure(load_network(tiny_base), sequences).losses.mean()
    after = measure(load_network(tiny_base, [tmp_path / "cut"]), sequences).losses.mean()
    assert after < before - 0.3


def test_a_training_goes_on_from_the_adapter_of_an_earlier_one(
    exercises: Exercises, tiny_base: Path, tmp_path: Path
) -> None:
    def run(out: Path, onto: Path | None = None, **changed: Any) -> dict[str, Any]:
        options = replace(OPTIONS, tokens=4000, **changed)
        return pretrain(load_network(tiny_base), exercises, options=options, out=out, record=RECORD, onto=onto)

    first = run(tmp_path / "first")
    second = run(tmp_path / "second", tmp_path / "first")
    assert second["training_loss"]["first"] < first["training_loss"]["first"] - 0.2
    assert (second["onto"]["tokens"], second["onto"]["steps"]) == (first["tokens"], first["steps"])
    assert len(second["onto"]["sha256"]) == 64
    with pytest.raises(UnusableAdapterError, match="another rank"):
        run(tmp_path / "third", tmp_path / "first", rank=2)
    with pytest.raises(UnusableAdapterError, match="holds no adapter"):
        run(tmp_path / "fourth", tmp_path / "nowhere")


TWO = """
import dataclasses, os, sys
from pathlib import Path
from model.positions import Parallel
from model.tokens import Tokens
from model.training.exercises import Exercises
from model.training.network import load_network
from model.training.pretraining import pretrain
from model.training.workers import Workers
from tests.unit.training.test_pretraining import FILES, OPTIONS, RECORD, SHAPE
base, out = map(Path, sys.argv[1:])
exercises = Exercises(FILES, Tokens(base), Parallel(128), SHAPE)
workers = Workers("cpu")
assert workers.count == int(os.environ["WORLD_SIZE"])
pretrain(load_network(base), exercises, options=dataclasses.replace(OPTIONS, tokens=3000), out=out, record=RECORD,
         workers=workers)
"""


def test_two_processes_train_what_one_does(exercises: Exercises, tiny_base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    script = tmp_path / "two.py"
    script.write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launch, str(script), str(tiny_base), str(tmp_path / "two")], env=environment, check=True, timeout=300
    )
    one = pretrain(
        load_network(tiny_base), exercises, options=replace(OPTIONS, tokens=3000), out=tmp_path / "one", record=RECORD
    )
    both = json.loads((tmp_path / "two" / "metadata.json").read_text())
    assert (both["steps"], both["tokens"]) == (one["steps"], one["tokens"])
    assert both["training_loss"] == pytest.approx(one["training_loss"], rel=1e-3)
    here, there = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert set(here) == set(there)
    for name in here:
        torch.testing.assert_close(here[name], there[name], atol=2e-2, rtol=0)


def test_less_memory_gives_the_same_adapter(exercises: Exercises, tiny_base: Path, tmp_path: Path) -> None:
    short = replace(OPTIONS, tokens=2000)
    found = [
        pretrain(
            load_network(tiny_base), exercises, out=tmp_path / str(checkpointing), record=RECORD,
            options=replace(short, gradient_checkpointing=checkpointing),
        )
        for checkpointing in (False, True)
    ]  # fmt: skip
    assert found[1]["training_loss"] == pytest.approx(found[0]["training_loss"], rel=1e-3)


def test_scripts_are_as_many_as_they_should_be(tiny_base: Path) -> None:
    script = tuple(
        CodeFile("web", f"lib/f{number}.js", f"function f{number}() {{\n  return {number}\n}}\n" * 40, {})
        for number in range(3)
    )
    exercises = Exercises(FILES | {"web": script}, Tokens(tiny_base), Parallel(128), SHAPE)
    drawn = [exercises.draw_cursors(np.random.default_rng([3, number]))[0].language for number in range(300)]
    assert 0.13 < drawn.count("javascript") / 300 < 0.27
    assert set(drawn) == {"javascript", "python"}


def test_divergence_is_none_from_itself_and_positive_from_another() -> None:
    said = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    assert divergence(said, said).abs().max() < 1e-6
    other = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    expected = torch.nn.functional.kl_div(
        other.log_softmax(-1), said.log_softmax(-1), log_target=True, reduction="none"
    )
    torch.testing.assert_close(divergence(said, other), expected.sum(-1))


def test_the_rate_warms_up_and_falls() -> None:
    options = for_device(PretrainOptions(), "cpu")
    shares = np.linspace(0, 1, 101)
    rates = [rate(float(share), options) for share in shares]
    assert max(rates) == pytest.approx(options.learning_rate, rel=0.02)
    assert np.argmax(rates) == pytest.approx(100 * options.warmup_share, abs=1)
    assert rates[-1] == pytest.approx(0.05 * options.learning_rate)
    assert rates[0] > 0
