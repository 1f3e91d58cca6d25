"""What a night is started with: by hand, by a server, and what only the user's own file may say."""

import pytest
from typer.testing import CliRunner

from inkling.folders import config_folder
from server.cli import app
from server.night import Plan
from server.nights.scheduler import night_options
from server.settings import Settings, merge

COMMAND = "python -m pytest -q"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What nights that are started from a shell are asked for. None of them runs."""
    asked: list[Plan] = []

    def night(database: object, plan: Plan, *, json: bool) -> int:
        asked.append(plan)
        return 0

    monkeypatch.setattr("server.night.night", night)
    return asked


def test_a_night_tests_sections_as_the_users_own_file_says(plans: list[Plan]) -> None:
    for arguments in ((), ("--tests", "make test"), ("--tests", "")):
        assert CliRunner().invoke(app, ["night", *arguments]).exit_code == 0
    config_folder().mkdir(parents=True)
    (config_folder() / "settings.toml").write_text(f'[night]\ntests = "{COMMAND}"\n')
    for arguments in ((), ("--tests", "make test"), ("--tests", "")):
        assert CliRunner().invoke(app, ["night", *arguments]).exit_code == 0
    assert [plan.tests for plan in plans] == ["", "make test", "", COMMAND, "make test", ""]


def test_what_an_editor_sends_names_no_command_to_run() -> None:
    sent, problems = merge(Settings(), {"night": {"tests": COMMAND, "runner": "ray"}})
    assert problems == []
    assert night_options(sent) == night_options(Settings())
