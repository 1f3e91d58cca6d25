"""The record of a night for people: a page that stands alone, and the rows of a plan."""

import re
from xml.etree import ElementTree

import pytest

from server.charts import intervals
from server.nights.planning import planned
from server.nights.record_page import record_page

FIGURES = {
    "examples": 900,
    "usable": 702,
    "training": 491,
    "training_tokens": 101_233,
    "later": 140,
    "languages": {"python": 400, "type<script>": 91},
    "dropped": {"duplicate": 180, "leaked": 0},
    "losses": [2.0, 1.5, 1.25],
    "steps": 3,
    "planned_steps": 3,
    "later_before": 1.8,
    "later_after": 1.6,
    "gain": 0.2,
    "gain_lower": 0.1,
    "gain_upper": 0.3,
    "exact_before": 3,
    "exact_after": 4,
    "guards": [{"name": "distance", "value": 0.3, "bound": 1.0, "rule": "at most 1", "passed": True}],
    "gate": {"status": "refused", "reason": "too few"},
    "relevance": {"status": "installed", "reason": "New weights of context."},
    "preference": {"losses": [0.7, 0.6]},
    "section": {"skipped": "not asked for"},
}
RECORD = {
    "base": "tiny",
    "status": "promoted",
    "code": "better",
    "reason": "Promoted: <better>.",
    "champion": None,
    "figures": FIGURES,
    "options": {"sft": {"rank": 16}},
    "live": [
        {
            "decision": "taken back",
            "reason": "it was worse",
            "figures": [{"name": "kept", "new": 1.0, "old": 2.0, "lower": -1.5, "upper": -0.5}],
        }
    ],
}


def test_the_page_stands_alone_and_escapes_what_it_is_given() -> None:
    page = record_page(RECORD, "night-<a>")
    assert "Promoted: &lt;better&gt;." in page
    assert "type&lt;script&gt;" in page
    assert "night-&lt;a&gt;" in page
    assert not re.search(r"<script|https?://|src=|href=", page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg)


def test_it_shows_losses_verdict_guards_stages_and_use() -> None:
    page = record_page(RECORD, "night-a")
    for part in ("step 3: 1.25", "+0.2 nats, from +0.1 to +0.3", "at most 1", "too few", "not asked for", "taken back"):
        assert part in page
    assert "<h2>Stage relevance</h2><p>New weights of context.</p>" in page


@pytest.mark.parametrize("missing", ["figures", "options", "live", "reason", "base"])
def test_what_a_record_lacks_is_left_out(missing: str) -> None:
    record = {name: value for name, value in RECORD.items() if name != missing}
    assert "night-a" in record_page(record, "night-a")
    assert "without a record" in record_page({}, "night-a")


def test_an_interval_without_an_end_reaches_the_edge() -> None:
    svg = intervals([("one", None, 0.2, None), ("two", -0.1, -0.05, 0.0)], "gains")
    assert "from no end to no end" in svg
    ElementTree.fromstring(svg)


def test_a_plan_says_what_each_stage_has_and_what_was_left_out() -> None:
    rows = dict(planned({**FIGURES, "stages": {"sft": "would train", "preference": "left out: 3 pairs"}}, 90.0))
    assert rows["budget"] == "90 s"
    assert rows["to train on"] == "491"
    assert rows["left out"] == "180 duplicate"
    assert rows["stage gate"] == "refused: too few"
    assert rows["stage preference"] == "left out: 3 pairs"
