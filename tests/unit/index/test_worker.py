"""The indexing process, as the server sees it: lines in, lines out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from index.builder import Builder
from index.database import IndexBusyError, lock
from index.search import Search
from index.store import Store
from inkling.folders import index_folder, models_folder
from inkling.process import environment
from tests.unit.index.workspace import repository, write

CHECKOUT = Path(__file__).resolve().parents[3]
_SERVE = """
import sys
from pathlib import Path
from index.worker import serve
folder = Path(sys.argv[2]) if sys.argv[2:] else None
sys.exit(serve(Path(sys.argv[1]), folder, sys.stdin.buffer, sys.stdout.buffer))
"""
_FAILING = """
from index import worker
from index.embedding import EncoderFailedError
class Embedder:
    model = "failing"
    def __init__(self, folder, threads):
        pass
    def encode(self, texts):
        raise EncoderFailedError("The encoder failed.")
worker.Embedder = Embedder
"""
# Every batch takes longer than there is between two looks at the tree, and in the first one a file is made.
_SLOW = """
import sys, threading
from pathlib import Path
from index import worker
from tests.unit.index.workspace import CountingEncoder
class Embedder(CountingEncoder):
    def __init__(self, folder, threads):
        super().__init__()
    def encode(self, texts):
        Path(sys.argv[1], "later.py").write_text("later = 1")
        threading.Event().wait(2 * worker.POLL_SECONDS)
        return super().encode(texts)
worker.Embedder = Embedder
worker.POLL_SECONDS = 0.1
worker.SHARE = 0
"""
# While there is a file named `refuse`, the cache of vectors cannot be opened, and one named `full` fills the disk.
_REFUSING = """
import sys
from pathlib import Path
from index import store, vector_cache, worker
from index.database import IndexFullError
from tests.unit.index.workspace import CountingEncoder
class Embedder(CountingEncoder):
    def __init__(self, folder, threads):
        super().__init__()
connect, open_to_write = vector_cache.connect, store.open_to_write
def refusing(path):
    if Path(sys.argv[1], "refuse").exists():
        raise PermissionError(13, "Permission denied", str(path))
    return connect(path)
def full(*arguments):
    if Path(sys.argv[1], "full").exists():
        raise IndexFullError("The disk has no room.")
    return open_to_write(*arguments)
vector_cache.connect, store.open_to_write = refusing, full
worker.Embedder = Embedder
worker.POLL_SECONDS = 0.1
worker.SHARE = 0
"""
Start = Callable[..., "Worker"]


class Worker:
    """A worker in a process of its own."""

    def __init__(self, *arguments: str, before: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + _SERVE, *arguments],
            cwd=CHECKOUT,
            env=environment({"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'server/launch'}"}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def send(self, message: object) -> None:
        self.send_line(json.dumps(message).encode())

    def send_line(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def until(self, key: str, value: object | None = None) -> dict[str, Any]:
        """The next message with this key (and value)."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if key in message and value in (None, message[key]):
                return message
        raise AssertionError(f"the worker ended without {key}={value}")


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Worker] = []

    def make(*arguments: str, before: str = "") -> Worker:
        started.append(Worker(*arguments, before=before))
        return started[-1]

    yield make
    for worker in started:
        worker.process.kill()
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", {"a.py": "def alpha(): pass\n", ".env": "KEY=1"})


def test_it_says_when_words_are_there_and_what_was_left_out(start: Start, root: Path) -> None:
    ready = start(str(root)).until("ready")
    assert ready == {"phase": "ready", "ready": "words", "files": 1, "skipped": {"secret": 1}, "notes": []}
    assert Search(root, None).search("alpha")


def test_a_change_is_followed(start: Start, root: Path) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": [str(root / "b.py")]})
    worker.until("ready", "words")
    assert Search(root, None).search("beta")


def test_a_rescan_sees_everything(start: Start, root: Path) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    write(root, {"b.py": "def beta(): pass\n"})
    (root / "a.py").unlink()
    worker.send({"rescan": True})
    worker.until("ready", "words")
    search = Search(root, None)
    assert search.search("beta")
    assert not search.search("alpha")


def test_an_index_whose_folder_was_removed_is_made_anew(start: Start, root: Path) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    shutil.rmtree(index_folder())
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": ["b.py"]})
    worker.until("ready", "words")
    assert {hit.path for hit in Search(root, None).search("alpha beta")} == {"a.py", "b.py"}
    with pytest.raises(IndexBusyError):
        lock(root)


@pytest.mark.parametrize("line", [b"no json", b"[1]", b'{"changed": "a.py"}', b'{"changed": [1]}', b"\xff\xfe", b"{}"])
def test_a_message_it_does_not_know_is_an_answer_not_an_end(start: Start, root: Path, line: bytes) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    worker.send_line(line)
    assert "Expected changed, rescan or stop" in worker.until("error")["error"]
    worker.send({"stop": True})
    assert worker.process.wait(20) == 0


def test_the_end_of_its_input_ends_it(start: Start, root: Path) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(20) == 0


def test_a_second_one_waits_for_the_first(start: Start, root: Path) -> None:
    with Builder(root, None):
        second = start(str(root))
        assert "built by another process" in second.until("phase", "waiting")["note"]
    second.until("ready", "words")


def test_without_weights_it_says_so_and_goes_on_with_words(start: Start, root: Path, tmp_path: Path) -> None:
    worker = start(str(root), str(tmp_path / "nothing"))
    assert "inkling models pull" in worker.until("error")["error"]
    worker.send({"rescan": True})
    worker.until("ready", "words")


def test_an_encoder_that_fails_leaves_words(start: Start, root: Path) -> None:
    worker = start(str(root), "weights", before=_FAILING)
    assert worker.until("error")["error"] == "The encoder failed."
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": ["b.py"]})
    worker.until("ready", "words")
    assert Search(root, None).search("beta")


def test_without_a_cache_of_vectors_words_go_on_and_meaning_follows_once_there_is_one(start: Start, root: Path) -> None:
    write(root, {"refuse": ""})
    worker = start(str(root), "weights", before=_REFUSING)
    assert "Permission denied" in worker.until("error")["error"]
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": ["b.py"]})
    worker.until("ready", "words")
    assert Search(root, None).search("beta")
    assert "Permission denied" in worker.until("error")["error"], "it is so still"
    (root / "refuse").unlink()
    worker.until("ready", "meaning")


def test_a_disk_that_is_full_at_the_start_is_waited_for(start: Start, root: Path) -> None:
    write(root, {"full": ""})
    worker = start(str(root), before=_REFUSING)
    assert worker.until("error")["error"] == "The disk has no room."
    (root / "full").unlink()
    worker.until("ready", "words")
    assert Search(root, None).search("alpha")


def test_what_a_reader_found_damaged_is_made_anew(start: Start, root: Path) -> None:
    worker = start(str(root), before=_REFUSING)
    worker.until("ready", "words")
    reader = Store.reader(root)
    assert reader is not None
    reader.doubt()
    worker.send({"changed": ["a.py"]})
    (note,) = worker.until("ready", "words")["notes"]
    assert "was damaged" in note
    assert Search(root, None).search("alpha")


def test_what_nobody_reports_is_seen_while_everything_is_embedded(start: Start, root: Path) -> None:
    write(root, {f"{n}.py": f"def function_{n}():\n    return {n}\n" for n in range(30)})
    worker = start(str(root), "weights", before=_SLOW)
    assert worker.until("ready", "words")["files"] == 31
    assert worker.until("ready")["ready"] == "words", "and not yet meaning"
    assert Search(root, None).search("later")
    worker.until("ready", "meaning")


@pytest.mark.parametrize("name", ["nul\0.py", "half\ud800.py", "latin\udce9/a.py"])
def test_a_name_that_no_file_can_have_ends_nothing(start: Start, root: Path, name: str) -> None:
    worker = start(str(root))
    worker.until("ready", "words")
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": [name, "b.py"]})
    worker.until("ready", "words")
    assert Search(root, None).search("beta")


@pytest.mark.weights
@pytest.mark.slow
def test_meaning_follows_words(start: Start, root: Path) -> None:
    worker = start(str(root), str(models_folder() / "all-minilm-l6-v2"))
    worker.until("ready", "words")
    worker.until("ready", "meaning")
    assert Search(root, None).stats()["embedded"] == 1
    write(root, {"b.py": "def beta(): pass\n"})
    worker.send({"changed": ["b.py"]})
    worker.until("ready", "words")
    worker.until("ready", "meaning")
    assert Search(root, None).stats()["embedded"] == 2
