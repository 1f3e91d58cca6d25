"""Which files are walked, what is left out, and that a hostile workspace runs nothing."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from index import files
from index.files import UnreadableError, is_secret, read, walk


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write(root: Path, name: str, text: str | bytes = "x = 1\n") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def names(root: Path) -> list[str]:
    return [file.path for file in walk(root).files]


@pytest.fixture(params=["git", "plain"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    if request.param == "git":
        git(folder, "init", "-q")
    return folder


def test_ignored_files_are_left_out_also_by_inner_rules(root: Path) -> None:
    write(root, ".gitignore", "*.log\n/build/\n")
    write(root, "sub/.gitignore", "!kept.log\nlocal.py\n")
    for name in ("a.py", "a.log", "build/b.py", "sub/build/c.py", "sub/kept.log", "sub/local.py"):
        write(root, name)
    assert names(root) == [".gitignore", "a.py", "sub/.gitignore", "sub/build/c.py", "sub/kept.log"]


def test_an_ignore_file_counts_also_if_a_program_wrote_it(root: Path) -> None:
    write(root, ".gitignore", "# This file is auto-generated, do not edit\n*.log\n")
    for name in ("a.py", "a.log"):
        write(root, name)
    assert names(root) == [".gitignore", "a.py"]


def test_an_empty_folder_has_no_files(root: Path) -> None:
    assert walk(root).files == []


def test_secret_files_are_left_out_and_counted(root: Path) -> None:
    for name in (".env", ".env.local", "server.pem", "id_rsa", "deploy/credentials.json", "home/.ssh/config", "a.py"):
        write(root, name)
    found = walk(root)
    assert [file.path for file in found.files] == ["a.py"]
    assert found.skipped["secret"] == 6


@pytest.mark.parametrize("name", [".aws", ".ssh", "home/.Docker/contexts"])
def test_a_folder_of_secrets_has_none_to_index_even_if_it_is_opened_itself(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"{name}/config")
    assert walk(tmp_path / name).skipped == {"secret": 1}


def test_a_folder_that_may_not_be_looked_into_stops_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.py", "closed/b.py"):
        write(root, name)
    real = os.stat

    def stat(path: os.PathLike[str] | str, *rest: object, **options: object) -> os.stat_result:
        if str(path).startswith(str(root / "closed")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    assert "a.py" in names(root)
    assert [file.path for file in walk(root, ["a.py", "closed/b.py", "closed/inner/c.py"]).files][:1] == ["a.py"]


def test_names_with_newlines_and_emoji_are_files_like_any_other(root: Path) -> None:
    for name in ("new\nline.py", "emoji 👍.py", "-c.py", "*.py", "ä.py"):
        write(root, name)
    assert set(names(root)) == {"new\nline.py", "emoji 👍.py", "-c.py", "*.py", "ä.py"}
    assert [file.path for file in walk(root, ["*.py"]).files] == ["*.py"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the file system refuses such names")
def test_a_name_that_is_not_utf8_is_left_out_and_counted(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("x = 1\n")
    write(root, "a.py")
    found = walk(root)
    assert [file.path for file in found.files] == ["a.py"]
    assert found.skipped["name is not UTF-8"] == 1


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/secret.txt", "outside")
    write(root, "a.py")
    (root / "file.txt").symlink_to(tmp_path / "outside/secret.txt")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    assert names(root) == ["a.py"]


def test_a_tracked_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write(root, "folder/a.txt")
    git(root, "init", "-q")
    git(root, "add", "-A")
    write(tmp_path, "outside/a.txt", "outside")
    (root / "folder/a.txt").unlink()
    (root / "folder").rmdir()
    (root / "folder").symlink_to(tmp_path / "outside")
    assert names(root) == []


def test_a_file_that_becomes_a_link_before_it_is_read_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside.txt", "outside")
    (tmp_path / "a.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(UnreadableError):
        read(tmp_path, "a.txt")


def test_a_repository_inside_a_repository_is_walked_by_its_own_rules(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write(root, "a.py")
    write(root, "inner/b.py")
    write(root, "inner/c.tmp")
    write(root, "inner/.gitignore", "*.tmp\n")
    git(root, "init", "-q")
    git(root / "inner", "init", "-q")
    assert names(root) == ["a.py", "inner/.gitignore", "inner/b.py"]
    assert [file.path for file in walk(root, ["inner/b.py", "inner/c.tmp"]).files] == ["inner/b.py"]


def test_a_folder_that_an_outer_repository_ignores_can_still_be_opened(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", "scratch/\n")
    write(tmp_path, "scratch/a.py")
    assert names(tmp_path / "scratch") == ["a.py"]


def test_what_an_outer_repository_ignores_is_no_part_of_an_opened_folder(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", "scratch/\ndist/\n")
    for name in ("sub/a.py", "sub/dist/b.js", "scratch/c.py"):
        write(tmp_path, name)
    assert walk(tmp_path / "sub", ["dist/b.js"]).files == []
    assert [file.path for file in walk(tmp_path / "sub", ["a.py", "dist/b.js"]).files] == ["a.py"]
    assert [file.path for file in walk(tmp_path / "scratch", ["c.py"]).files] == ["c.py"]


def test_a_pattern_of_many_stars_or_of_none_that_can_be_stops_no_walk(root: Path) -> None:
    write(root, ".gitignore", f"{'*a' * 30}*b\n[z-a]\n*.log\n")
    for name in ("a" * 200, "a.log"):
        write(root, name)
    assert names(root) == [".gitignore", "a" * 200]


def test_a_folder_inside_a_repository_is_walked_relative_to_itself(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, "a.py")
    write(tmp_path, "sub/b.py")
    assert names(tmp_path / "sub") == ["b.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="the planted programs are shell scripts")
def test_nothing_that_a_repository_configures_is_run(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write(root, "a.py")
    write(root, ".gitattributes", "*.py filter=planted\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    mark = tmp_path / "was run"
    program = write(tmp_path, "planted.sh", f"#!/bin/sh\ntouch '{mark}'\n")
    program.chmod(0o755)
    hook = root / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_bytes(program.read_bytes())
    hook.chmod(0o755)
    for setting in ("core.fsmonitor", "filter.planted.clean", "filter.planted.smudge", "core.pager", "core.editor",
                    "core.sshCommand", "diff.external", "alias.ls-files"):  # fmt: skip
        git(root, "config", setting, str(program))
    mark.unlink(missing_ok=True)
    os.utime(root / "a.py", (1, 1))
    assert names(root) == [".gitattributes", "a.py"]
    assert not mark.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the planted program is a shell script")
def test_a_git_in_the_workspace_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "bin/git", "#!/bin/sh\ntouch was-run\n").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert names(tmp_path) == ["bin/git"]
    assert not (tmp_path / "was-run").exists()


def test_variables_that_point_git_elsewhere_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = tmp_path / "workspace", tmp_path / "other"
    for folder in (root, other):
        write(folder, f"{folder.name}.py")
        git(folder, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert names(root) == ["workspace.py"]


def test_big_files_are_left_out(root: Path) -> None:
    write(root, "big.txt", b"line\n" * 1_000_000)
    assert walk(root).skipped == {"too big": 1}


def test_generated_names_are_left_out(root: Path) -> None:
    write(root, "app.min.js")
    write(root, "package-lock.json")
    assert walk(root).skipped == {"generated": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"MZ\0\0", "binary"),
        ("x" * (files.MAX_LINE + 1), "generated"),
        (b"a\n" * 600_000, "too big"),
    ],
)
def test_what_no_person_wrote_is_not_read(tmp_path: Path, content: str | bytes, reason: str) -> None:
    write(tmp_path, "a.txt", content)
    with pytest.raises(UnreadableError, match=reason):
        read(tmp_path, "a.txt")


@pytest.mark.parametrize(
    "top",
    [
        "// Code generated by protoc-gen-go. DO NOT EDIT.\n",
        "/**\n * @generated\n */\n",
        "# -*- coding: utf-8 -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!\n",
        "<!-- This file is auto-generated by make docs, do not edit -->\n",
        "// <auto-generated/>\n",
    ],
)
def test_what_a_program_says_it_wrote_is_not_read(tmp_path: Path, top: str) -> None:
    write(tmp_path, "a.txt", top + "code\n" * 9)
    with pytest.raises(UnreadableError, match="generated"):
        read(tmp_path, "a.txt")


@pytest.mark.parametrize(
    "text",
    ["def is_generated(text):\n    return '@generated' in text\n", "# Notes\n\nWhat is auto-generated can be edited.\n",
     "x = 1\n" * 400 + "# @generated\n"],
)  # fmt: skip
def test_what_only_speaks_of_generated_files_is_read(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a.txt", text)
    assert read(tmp_path, "a.txt").text == text


def test_a_file_of_two_gigabytes_is_never_opened(root: Path) -> None:
    with (root / "huge.bin").open("wb") as stream:
        stream.truncate(2 << 30)
    write(root, "a.py")
    assert names(root) == ["a.py"]
    with pytest.raises(UnreadableError, match="too big"):
        read(root, "huge.bin")


def test_of_a_binary_file_only_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Watched(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    write(tmp_path, "a.png", b"\0" * 500_000)
    monkeypatch.setattr(files.os, "fdopen", lambda descriptor, mode: Watched(io.FileIO(descriptor)))
    with pytest.raises(UnreadableError, match="binary"):
        read(tmp_path, "a.png")
    assert asked == [files.SNIFFED]


@pytest.mark.parametrize("inside", ["", "home/"])
def test_what_inkling_keeps_for_itself_is_no_part_of_a_workspace(
    root: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKLING_HOME", str(root / inside))
    for name in ("cache/index/b.txt", "data/held.json"):
        write(root, inside + name)
    write(root, "a.py")
    assert names(root) == ["a.py"]
    assert walk(root, ["a.py", f"{inside}cache/index/b.txt", f"{inside}data"]).files == walk(root).files
    assert names(root / inside / "cache/index") == []


def test_a_file_that_grows_while_it_is_read_is_read_again_later(tmp_path: Path) -> None:
    path = write(tmp_path, "a.py")
    before = walk(tmp_path).files[0]
    path.write_text("x = 1\ny = 2\n")
    assert walk(tmp_path).files[0] != before


def test_what_a_sparse_checkout_leaves_out_is_counted_not_missed(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write(root, "in/a.py")
    write(root, "out/b.py")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    git(root, "sparse-checkout", "set", "in")
    assert names(root) == ["in/a.py"]
    assert walk(root).skipped == {"gone": 1}


def test_a_submodule_is_walked(tmp_path: Path) -> None:
    inner, root = tmp_path / "inner", tmp_path / "workspace"
    for folder in (inner, root):
        write(folder, f"{folder.name}.py")
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "all")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    assert names(root) == [".gitmodules", "sub/inner.py", "workspace.py"]


def test_a_submodule_that_was_not_fetched_is_empty_and_asked_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.py")
    (tmp_path / "sub").mkdir()
    git(tmp_path, "init", "-q")
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    asked: list[Path] = []
    real = files.git.ask

    def ask(root: Path, *arguments: str) -> bytes | None:
        asked.append(root)
        return real(root, *arguments)

    monkeypatch.setattr(files.git, "ask", ask)
    found = walk(tmp_path)
    assert ([file.path for file in found.files], found.notes, asked) == (["a.py"], [], [tmp_path])
    write(tmp_path, "sub/b.py")
    assert names(tmp_path / "sub") == ["b.py"], "opened on purpose"


def test_a_submodule_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    inner, root = tmp_path / "inner", tmp_path / "workspace"
    for folder in (inner, root):
        write(folder, f"{folder.name}.py")
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "all")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    (root / "sub").rename(tmp_path / "moved")
    (root / "sub").symlink_to(tmp_path / "moved")
    assert names(root) == [".gitmodules", "workspace.py"]


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="gone"):
        read(tmp_path, "a.txt")


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UnreadableError, match="not a plain file"):
        read(tmp_path, "pipe.txt")
    assert walk(tmp_path).files == []


def test_text_is_utf8_without_its_mark_or_else_latin1(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "\ufeffnaïve".encode())
    write(tmp_path, "b.txt", "naïve".encode("latin-1"))
    assert read(tmp_path, "a.txt") == files.Text("naïve", "utf-8")
    assert read(tmp_path, "b.txt") == files.Text("naïve", "latin-1")


@pytest.mark.parametrize(
    "path",
    [".env", "a/.env.production", "A/KEY.PEM", "c:\\x\\id_rsa", "id_ed25519.pub", ".netrc", "credentials", "x.p12",
     "vault.kdbx", "deploy.key", "/home/a/.aws/config", ".npmrc", "secrets.yaml", "tls.crt", ".ENV ", ".env."],
)  # fmt: skip
def test_secret_names_are_secret(path: str) -> None:
    assert is_secret(path)


@pytest.mark.parametrize("path", ["environment.py", "env/a.py", "keys.py", "monkey.py", "secretary.md", "a.keynote.py"])
def test_plain_names_are_not_secret(path: str) -> None:
    assert not is_secret(path)
