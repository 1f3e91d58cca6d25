"""What a network is worth on cursors that it was not trained on: every arm reads the same places."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.evaluation.held_out import ARMS, Arm, Reading, cases, mask_gap, read
from model.positions import Parallel
from model.tokens import Tokens
from model.training.exercises import Exercises, Shape
from model.training.network import load_network
from tests.unit.training.test_pretraining import FILES

SHAPE = Shape(
    documents=160,
    document=(40, 60),
    long_share=0.0,
    tails=(60,),
    suffixes=(20,),
    no_suffix_share=0.0,
    strange_share=0.0,
)


@pytest.fixture
def exercises(tiny_base: Path) -> Exercises:
    return Exercises(FILES, Tokens(tiny_base), Parallel(128), SHAPE)


def test_every_cursor_has_documents_and_something_to_write(exercises: Exercises) -> None:
    chosen = cases(exercises, 10, seed=3)
    assert len(chosen) == 10
    assert all(request.documents for request, _ in chosen)
    assert all(request.prefix[cursor.start : cursor.stop].strip() for request, cursor in chosen)
    assert chosen == cases(exercises, 10, seed=3)


def test_a_network_is_read_in_every_arm(exercises: Exercises, tiny_base: Path) -> None:
    tokens = Tokens(tiny_base)
    readings = read(load_network(tiny_base), exercises, tokens, cases(exercises, 4, seed=0))
    assert set(readings) == {arm.name for arm in ARMS}
    assert len(readings) == 8
    for reading in readings.values():
        assert np.isfinite([reading.written, reading.before]).all()
        assert 0 <= reading.exact <= 1


def test_a_line_is_right_if_greedy_decoding_behind_the_piece_writes_it(
    exercises: Exercises, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.evaluation import held_out

    tokens = Tokens(tiny_base)
    real = held_out.target_logits

    def told(wrong: int) -> Any:
        """Logits that know every token but the last `wrong` ones that are text."""

        def logits(model: Any, row: Any) -> Any:
            _, wanted, weights = real(model, row)
            made = torch.nn.functional.one_hot(wanted, len(tokens)).float() * 20
            if wrong:
                made[-1 - wrong :] = 0
            return made, wanted, weights

        return logits

    chosen = [case for case in cases(exercises, 30, seed=0) if "\n" not in case[0].prefix[case[1].start : case[1].stop]]
    arm = [Arm("middle, alone, masked", False, True, True)]
    for wrong, expected in ((0, 1.0), (1, 0.0)):
        monkeypatch.setattr(held_out, "target_logits", told(wrong))
        assert read(load_network(tiny_base), exercises, tokens, chosen, arm)[arm[0].name].exact == expected


def test_the_gap_is_the_share_of_the_gain_that_the_mask_loses() -> None:
    def reading(loss: float) -> Reading:
        return Reading(written=0.0, before=loss, exact=0.0)

    readings = {
        "left to right, alone, plain": reading(2.0),
        "left to right, documents, plain": reading(1.6),
        "left to right, alone, masked": reading(2.0),
        "left to right, documents, masked": reading(1.7),
    }
    assert mask_gap(readings) == pytest.approx({"gain_plain": 0.4, "gain_masked": 0.3, "lost": 0.25})
