"""Figures of a replay on answers that can be counted by hand."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.cache_report import without_nan
from model.evaluation.replay_report import Results, plot, report
from model.evaluation.replay_user import Answer

TRUTH = "return total"
GOOD, BAD = TRUTH, "raise ValueError"


def answers(
    day: int, offers: str, files: int = 3, margin: float = 1.0, nats: float = 4.0, path: str = "file"
) -> list[Answer]:
    """One request per letter: g is good, b is bad, a capital has a lower margin, - is refused by the filters."""
    made = []
    for number, letter in enumerate(offers):
        offer = {"g": GOOD, "b": BAD, "-": ""}[letter.lower()]
        lower = margin - 0.5 if letter.isupper() else margin
        file = f"{path}{number % files}.py" if path == "file" else path
        made.append(Answer(f"{day}.{number}", file, offer, TRUTH, lower, {}, nats, 2, True if day < 2 else None))
    return made


def night(arm: str, day: int, status: str) -> dict[str, Any]:
    return {
        "package": "shop", "seed": 0, "arm": arm, "day": day, "status": status, "code": "", "seconds": 10.0 + day,
        "figures": {"usable": 20 * (day + 1)},
    }  # fmt: skip


def results(**days: list[list[Answer]]) -> Results:
    frozen = [answers(0, "gbgbgb"), answers(1, "gbgbgb"), answers(2, "gbgbgb")]
    arms = {"frozen": frozen, **days}
    nights = [night("nightly", 0, "skipped"), night("nightly", 1, "promoted"), night("placebo", 1, "refused")]
    return Results(
        {("shop", 0, arm): found for arm, found in arms.items()},
        nights,
        answers(0, "gg", nats=2.0),
        {("shop", 0, "nightly"): answers(0, "gb", nats=2.2)},
        {("shop", 0): ["1 to 2", "2 to 3", "3 to 4"]},
    )


def test_the_first_day_which_nobody_has_learned_from_does_not_count():
    found = report(results(nightly=[answers(0, "bbbbbb"), answers(1, "gggbgb"), answers(2, "gggbgb")]))
    frozen, nightly = found["arms"]["frozen"], found["arms"]["nightly"]
    assert frozen["requests"] == 12
    assert frozen["kept_per_request"] == pytest.approx(6)
    assert nightly["kept_per_request"] == pytest.approx(8)
    assert found["summary"]["kept_chars_gain_over_frozen"] == pytest.approx(1 / 3)
    assert found["summary"]["kept_chars_gain_over_frozen_ci_low"] >= 0
    assert found["curve"][0]["nightly"]["kept_per_request"] == 0
    assert found["curve"][1]["nightly"]["kept_per_request"] == pytest.approx(8)


def test_every_arm_shows_as_many_and_its_best_ones():
    frozen = [answers(day, "gbgbgb") for day in range(3)]
    hidden = [*frozen[:1], *(answers(day, "gbBBbb", margin=-4.0) for day in (1, 2))]
    shown = [answers(0, "gbgbgb"), answers(1, "GGGbbb", margin=9.0), answers(2, "GGGbbb", margin=9.0)]
    found = report(results(frozen=hidden, nightly=shown))
    assert found["arms"]["frozen"]["show_rate"] == 0
    assert found["arms"]["nightly"]["show_rate"] == 0  # as many as the frozen model: none
    assert found["arms"]["nightly"]["served_show_rate"] == 1
    half = [*frozen[:1], *(answers(day, "gbg---") for day in (1, 2))]
    found = report(results(frozen=half, nightly=shown))
    assert found["arms"]["nightly"]["show_rate"] == pytest.approx(0.5)
    assert found["arms"]["nightly"]["accept_rate"] == 0  # its surest ones are bad


def test_exact_match_and_likeness_are_of_all_offers_whether_shown_or_not():
    found = report(results(nightly=[answers(day, "g-bGGb") for day in range(3)]))
    assert found["arms"]["nightly"]["exact_match"] == pytest.approx(0.5)
    assert 0.5 < found["arms"]["nightly"]["similarity"] < 1


def test_losses_are_per_token_and_forgetting_is_relative():
    found = report(results(nightly=[answers(day, "gbgbgb", nats=3.0) for day in range(3)]))
    assert found["arms"]["frozen"]["loss"] == pytest.approx(2.0)
    assert found["arms"]["nightly"]["loss"] == pytest.approx(1.5)
    assert found["summary"]["loss_change"] == pytest.approx(-0.5)
    assert found["summary"]["old_task_loss_change"] == pytest.approx(0.1)
    assert found["forgetting"]["nightly"]["exact"] == 0.5


def test_forgetting_is_told_of_humaneval_and_of_the_library_apart():
    lines = results(nightly=[answers(day, "gbgbgb") for day in range(3)])
    before = [*lines.frozen_old, *answers(0, "gggg", nats=1.0, path="solution.py")]
    after = [*lines.old["shop", 0, "nightly"], *answers(0, "gggb", nats=1.5, path="solution.py")]
    found = report(replace(lines, frozen_old=before, old={("shop", 0, "nightly"): after}))
    assert found["summary"]["library_loss_change"] == pytest.approx(0.1)
    assert found["summary"]["humaneval_loss_change"] == pytest.approx(0.5)
    assert found["summary"]["old_task_loss_change"] == pytest.approx((2 * 2.2 + 4 * 1.5) / (2 * 2.0 + 4 * 1.0) - 1)
    parts = found["forgetting"]["nightly"]
    assert (parts["cursors"], parts["library"]["cursors"], parts["humaneval"]["cursors"]) == (6, 2, 4)
    assert (parts["humaneval"]["exact_before"], parts["humaneval"]["exact"]) == (1.0, 0.75)


def test_where_humaneval_was_left_out_its_change_is_null():
    summary = without_nan(report(results(nightly=[answers(day, "gbgbgb") for day in range(3)])))["summary"]
    assert summary["humaneval_loss_change"] is None
    assert summary["library_loss_change"] == summary["old_task_loss_change"]


def test_the_gains_over_gate_and_full_are_told_where_those_were_replayed():
    nightly = [answers(day, "gggbgb") for day in range(3)]
    told = report(results(nightly=nightly, full=[answers(day, "ggbbbb") for day in range(3)]))
    for found in (told["summary"], told["packages"]["shop"]["gains"]):
        assert found["kept_chars_gain_over_full"] == pytest.approx(1.0)
        assert found["kept_chars_gain_over_gate"] == pytest.approx(1 / 3)  # too few decisions: it stays the rule
        assert found["kept_chars_gain_over_gate_ci_low"] >= 0
    lacking = report(replace(results(nightly=nightly), gate=False))["summary"]
    assert not {name for name in lacking if name.endswith(("over_full", "over_gate"))}


def test_an_extra_arm_is_held_against_nightly_and_nights_that_left_its_stage_out_are_told():
    days = results(
        nightly=[answers(day, "gbgbbb") for day in range(3)], preference=[answers(day, "gggbbb") for day in range(3)]
    )
    ran, left_out = {"preference": {"method": "dpo", "steps": 4}}, {"preference": {"skipped": "3 pairs", "steps": 0}}
    nights = [
        {**night("preference", day, status), "figures": figures}
        for day, (status, figures) in enumerate((("refused", left_out), ("promoted", ran)))
    ]
    summary = report(replace(days, nights=nights))["summary"]
    assert summary["kept_chars_gain_of_preference"] == pytest.approx(0.5)
    assert (summary["preference_nights"], summary["preference_nights_with_stage"]) == (2, 1)
    assert "kept_chars_gain_of_sections" not in summary


def test_the_curve_counts_what_nights_had_seen_and_a_night_that_found_nothing_new_takes_nothing_away():
    days = results(nightly=[answers(day, "gbgbgb") for day in range(3)])
    assert [row["examples"] for row in report(days)["curve"]] == [0, 20, 40]
    nothing_new = [days.nights[0], {**days.nights[1], "status": "skipped", "figures": {}}]
    assert [row["examples"] for row in report(replace(days, nights=nothing_new))["curve"]] == [0, 20, 20]
    assert [row["examples"] for row in without_nan(report(replace(days, nights=[])))["curve"]] == [0, None, None]


def test_survival_is_of_what_was_kept_before_the_last_version():
    found = report(results(nightly=[answers(day, "gbgbgb") for day in range(3)]))
    assert found["arms"]["nightly"]["survival"] == 1.0


def test_nights_that_had_too_little_are_not_counted():
    summary = report(results(nightly=[answers(day, "gbgbgb") for day in range(3)]))["summary"]
    assert (summary["promotions"], summary["nights"]) == (1, 1)
    assert (summary["placebo_promotions"], summary["placebo_nights"]) == (0, 1)
    assert summary["seconds_per_night"] == 11.0


def test_a_package_that_lost_is_named():
    summary = report(results(nightly=[answers(day, "gbbbbb") for day in range(3)]))["summary"]
    assert summary["packages_with_fewer_kept"] == ["shop"]
    assert summary["kept_chars_gain_over_frozen"] < 0


def users(**gains: str) -> Results:
    """Packages whose nightly answers are given, as those of seed 1; the frozen model's are alike in all."""
    made = {}
    for package, offers in gains.items():
        made[package, 1, "frozen"] = [answers(day, "gbgbgb", files=6) for day in range(2)]
        made[package, 1, "nightly"] = [answers(day, offers, files=6) for day in range(2)]
    days = {(package, 1): ["1 to 2", "2 to 3"] for package in gains}
    return Results(made, [], [], {}, days, gate=False)


def test_a_night_is_one_for_all_files_of_a_package_so_packages_are_drawn():
    found = report(users(shop="gggggg", mill="bbbbbb", yard="gggbgb"))
    summary = found["summary"]
    assert (summary["packages"], summary["packages_better_than_frozen"]) == (3, 2)
    assert summary["packages_with_fewer_kept"] == ["mill"]
    assert without_nan(summary)["packages_better_than_placebo"] is None  # it was not replayed
    assert summary["intervals_of_nights"] == "packages, and files within each"
    assert summary["kept_chars_gain_over_frozen_ci_low"] == -1.0  # the one that lost, drawn three times
    alone = report(users(shop="gggbgb"))["summary"]
    assert alone["intervals_of_nights"] == "files of the one package"


def test_a_report_of_what_is_finished_needs_no_first_seed():
    assert report(users(shop="gggggg"))["packages"]["shop"]["days"] == ["1 to 2", "2 to 3"]


def test_arms_that_were_left_out_are_null_and_everything_is_json():
    found = without_nan(report(results()))
    assert found["summary"]["kept_chars_gain_over_frozen"] is None
    assert found["summary"]["gate_offer_change"] == 0
    assert set(found["arms"]) == {"frozen", "gate"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
@pytest.mark.parametrize(("nights", "places", "label"), [(True, [0, 20, 40], "pieces"), (False, [1, 2, 3], "day")])
def test_a_picture_is_drawn_over_what_nights_had_seen_or_else_over_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nights: bool, places: list[int], label: str
):
    from matplotlib.figure import Figure

    days = results(nightly=[answers(day, "gggbgb") for day in range(3)])
    found = without_nan(report(days if nights else replace(days, nights=[])))
    found["settings"] = {"base": "tiny", "histories": {"shop": ["1", "2"]}, "seeds": 1}
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *to, **how: (drawn.append(figure), save(figure, *to, **how)))
    plot(found, tmp_path / "replay.png")
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
    curve = drawn[0].axes[1]
    assert all(list(line.get_xdata()) == places for line in curve.lines)
    assert label in curve.get_xlabel()
