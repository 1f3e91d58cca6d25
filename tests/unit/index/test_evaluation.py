"""Questions with known answers, and the arms that are compared."""

import subprocess
import sys
from pathlib import Path

import pytest

from index.evaluation.grep_arm import Grep, Walk, count_tokens
from index.evaluation.measure import ask, percentile, rank_of, speed_ratio, workspace
from index.evaluation.questions import Target, commit_questions, docstring_questions, without_docstrings
from index.records import Hit
from index.search import Search
from tests.unit.index.workspace import CountingEncoder

SOURCE = '''"""Module."""

class Lamp:
    """A lamp."""

    def light(self):
        """Send current through the filament."""
        return self.switch(1)

    async def dim(self): """Lower the brightness step by step."""

def plain():
    return "no docstring"
'''
FILES = {"lamp.py": SOURCE, "broken.py": "def (:\n", "other.py": 'def f():\n    """Short one."""\n    return 1\n'}


def hit(path: str, start: int, end: int) -> Hit:
    return Hit(path, "python", "function", "f", "", start, end, "text", 1.0, ("words",))


def test_docstrings_are_removed_and_the_code_stays_the_same_code() -> None:
    bare = without_docstrings(SOURCE)
    assert "filament" not in bare
    assert "brightness" not in bare
    assert "A lamp" not in bare
    assert '"no docstring"' in bare
    compile(bare, "lamp.py", "exec")


def test_a_docstring_asks_for_its_function_as_it_stands_afterwards() -> None:
    bare, questions = docstring_questions(FILES)
    assert set(bare) == {"lamp.py", "other.py"}
    assert [question.text for question in questions] == [
        "Send current through the filament.",
        "Lower the brightness step by step.",
    ]
    target = questions[0].targets[0]
    assert bare["lamp.py"].split("\n")[target.start].strip() == "def light(self):"


def test_a_docstring_of_two_functions_asks_for_neither() -> None:
    twice = dict.fromkeys(("a.py", "b.py"), 'def f():\n    """The same words in both."""\n    return 1\n')
    assert docstring_questions(twice)[1] == []


def git(root: Path, *arguments: str, given: str = "") -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, input=given, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_asks_for_the_files_that_it_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for number, subject in enumerate(("Retry requests that time out", "Bump version to the next one", "Typo")):
        (tmp_path / "a.py").write_text(f"x = {number}\n")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", subject)
    found = commit_questions(tmp_path, {"a.py": "", "b.py": ""}, 10)
    assert [(question.text, question.targets) for question in found] == [
        ("Retry requests that time out", (Target("a.py"),))
    ]
    assert commit_questions(tmp_path / "nowhere", {}, 10) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the planted program is a shell script")
def test_to_read_commits_runs_nothing_that_the_repository_configures(tmp_path: Path) -> None:
    root, program = tmp_path / "repository", tmp_path / "planted.sh"
    root.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'was run'}'\n")
    program.chmod(0o755)
    (root / "a.py").write_text("x = 1\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    who = "a <a@example.org> 1700000000 +0000"
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n c2lnbmVk\n -----END PGP SIGNATURE-----"
    signed = (
        f"tree {git(root, 'write-tree')}\nauthor {who}\ncommitter {who}\n{signature}\n\nRetry what timed out twice\n"
    )
    commit = git(root, "hash-object", "-t", "commit", "-w", "--stdin", given=signed)
    git(root, "update-ref", "HEAD", commit)
    git(root, "config", "log.showSignature", "true")
    git(root, "config", "gpg.program", str(program))
    assert [question.text for question in commit_questions(root, {"a.py": ""}, 10)] == ["Retry what timed out twice"]
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(
    ("hits", "rank"),
    [
        ([hit("a.py", 0, 9), hit("b.py", 4, 20)], 2),
        ([hit("b.py", 7, 8)], 1),
        ([hit("b.py", 11, 20), hit("b.py", 0, 4)], 0),
    ],
)
def test_a_hit_is_right_if_it_shows_the_start_or_lies_inside(hits: list[Hit], rank: int) -> None:
    assert rank_of(hits, (Target("b.py", 5, 10),)) == rank


@pytest.mark.parametrize("program", ["rg", "Python's re"])
def test_grep_reads_until_it_sees_the_function(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a.py": "x = 1\n" * 60 + "def switch_current(lamp):\n    return lamp\n", "b.py": "current = 2\n" * 100}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if program != "rg":
        monkeypatch.setattr("index.evaluation.grep_arm.shutil.which", lambda name: None)
    grep = Grep(tmp_path, files)
    if grep.program != program:
        pytest.skip("ripgrep is not installed")
    walk = grep.walk("switch the current of a lamp", (Target("a.py", 60, 61),))
    assert walk == Walk(90, 3, True)
    assert walk.tokens < count_tokens(files["a.py"]) + 40
    assert not grep.walk("nothing of this", (Target("a.py", 60, 61),)).found


def test_all_arms_answer_the_same_questions_and_leave_nothing_behind() -> None:
    bare, questions = docstring_questions(FILES)
    encoder = CountingEncoder()
    with workspace(bare, encoder, lambda *_: None) as (root, built):
        found = ask(Search(root, encoder), Grep(root, bare), questions, lambda *_: None, "docstrings")
        assert built["embedded"] > 0
    assert not root.exists()
    assert set(found) == {"hybrid", "bm25", "vector", "grep"}
    assert all(
        0 <= found[arm]["recall1"] <= found[arm]["mrr10"] <= found[arm]["recall10"] <= 1 for arm in ("hybrid", "bm25")
    )


def test_encoders_take_turns() -> None:
    speed = speed_ratio(CountingEncoder(), CountingEncoder(), ["a b c"] * 40)
    assert 0.1 < speed["speedup"] < 10


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([5.0, 1.0, 3.0], 50) == 3.0
    assert percentile([float(n) for n in range(100)], 95) == 95.0
    assert percentile([], 95) == 0.0
