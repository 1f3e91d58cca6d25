"""Downloads: a file appears only whole and right, whatever the network, the server or the disk does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkling.errors import UserError
from model.download import DiskFullError, NoNetworkError, WrongHashError, fetch, require_space
from tests.unit.model.local_server import Site, serving

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/files/data.bin"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.files[PATH] = CONTENT
        yield site


def quiet(phase: str, done: int, total: int) -> None:
    pass


def test_a_download_ends_as_the_promised_bytes_with_nothing_beside_them(site: Site, tmp_path: Path):
    file = fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet)
    assert file.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]


def test_progress_ends_at_the_total(site: Site, tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    fetch(site.url + PATH, tmp_path / "data.bin", SHA256, lambda *step: told.append(step))
    assert [step for step in told if step[0] == "download"][-1] == ("download", len(CONTENT), len(CONTENT))


def test_a_connection_that_breaks_off_is_gone_on_with(site: Site, tmp_path: Path):
    site.cut[PATH] = 2
    assert fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet).read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0 for _, asked in site.asked]
    assert starts == sorted(set(starts))


def test_what_came_before_a_hopeless_break_is_kept_for_the_next_call(site: Site, tmp_path: Path):
    site.cut[PATH] = 100
    with pytest.raises(NoNetworkError, match="inkling models pull"):
        fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet)
    assert 0 < (tmp_path / "data.bin.part").stat().st_size < len(CONTENT)
    site.cut.clear()
    assert fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_starts_it_afresh(site: Site, tmp_path: Path):
    site.ranges = False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"another file" * 10, b"x" * (len(CONTENT) + 5), b"y" * len(CONTENT)])
def test_a_part_of_another_file_is_replaced(site: Site, tmp_path: Path, left: bytes):
    (tmp_path / "data.bin.part").write_bytes(left)
    assert fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet).read_bytes() == CONTENT


def test_the_wrong_bytes_are_removed_and_both_hashes_named(site: Site, tmp_path: Path):
    with pytest.raises(WrongHashError, match="0" * 64) as error:
        fetch(site.url + PATH, tmp_path / "data.bin", "0" * 64, quiet)
    assert SHA256 in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path):
    with serving() as gone:
        url = gone.url + PATH
    with pytest.raises(NoNetworkError, match="HTTPS_PROXY"):
        fetch(url, tmp_path / "data.bin", SHA256, quiet)


def test_a_file_that_is_not_there_is_one_clear_error(site: Site, tmp_path: Path):
    with pytest.raises(UserError, match="404"):
        fetch(site.url + "/files/none", tmp_path / "data.bin", SHA256, quiet)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_disk_that_becomes_full_is_one_clear_error(site: Site, tmp_path: Path):
    (tmp_path / "data.bin.part").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="INKLING_MODELS"):
        fetch(site.url + PATH, tmp_path / "data.bin", SHA256, quiet)


def test_a_disk_that_is_too_small_is_noticed_before(tmp_path: Path):
    with pytest.raises(DiskFullError, match="are free"):
        require_space(tmp_path, 10**18)
