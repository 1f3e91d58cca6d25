"""What is finished stays finished, whatever killed the run; other runs and settings keep out of its way."""

from pathlib import Path

import pytest

from model.evaluation.replay_store import RESULTS_FILE, ResultsError, Store, Unit

UNIT = Unit("answers", "shop", 0, "frozen", 1)
OTHER = Unit("night", "shop", 0, "nightly", 1)


def test_what_was_added_is_there_the_next_time(tmp_path: Path):
    with Store(tmp_path / "new" / "folder", {"days": 2}) as store:
        store.add(UNIT, {"value": 1.5})
        assert UNIT in store
    with Store(tmp_path / "new" / "folder", {"days": 2}) as store:
        assert len(store) == 1
        assert store[UNIT] == {"value": 1.5}
        assert OTHER not in store


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path):
    with Store(tmp_path, {}) as store:
        store.add(UNIT, {})
        store.add(OTHER, {})
    file = tmp_path / RESULTS_FILE
    file.write_bytes(file.read_bytes()[:-9])
    with Store(tmp_path, {}) as store:
        assert UNIT in store
        assert OTHER not in store
        store.add(OTHER, {"again": True})
    with Store(tmp_path, {}) as store:
        assert store[OTHER] == {"again": True}


def test_a_damaged_line_is_named(tmp_path: Path):
    with Store(tmp_path, {}) as store:
        store.add(UNIT, {})
    (tmp_path / RESULTS_FILE).write_text("{}\n" + (tmp_path / RESULTS_FILE).read_text())
    with pytest.raises(ResultsError, match="Line 1 of"), Store(tmp_path, {}):
        pass


def test_other_settings_need_another_folder(tmp_path: Path):
    with Store(tmp_path, {"sizes": (1, 2)}):
        pass
    with Store(tmp_path, {"sizes": (1, 2)}):
        pass
    with pytest.raises(ResultsError, match=r"other settings \(sizes\)"), Store(tmp_path, {"sizes": (1, 3)}):
        pass


def test_one_run_at_a_time(tmp_path: Path):
    with (
        Store(tmp_path, {}),
        pytest.raises(ResultsError, match="Another run"),
        Store(tmp_path, {}),
    ):
        pass


def test_a_number_that_json_does_not_know_is_not_written(tmp_path: Path):
    with Store(tmp_path, {}) as store, pytest.raises(ValueError, match="JSON"):
        store.add(UNIT, {"value": float("nan")})


def test_reading_waits_for_nobody_and_changes_nothing(tmp_path: Path):
    with Store(tmp_path, {"days": 2}) as writing:
        writing.add(UNIT, {"value": 1.5})
        file = tmp_path / RESULTS_FILE
        half = file.read_bytes() + b'{"kind": "ans'
        file.write_bytes(half)
        with Store(tmp_path, {"days": 2}, reading=True) as store:
            assert store.done == {UNIT: {"value": 1.5}}
        assert file.read_bytes() == half
        with pytest.raises(ResultsError, match="other settings"), Store(tmp_path, {"days": 3}, reading=True):
            pass
    with Store(tmp_path / "none", {}, reading=True) as store:
        assert len(store) == 0
    assert not (tmp_path / "none").exists()
