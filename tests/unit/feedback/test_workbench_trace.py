"""What the server saw of a real workbench (`make e2e` keeps such a trace) is judged as it was done there."""

from pathlib import Path

from feedback.records import Outcome, Report
from feedback.traces import replay

TRACE = Path(__file__).with_name("workbench.jsonl")

# What the run did with each suggestion, in order; the last one still stood there when it ended.
DONE = (
    ("accepted", 16),  # Tab
    ("partial", 2),  # Ctrl+Right once, then Escape
    ("rejected", 0),  # Escape
    ("rejected", 0),  # another line was typed in its place
    ("accepted", 16),  # Ctrl+Alt+Right
    ("accepted", 16),  # Tab, after Alt+] and Alt+[
    ("ignored", 0),  # inside a snippet: Tab went to its next place
)


def test_every_suggestion_of_the_workbench_came_to_what_was_done_with_it() -> None:
    events = list(replay(TRACE.read_text(encoding="utf-8").splitlines()))
    outcomes = [event for event in events if isinstance(event, Outcome)]
    assert [(outcome.kind, outcome.length) for outcome in outcomes] == list(DONE)
    reports = [event for event in events if isinstance(event, Report)]
    assert len(reports) == 5
    assert all(report.inferred == report.reported for report in reports), "it would have been told without the client"
