"""Patterns mean what pathspec makes of them, and none of them takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from index.globs import globs

PARTS = ["**", "*", "a", "ab", "*a", "a*", "*a*b", "a**b", "?a*", "[ab]*a*", "***", "*.*.*", "*a*a*b", r"a\*", "*?*"]
PATTERNS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("/".join),
    st.sampled_from(["", "", "/"]),
)
PATHS = st.lists(st.text("ab.*", min_size=1, max_size=4), min_size=1, max_size=6).map("/".join)


@given(PATTERNS, PATHS)
def test_a_pattern_says_what_git_says(pattern: str, path: str) -> None:
    assert globs([pattern]).check_file(path).include == GitIgnoreSpec.from_lines([pattern]).check_file(path).include


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "*b", "a" * 255),
        ("*" * 3000 + "b", "a" * 255),
        ("**/a/" * 8 + "b", "a/" * 2000 + "c"),
        ("**/*a*/" * 8 + "*a*b*", "aaa/" * 1000 + "c"),
    ],
)
@pytest.mark.timeout(60)  # trying everything takes longer than a life
def test_stars_do_not_try_everything(pattern: str, path: str) -> None:
    assert not globs([pattern]).match_file(path)


@pytest.mark.parametrize("pattern", ["!", "[z-a]", "a\\"])
def test_what_makes_no_sense_is_said(pattern: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (pathspec's, each with words of its own)
        globs([pattern])
