"""A night reads what it may: nothing of a workspace whose consent was withdrawn, no secret files."""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents, set_consent
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Settled, Suggestion
from inkling import folders
from model.training.night_data import NightOptions
from model.training.section_tasks import sections_of
from server.night import NightError, earlier_changes, stages_of
from server.night_sources import allowed_changes, allowed_decisions, allowed_examples
from tests.unit.training.tiny_language import HABITS, written


def git(root: Path, *arguments: str, at: int | None = None) -> None:
    who = {f"GIT_{role}_{what}": "me@here" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {f"GIT_{role}_DATE": f"{at} +0000" for role in ("AUTHOR", "COMMITTER")} if at is not None else {}
    subprocess.run(["git", *arguments], cwd=root, env={**os.environ, **who, **dates}, check=True)


def remember(workspaces: list[str]) -> None:
    """One accepted suggestion in each."""
    place = folders.feedback_database()
    for root in workspaces:
        set_consent(root, Consent.LOCAL, place)
    consents = Consents(place)
    recorder = Recorder(place, consents, lambda path: False)
    for number, root in enumerate(workspaces):
        id = f"s{number}"
        recorder.record(
            Suggestion(id, float(number), root, "a.py", "python", 1, 0, 0, "x = ", "", "1", (), (), "b", None, 0.1)
        )
        recorder.record(Decision(id, float(number), True, 0.7, 0.98, "rule-balanced", {"characters": 1.0}))
        recorder.record(Outcome(id, number + 1.0, "accepted", 1, "client", 1.0))
        recorder.record(Settled(id, number + 2.0, "1"))
    assert recorder.close(30)
    consents.close()


def test_without_a_database_there_is_nothing() -> None:
    place = folders.feedback_database()
    assert (allowed_examples(place), allowed_decisions(place, time.time())) == ([], [])
    assert not place.exists()


def test_decisions_come_with_outcome_and_reward_and_only_while_they_may() -> None:
    place = folders.feedback_database()
    remember(["/home/me/one", "/home/me/two"])
    found = allowed_decisions(place, time.time())
    assert [(one.outcome, one.taken, one.decision.rule) for one in found] == [("accepted", True, "rule-balanced")] * 2
    assert all(one.reward is not None for one in found)
    set_consent("/home/me/one", Consent.OFF, place)
    assert [one.decision.suggestion for one in allowed_decisions(place, time.time())] == ["s1"]
    assert [one.workspace for one in allowed_examples(place)] == ["/home/me/two"]


def test_decisions_of_a_clock_that_was_ahead_wait() -> None:
    remember(["/home/me/one", "/home/me/two"])  # at 0 and 1 seconds
    found = allowed_decisions(folders.feedback_database(), 0.5)
    assert [one.decision.suggestion for one in found] == ["s0"]


def test_secret_files_and_secrets_of_commits_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("value = 1\n")
    (tmp_path / ".env").write_text("value = 1\n")
    (tmp_path / "keys.py").write_text('aws_key = "AKIA' + 'QYLPMN5HHHFPZAM2"\n')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    example = replace(written(HABITS, 1)[0], workspace=str(tmp_path))
    assert [change.path for change in allowed_changes([example, example], time.time() + 60)] == ["a.py"]


def test_commits_from_before_the_later_examples_are_found_behind_many_newer_ones(tmp_path: Path) -> None:
    day, began = 86_400, 1_700_000_000
    git(tmp_path, "init", "-q")
    for number in range(45):  # three before the tenth day of work, three a day since the fifteenth
        (tmp_path / "a.py").write_text(f"value = {number}\n")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", "work", at=began + (number + 6 if number < 3 else 14 + number // 3) * day)
    examples = [
        replace(one, at=began + number * day, workspace=str(tmp_path)) for number, one in enumerate(written(HABITS, 20))
    ]
    assert {change.after for change in allowed_changes(examples, time.time())}.isdisjoint({"value = 0\n"})
    found = earlier_changes(examples, NightOptions())
    assert [change.after for change in found] == [f"value = {number}\n" for number in range(3)]
    assert sections_of((), found, until=min(one.at for one in examples[-6:]), measured=()).dropped.get("newer") is None


def test_without_examples_no_commit_is_read() -> None:
    assert earlier_changes([], NightOptions()) == []


def test_stages_run_in_their_own_order() -> None:
    assert stages_of("section, sft,gate") == ("gate", "sft", "section")
    assert stages_of("gate") == ("gate",)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "Stages are"), ("sft,dreams", "Stages are"), ("sft,sft", "at most once"), ("gate,section", "add it")],
)
def test_stages_that_are_none_are_refused(text: str, told: str) -> None:
    with pytest.raises(NightError, match=told):
        stages_of(text)
