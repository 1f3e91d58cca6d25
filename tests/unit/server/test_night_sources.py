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
from server.night import NightError, stages_of
from server.night_sources import allowed_changes, allowed_decisions, allowed_examples
from tests.unit.training.tiny_language import HABITS, written


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
    assert (allowed_examples(place), allowed_decisions(place)) == ([], [])
    assert not place.exists()


def test_decisions_come_with_outcome_and_reward_and_only_while_they_may() -> None:
    place = folders.feedback_database()
    remember(["/home/me/one", "/home/me/two"])
    found = allowed_decisions(place)
    assert [(one.outcome, one.taken, one.decision.rule) for one in found] == [("accepted", True, "rule-balanced")] * 2
    assert all(one.reward is not None for one in found)
    set_consent("/home/me/one", Consent.OFF, place)
    assert [one.decision.suggestion for one in allowed_decisions(place)] == ["s1"]
    assert [one.workspace for one in allowed_examples(place)] == ["/home/me/two"]


def test_secret_files_and_secrets_of_commits_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("value = 1\n")
    (tmp_path / ".env").write_text("value = 1\n")
    (tmp_path / "keys.py").write_text('aws_key = "AKIA' + 'QYLPMN5HHHFPZAM2"\n')
    who = {f"GIT_{role}_{what}": "me@here" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, env={**os.environ, **who}, check=True)
    example = replace(written(HABITS, 1)[0], workspace=str(tmp_path))
    assert [change.path for change in allowed_changes([example, example], time.time() + 60)] == ["a.py"]


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
