"""The page of plots stands alone, shows what is stored, and says so where there is nothing."""

import json
import re
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from feedback.consent import Consent, Consents, set_consent
from feedback.database import open_database
from feedback.insights import insights
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Report, Suggestion, Survival
from inkling import folders
from inkling.process import command, environment
from server.charts import bars, calibration, line
from server.commands.insights import page

WORKSPACE = "/home/me/project"
NOW = time.time()


def suggestion(id: str, at: float, language: str = "python") -> Suggestion:
    return Suggestion(id, at, WORKSPACE, "a.py", language, 1, 0, 0, "p", "s", "text()", (), (), "smol", None, 0.2)


@pytest.fixture
def place() -> Path:
    """Three suggestions of today and one that is too old to be seen."""
    place = folders.feedback_database()
    set_consent(WORKSPACE, Consent.LOCAL, place)
    consents = Consents(place)
    recorder = Recorder(place, consents, lambda path: False)
    facts = [
        suggestion("a", NOW - 5),
        Decision("a", NOW, True, 0.85, 0.98, "rule-balanced"),
        Outcome("a", NOW, "accepted", 6, "client", 1.0),
        Survival("a", NOW, 5, 1.0),
        Survival("a", NOW, 30, 0.5),
        Report("a", NOW, "accepted", "accepted", "inserted_at_once", 0.98),
        suggestion("b", NOW - 4, "<script>"),
        Decision("b", NOW, True, 0.25, 0.98, "rule-balanced"),
        Outcome("b", NOW, "rejected", 0, "dismissed", 1.0),
        suggestion("c", NOW - 3),
        Decision("c", NOW, False, 0.05, 0.98, "rule-balanced"),
        suggestion("old", NOW - 90 * 86_400),
    ]
    for fact in facts:
        recorder.record(fact)
    assert recorder.flush(20)
    assert recorder.close(20)
    consents.close()
    return place


def test_figures_are_those_of_the_days_that_were_asked_for(place: Path):
    engine = open_database(place)
    found = insights(engine, NOW, 7)
    engine.dispose()
    assert len(found.days) == 7
    python = found.languages["python"]
    assert (python.offers, python.shown, python.decided, python.taken, python.retained) == (2, 1, 1, 1, 3.0)
    assert found.languages["<script>"].acceptance == 0.0
    assert found.outcomes == {"accepted": 1, "rejected": 1}
    assert found.latency["p50"] == 0.2
    assert [(one.promised, one.taken, one.count) for one in found.calibration] == [(0.25, 0.0, 1), (0.85, 1.0, 1)]
    assert found.calibration_error == pytest.approx(0.2)
    assert found.reports == {"accepted as accepted": 1}


def test_the_page_loads_nothing_and_escapes_what_it_shows(place: Path):
    engine = open_database(place)
    night = {"adapter": "n", "state": "champion", "gain": 0.1, "gainLower": 0.05, "gainUpper": 0.15, "reason": "<b>"}
    unmeasured = {**night, "adapter": "m", "gain": None, "gainLower": None, "gainUpper": None}
    made = page(insights(engine, NOW, 7), [night, unmeasured], 7)
    engine.dispose()
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "&lt;b&gt;" in made
    assert re.findall(r"(?:src|href)=|url\(|@import", made) == []
    for svg in re.findall(r"<svg.*?</svg>", made, re.DOTALL):
        ElementTree.fromstring(svg)


def test_the_command_writes_a_page_or_prints_json(place: Path, tmp_path: Path):
    target = tmp_path / "page.html"
    for arguments in (("--output", str(target)), ("--json",)):
        done = subprocess.run(
            command("insights", *arguments), env=environment(), capture_output=True, text=True, check=True
        )
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(done.stdout)
    assert found["languages"]["python"]["taken"] == 1
    assert found["nights"] == []


def test_without_a_database_it_says_what_to_do():
    done = subprocess.run(command("insights"), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "inkling consent local" in done.stderr


@pytest.mark.parametrize(
    "svg", [bars([], "x"), line([], "x"), line([("a", None), ("b", 1.0)], "x"), calibration([], "x")]
)
def test_a_plot_of_nothing_is_still_a_picture(svg: str):
    assert ElementTree.fromstring(svg).tag == "svg"
