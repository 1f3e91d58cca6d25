"""Who is let in."""

from pathlib import Path

import pytest

from server.team.members import MemberError, Members


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return Members(tmp_path / "team" / "members.json")


def test_a_token_is_its_members_and_stands_nowhere(members: Members, tmp_path: Path):
    token = members.add("maria", "admin")
    other = members.add("tom")
    found = members.of_token(token)
    assert found is not None
    assert (found.name, found.role) == ("maria", "admin")
    assert members.of_token(token[:-1]) is None
    assert members.of_token("") is None
    file = tmp_path / "team" / "members.json"
    assert token not in file.read_text()
    assert other not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_who_was_removed_is_let_in_no_more(members: Members):
    token = members.add("maria")
    members.remove("maria")
    assert members.of_token(token) is None
    with pytest.raises(MemberError, match="no member maria"):
        members.remove("maria")
    assert members.add("maria") != token


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65])
def test_a_name_cannot_be_taken_for_another_or_a_path(members: Members, name: str):
    with pytest.raises(MemberError, match="Expected a name"):
        members.add(name)


def test_a_name_is_taken_once(members: Members):
    members.add("maria")
    with pytest.raises(MemberError, match="already"):
        members.add("maria")


def test_a_list_that_cannot_be_read_lets_nobody_in(members: Members, tmp_path: Path):
    token = members.add("maria")
    (tmp_path / "team" / "members.json").write_text("[{")
    with pytest.raises(MemberError, match="Restore it"):
        members.of_token(token)


def test_it_is_noted_when_somebody_was_there(members: Members):
    members.add("maria")
    members.saw("maria")
    assert members.all()[0].seen > 0
