"""A build makes the index agree with the folder, does nothing twice, and survives being killed."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from index.builder import CHUNKS_PER_BATCH, Builder
from index.database import IndexBusyError, connect, database_path
from index.embedding import NoEmbeddingWeightsError
from index.records import Progress
from index.search import Search
from index.store import Store
from inkling.process import environment
from tests.unit.index.workspace import CRASHING, CountingEncoder, repository, write

ALPHA = "def alpha():\n    '''Compute the first letter.'''\n    return 'a'\n"
BETA = "def beta():\n    '''Compute the second letter.'''\n    return 'b'\n"
CHECKOUT = Path(__file__).resolve().parents[3]
BUILD = """
import sys
from pathlib import Path
from index.builder import Builder
Builder(Path(sys.argv[1]), None).build()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", {"alpha.py": ALPHA, "sub/beta.py": BETA})


def child_environment() -> dict[str, str]:
    return environment({"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'server/launch'}"})


def paths(root: Path, query: str) -> list[str]:
    return [hit.path for hit in Search(root, None).search(query)]


def consistent(root: Path) -> bool:
    """True if SQLite and the word index find no fault."""
    with sqlite3.connect(database_path(root)) as database:
        database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        return bool(database.execute("PRAGMA integrity_check").fetchone()[0] == "ok")


def test_an_empty_workspace_builds(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = Builder(tmp_path / "empty", CountingEncoder).build()
    assert (result.files, result.changed, result.embedded) == (0, 0, 0)


def test_a_second_build_reads_and_embeds_nothing(root: Path) -> None:
    encoder = CountingEncoder()
    assert Builder(root, lambda: encoder).build().changed == 2
    seen = len(encoder.seen)
    again = Builder(root, lambda: encoder).build()
    assert (again.changed, again.removed, again.embedded, len(encoder.seen)) == (0, 0, 0, seen)


def test_changes_additions_and_removals_are_followed(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    write(root, {"alpha.py": "def omega():\n    return 'w'\n", "gamma.py": "def gamma(): pass\n"})
    (root / "sub/beta.py").unlink()
    result = builder.build()
    assert (result.changed, result.removed) == (2, 1)
    assert paths(root, "omega") == ["alpha.py"]
    assert paths(root, "alpha letter") == ["alpha.py"]  # by its path alone
    assert paths(root, "beta") == []
    assert paths(root, "gamma") == ["gamma.py"]
    assert consistent(root)


def test_a_file_that_was_only_touched_is_not_cut_again(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    os.utime(root / "alpha.py", (1, 1))
    assert builder.build().changed == 0
    store = Store.reader(root)
    assert store is not None
    assert store.known()["alpha.py"].mtime_ns == 1_000_000_000


def test_a_renamed_folder_embeds_nothing_again(root: Path) -> None:
    encoder = CountingEncoder()
    builder = Builder(root, lambda: encoder)
    builder.build()
    seen = len(encoder.seen)
    (root / "sub").rename(root / "renamed")
    result = builder.build()
    assert (result.changed, result.removed, result.embedded, len(encoder.seen)) == (1, 1, 0, seen)
    assert paths(root, "beta") == ["renamed/beta.py"]


def test_content_that_comes_back_is_not_embedded_again(root: Path) -> None:
    encoder = CountingEncoder()
    builder = Builder(root, lambda: encoder)
    builder.build()
    write(root, {"alpha.py": "def other(): pass\n"})
    builder.build()
    seen = len(encoder.seen)
    write(root, {"alpha.py": ALPHA})
    builder.build()
    assert len(encoder.seen) == seen


def test_an_update_looks_only_at_what_it_is_told(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    write(root, {"alpha.py": "def omega(): pass\n", "sub/beta.py": "def psi(): pass\n"})
    assert builder.update(["alpha.py"]).changed == 1
    assert paths(root, "omega") == ["alpha.py"]
    assert paths(root, "psi") == []


def test_an_update_takes_absolute_paths_folders_and_what_is_gone(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    shutil.rmtree(root / "sub")
    write(root, {"new/gamma.py": "def gamma(): pass\n", ".gitignore": "*.log\n", "a.log": "gamma"})
    result = builder.update([root / "sub", "new", root / "a.log", "/elsewhere/b.py", "../c.py"])
    assert (result.changed, result.removed) == (1, 1)
    assert paths(root, "gamma") == ["new/gamma.py"]


def test_an_update_passes_over_paths_that_can_be_none(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    (root / "loop").symlink_to(root / "loop")
    write(root, {"alpha.py": "def omega(): pass\n"})
    names = ["loop/a.py", "caf\udce9.py", "\ud800/a.py", "\ud800.py", "nul\0.py", "alpha.py"]
    assert builder.update(names).changed == 1


def test_an_update_of_very_many_paths_looks_at_the_whole_tree(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.builder.MOST_PATHS", 1)
    builder = Builder(root, None)
    builder.build()
    write(root, {"gamma.py": "def gamma(): pass\n"})
    assert builder.update(["alpha.py", "sub/beta.py"]).changed == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the file system refuses such names")
def test_a_folder_whose_name_is_not_utf8_is_indexed(tmp_path: Path) -> None:
    root = repository(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), {"alpha.py": ALPHA})
    builder = Builder(root, None)
    builder.build()
    write(root, {"alpha.py": BETA})
    assert builder.update([root / "alpha.py"]).changed == 1
    assert paths(root, "beta") == ["alpha.py"]


def test_a_file_that_cannot_be_read_any_more_is_forgotten(root: Path) -> None:
    builder = Builder(root, None)
    builder.build()
    write(root, {"alpha.py": b"\0binary"})
    assert builder.build().skipped["binary"] == 1
    assert paths(root, "alpha") == []


def test_a_file_that_vanishes_between_walk_and_read_is_counted(root: Path) -> None:
    def vanish(progress: Progress) -> None:
        if progress.phase == "chunk":
            (root / "z/last.py").unlink(missing_ok=True)

    write(root, {f"a/{number}.py": "x = 1\n" for number in range(100)} | {"z/last.py": "last = 1\n"})
    result = Builder(root, None).build_words(vanish)
    assert result.skipped == {"gone": 1}


def test_odd_files_do_not_stop_a_build(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "workspace",
        {
            "latin.py": "größe = 'ä'\n".encode("latin-1"),
            "broken.py": "def (((:\n  class\n",
            "crlf.py": "def crlf():\r\n\treturn 1\r\n",
            "new\nline.py": "newline = 1\n",
            "long.js": "x" * 100_000,
            "surrogate.json": '"\\ud800"\n',
            "empty.py": "",
        },
    )
    result = Builder(root, CountingEncoder).build()
    assert result.skipped == {"generated": 1}
    assert result.files == 6
    assert paths(root, "größe") == ["latin.py"]
    assert paths(root, "newline") == ["new\nline.py"]


def test_progress_goes_from_words_to_meaning(root: Path) -> None:
    seen: list[Progress] = []
    Builder(root, CountingEncoder).build(seen.append)
    assert [progress.phase for progress in seen] == ["walk", "chunk", "embed"]
    assert all(progress.done == progress.total for progress in seen)


def test_embedding_stops_between_batches_when_something_is_more_urgent_and_goes_on_later(tmp_path: Path) -> None:
    root = repository(tmp_path, {f"{n}.py": f"def function_{n}():\n    return {n}\n" for n in range(100)})
    encoder = CountingEncoder()
    with Builder(root, lambda: encoder) as builder:
        builder.build_words()
        assert builder.build_meaning(interrupted=lambda: len(encoder.seen) > 0) == CHUNKS_PER_BATCH
        builder.build_meaning()
    assert len(encoder.seen) == len(set(encoder.seen)) == 100


def test_embeddings_of_another_model_are_replaced(root: Path) -> None:
    Builder(root, CountingEncoder).build()
    other = CountingEncoder()
    other.model = "other"  # type: ignore[misc]
    assert Builder(root, lambda: other).build().embedded == 2
    with Store.writer(root).database as database:
        assert [row[0] for row in database.execute("SELECT DISTINCT model FROM embedded")] == ["other"]


def test_only_one_process_builds_and_others_read(root: Path) -> None:
    Builder(root, None).build()
    with Builder(root, None):
        second = subprocess.run(
            [sys.executable, "-c", BUILD, str(root)],
            cwd=CHECKOUT,
            env=child_environment(),
            capture_output=True,
            text=True,
        )
        assert IndexBusyError.__name__ in second.stderr
        assert paths(root, "alpha") == ["alpha.py"]


def test_missing_weights_are_told_after_the_words_are_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NoEmbeddingWeightsError, match="inkling models pull"):
        Builder(root, tmp_path / "nothing").build()
    assert paths(root, "alpha") == ["alpha.py"]


def test_a_database_is_read_from_end_to_end_once_and_again_after_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def watched(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(statements.append)
        return connection

    def checks() -> int:
        return sum("quick_check" in statement for statement in statements)

    Builder(root, None).build()
    monkeypatch.setattr("index.database.connect", watched)
    builder = Builder(root, None)
    builder.build()
    builder.build()
    assert checks() == 1
    with pytest.raises(sqlite3.DatabaseError), builder:
        raise sqlite3.DatabaseError("malformed")
    builder.build()
    assert checks() == 2


@pytest.mark.parametrize("damage", [b"this is no database", b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_database_is_made_anew(root: Path, damage: bytes) -> None:
    Builder(root, None).build()
    database_path(root).write_bytes(damage)
    assert paths(root, "alpha") == []
    assert Builder(root, None).build().changed == 2
    assert paths(root, "alpha") == ["alpha.py"]


def test_a_database_of_another_version_is_made_anew(root: Path) -> None:
    Builder(root, None).build()
    with sqlite3.connect(database_path(root)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert paths(root, "alpha") == []
    assert Builder(root, None).build().changed == 2


@pytest.mark.parametrize(("rule", "other"), [("database.CUT", 1), ("grammars.installed", lambda: "other wheels")])
def test_an_index_whose_files_were_cut_by_other_rules_is_made_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, rule: str, other: object
) -> None:
    Builder(root, None).build()
    assert Builder(root, None).build().changed == 0
    monkeypatch.setattr(f"index.{rule}", other)
    assert Builder(root, None).build().changed == 2
    assert Builder(root, None).build().changed == 0


def test_an_open_search_notices_that_the_database_was_made_anew(root: Path) -> None:
    search = Search(root, CountingEncoder())
    assert search.search("alpha") == []
    Builder(root, CountingEncoder).build()
    assert [hit.path for hit in search.search("alpha")][:1] == ["alpha.py"]
    database_path(root).write_bytes(b"damage")
    write(root, {"alpha.py": "def omega(): pass\n"})
    Builder(root, CountingEncoder).build()
    assert [hit.name for hit in search.search("omega")][:1] == ["omega"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from index.builder import Builder
from tests.unit.index.workspace import CountingEncoder
left = int(sys.argv[2])
def count(progress):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
class Slow(CountingEncoder):
    def encode(self, texts):
        count(None)
        return super().encode(texts)
Builder(Path(sys.argv[1]), Slow).build(count)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("moment", [1, 2, 3, 4, 5, 7])
def test_a_build_that_was_killed_goes_on_where_it_was(tmp_path: Path, moment: int) -> None:
    root = repository(tmp_path / "workspace", {f"{n}.py": f"def function_{n}():\n    return {n}\n" for n in range(150)})
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(root), str(moment)],
        cwd=CHECKOUT,
        env=child_environment(),
    )
    assert killed.returncode == -signal.SIGKILL
    encoder = CountingEncoder()
    result = Builder(root, lambda: encoder).build()
    assert consistent(root)
    stats = Search(root, None).stats()
    assert (stats["files"], stats["chunks"], stats["embedded"]) == (150, 150, 150)
    if moment > 2:
        assert result.changed < 150


def test_a_text_that_crashes_its_grammar_is_cut_by_lines_and_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.outlining._START", CRASHING)
    write(root, {"deadly.py": "def value(): pass\n"})
    result = Builder(root, None).build()
    assert paths(root, "alpha") == ["alpha.py"]
    assert paths(root, "value") == ["deadly.py"]
    assert Search(root, None).symbols("value", 1) == []
    assert result.notes == ["Cut by lines, as their grammar crashes or takes too long on them: deadly.py."]


def test_from_save_to_save_only_what_was_saved_is_looked_at_for_vectors(root: Path) -> None:
    encoder = CountingEncoder()
    with Builder(root, lambda: encoder) as builder:
        builder.build()
        assert len(encoder.seen) == 2
        write(root, {"alpha.py": ALPHA.replace("alpha", "omega"), "sub/beta.py": BETA.replace("beta", "theta")})
        builder.update(["alpha.py"])
        assert builder.build_meaning(interrupted=lambda: True) == 0
        builder.update(["sub/beta.py"])
        assert builder.build_meaning() == 2, "what an interruption left is not forgotten"
        assert builder.build_meaning() == 0
    assert [text.split("(")[0] for text in encoder.seen[2:]] in (["def omega", "def theta"], ["def theta", "def omega"])
    stats = Search(root, None).stats()
    assert stats["embedded"] == stats["chunks"] == 2


def test_vectors_of_another_clone_count_when_the_file_of_vectors_is_due(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr("index.builder.LEAST", 2)
    monkeypatch.setattr("index.builder.write_base", lambda store, model, cache: written.append(model))
    news: dict[str, str | bytes] = {"gamma.py": "def gamma(): pass\n", "delta.py": "def delta(): pass\n"}
    encoder = CountingEncoder()
    Builder(repository(tmp_path / "clone", news), lambda: encoder).build()
    with Builder(root, lambda: encoder) as builder:
        builder.build()
        written.clear()
        write(root, news)
        builder.update(list(news))
        assert builder.build_meaning() == 0
    assert written == [encoder.model]
