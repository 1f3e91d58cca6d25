"""Packages as data: from an index, once; from a folder; never their code, never more than the limits."""

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.download import WrongHashError
from model.evaluation import packages
from model.evaluation.packages import PackageError, load_package, read_archive, read_folder
from model.weights import UnknownWeightsError
from tests.unit.model.local_server import Site, serving

BOOM = "raise SystemExit('the code of a package was run')\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A package index of this test's own; what is fetched goes to a folder of this test's own."""
    monkeypatch.setenv("INKLING_HOME", str(tmp_path / "home"))
    with serving() as site:
        monkeypatch.setenv("INKLING_PACKAGE_INDEX", f"{site.url}/simple/")
        yield site


def offer(site: Site, project: str, archives: dict[str, bytes]) -> None:
    links = []
    for name, content in archives.items():
        site.files[f"/files/{name}"] = content
        links.append(f'<a href="/files/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>')
    site.files[f"/simple/{project}/"] = "\n".join(links).encode()


def zipped(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def tarred(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def archive_of(tmp_path: Path, content: bytes, name: str = "some-1.0.whl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_the_newest_final_version_is_taken_and_its_wheel_before_its_sources(index: Site):
    offer(
        index,
        "some-thing",
        {
            "some_thing-1.9-py3-none-any.whl": zipped({"some/old.py": "x = 0\n"}),
            "some_thing-1.10-cp311-cp311-linux_x86_64.whl": zipped({"some/native.py": "x = 1\n"}),
            "some_thing-1.10-py3-none-any.whl": zipped({"some/a.py": "x = 2\n", "setup.py": BOOM}),
            "some_thing-1.10.tar.gz": tarred({"some_thing-1.10/some/sources.py": "x = 3\n"}),
            "some_thing-2.0rc1-py3-none-any.whl": zipped({"some/early.py": "x = 4\n"}),
        },
    )
    package = load_package("Some.Thing")
    assert (package.name, package.version) == ("some-thing", "1.10")
    assert package.files == {"setup.py": BOOM, "some/a.py": "x = 2\n"}


def test_where_there_is_no_wheel_the_source_archive_is_read_without_its_outer_folder_and_src(index: Site):
    files = {"plain-1.0/setup.py": BOOM, "plain-1.0/src/plain/a.py": "x = 1\r\n", "plain-1.0/README.md": "hello"}
    offer(index, "plain", {"plain-1.0.tar.gz": tarred(files)})
    assert load_package("plain").files == {"setup.py": BOOM, "plain/a.py": "x = 1\n"}


def test_a_named_version_that_is_there_already_asks_nobody(index: Site):
    offer(index, "some", {"some-1.0-py3-none-any.whl": zipped({"some/a.py": "x = 1\n"})})
    first = load_package("some==1.0")
    index.files.clear()
    assert load_package("some==1.0") == first


def test_a_version_that_is_not_there_is_an_error_that_names_those_that_are(index: Site):
    offer(index, "some", {"some-1.0-py3-none-any.whl": zipped({})})
    with pytest.raises(PackageError, match=r"no archive of some 2\.0.*1\.0"):
        load_package("some==2.0")


def test_a_project_that_is_not_there_is_an_error(index: Site):
    with pytest.raises(UnknownWeightsError, match="no project 'nowhere'"):
        load_package("nowhere")


@pytest.mark.parametrize("text", ["some>=1", "../elsewhere/that/is/not/there", "some thing", ""])
def test_what_is_neither_a_name_nor_a_folder_is_refused(text: str):
    with pytest.raises(PackageError, match="Expected NAME"):
        load_package(text)


def test_an_archive_with_another_hash_is_not_read(index: Site):
    offer(index, "some", {"some-1.0-py3-none-any.whl": zipped({"some/a.py": "x = 1\n"})})
    index.files["/files/some-1.0-py3-none-any.whl"] = zipped({"some/a.py": "x = 2\n"})
    with pytest.raises(WrongHashError):
        load_package("some")


@pytest.mark.parametrize(
    "name", ["/etc/evil.py", "../evil.py", "a/../../evil.py", "C:\\evil.py", "c:/evil.py", "\\\\host\\evil.py"]
)
def test_entries_that_point_outside_are_left_out(tmp_path: Path, name: str):
    assert read_archive(archive_of(tmp_path, zipped({name: BOOM, "a.py": "x = 1\n"}))) == {"a.py": "x = 1\n"}
    assert read_archive(archive_of(tmp_path, tarred({name: BOOM, "a.py": "x = 1\n"}))) == {"a.py": "x = 1\n"}


def test_links_and_devices_in_archives_are_left_out(tmp_path: Path):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, kind in (("soft.py", tarfile.SYMTYPE), ("hard.py", tarfile.LNKTYPE), ("pipe.py", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert read_archive(archive_of(tmp_path, made.getvalue(), "some-1.0.tar.gz")) == {}
    with zipfile.ZipFile(tmp_path / "linked.whl", "w") as wheel:
        entry = zipfile.ZipInfo("soft.py")
        entry.external_attr = 0o120777 << 16
        wheel.writestr(entry, "/etc/passwd")
    assert read_archive(tmp_path / "linked.whl") == {}


def test_large_files_are_left_out_and_nothing_but_python_is_read(tmp_path: Path):
    files = {"big.py": "#" * (packages.LARGEST_FILE + 1), "data.bin": "x", "bad.py": "x", "a.py": "x = 1\n"}
    assert read_archive(archive_of(tmp_path, zipped(files))) == {"bad.py": "x", "a.py": "x = 1\n"}


def test_a_file_that_is_not_utf8_is_left_out(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        wheel.writestr("latin.py", "x = 'ä'\n".encode("latin-1"))
    assert read_archive(tmp_path / "some.whl") == {}


def test_an_entry_that_is_larger_than_it_says_is_refused(tmp_path: Path):
    content = bytearray(zipped({"a.py": "#" * 5_000_000}))
    claimed = (5_000_000).to_bytes(4, "little")
    path = archive_of(tmp_path, bytes(content.replace(claimed, (10).to_bytes(4, "little"))))
    with pytest.raises(PackageError):
        read_archive(path)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_archives_beyond_the_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make):
    path = archive_of(tmp_path, make({f"{number}.py": "#" * 1000 for number in range(20)}))
    with monkeypatch.context() as limited:
        limited.setattr(packages, "MOST_ENTRIES", 19)
        with pytest.raises(PackageError, match="entries"):
            read_archive(path)
    with monkeypatch.context() as limited:
        limited.setattr(packages, "LARGEST_UNPACKED", 19_999)
        with pytest.raises(PackageError, match="said to have"):
            read_archive(path)
    with monkeypatch.context() as limited:
        limited.setattr(packages, "LARGEST_TEXT", 19_999)
        with pytest.raises(PackageError, match="Python files"):
            read_archive(path)
    monkeypatch.setattr(packages, "LARGEST_ARCHIVE", 10)
    with pytest.raises(PackageError, match="larger than"):
        read_archive(path)


def test_what_is_no_archive_is_refused(tmp_path: Path):
    with pytest.raises(PackageError, match="cannot be read"):
        read_archive(archive_of(tmp_path, b"not an archive"))


def test_a_folder_is_read_without_hidden_and_vendored_parts(tmp_path: Path):
    for name in ("a.py", "pkg/b.py", ".venv/c.py", "pkg/_vendor/d.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    package = read_folder(tmp_path)
    assert (package.name, package.version) == (tmp_path.name, "")
    assert list(package.files) == ["a.py", "pkg/b.py"]


def test_a_folder_that_is_an_import_package_keeps_its_name_in_the_paths(shop: Path):
    assert "shop/orders.py" in load_package(str(shop)).files


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_folder_are_not_followed(tmp_path: Path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.py").write_text("x = 1\n")
    (inside / "file.py").symlink_to(outside / "secret.py")
    (inside / "folder").symlink_to(outside)
    assert read_folder(inside).files == {}
