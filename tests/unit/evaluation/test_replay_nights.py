"""A night that was killed is gone on with as it was decided; nothing of it is lost or done again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model.adapters import RECORD_FILE, Registry
from model.evaluation import replay_nights
from model.evaluation.replay_nights import Nights
from model.training.night_data import NightOptions

BASE = "tiny"


@pytest.mark.parametrize(("status", "champion"), [("promoted", "shop/one"), ("refused", None)])
def test_a_candidate_that_a_kill_kept_from_its_promotion_is_promoted(
    tiny_base: Path,
    make_adapter: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    champion: str | None,
):
    monkeypatch.setattr(replay_nights, "run_night", None)  # it is over
    registry = Registry(tmp_path / "shop")
    made = tmp_path / "shop" / "made"
    shutil.copytree(make_adapter(1), made)
    record = {"status": status, "code": "", "reason": "", "seconds": 3.0, "figures": {"usable": 40}}
    (made / RECORD_FILE).write_text(json.dumps(record))
    registry.add_candidate(made, base=BASE, name="one")
    nights = Nights(BASE, tiny_base, None, tmp_path, NightOptions())
    for _ in range(2):  # killed once more before the end of the night was written down
        night = nights.promoted("shop", [], 0, 0, lambda phase, done, total: None)
        assert (night.status, night.candidate, night.champion) == (status, "shop/one", champion)
        assert night.figures == {"usable": 40}
