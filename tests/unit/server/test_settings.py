"""Settings: defaults that hold, values taken over field by field, and one sentence for every value that is wrong."""

from pathlib import Path

import pytest

from inkling.errors import UserError
from server.settings import Settings, load_user_settings, merge


def test_nothing_given_means_the_defaults():
    assert merge(Settings(), None) == (Settings(), [])


def test_values_are_taken_over_and_the_rest_keeps_its_default():
    settings, problems = merge(Settings(), {"trusted": True, "completion": {"maxTokens": 12, "mode": "quiet"}})
    assert problems == []
    assert (settings.trusted, settings.completion.max_tokens, settings.completion.mode) == (True, 12, "quiet")
    assert settings.completion.enabled


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"completion": {"maxTokens": "many"}}, "inkling.completion.maxTokens"),
        ({"completion": {"mode": "loud"}}, "eager, balanced, quiet"),
        ({"completion": {"maxTokens": -1}}, "from 0 up"),
        ({"completion": {"maxTokens": True}}, "expected int"),
        ({"completion": 3}, "inkling.completion"),
        ({"compleshun": {}}, "no such setting"),
        ({"completion": {"languagesOff": "python"}}, "expected a list"),
        ({"trusted": "yes"}, "expected bool"),
        ([1], "group of settings"),
    ],
)
def test_a_value_that_is_wrong_is_one_sentence_and_leaves_the_default(values: object, word: str):
    settings, problems = merge(Settings(), values)
    assert settings == Settings()
    assert len(problems) == 1
    assert word in problems[0]


def test_a_linter_of_the_users_own_is_read_with_its_pattern():
    entry = {"name": "todo", "command": ["grep", "-n", "TODO"], "pattern": r"(?P<line>\d+):(?P<message>.*)"}
    settings, problems = merge(Settings(), {"linters": {"commands": [entry]}})
    assert problems == []
    assert settings.linters.commands == (entry,)


def test_the_users_file_is_read_and_a_missing_one_is_fine(tmp_path: Path):
    file = tmp_path / "settings.toml"
    assert load_user_settings(file) == (Settings(), [])
    file.write_text("[completion]\nenabled = false\n")
    assert not load_user_settings(file)[0].completion.enabled


def test_a_file_that_is_not_toml_says_which_file_to_mend(tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_text("completion = [")
    with pytest.raises(UserError, match=r"settings\.toml"):
        load_user_settings(file)
