"""The `inkling` command, as a person and as a program use it: help with examples, exit codes, JSON."""

import asyncio
import json
import socket
import subprocess
import time
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from feedback.consent import Consent, Consents
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Suggestion
from inkling.folders import feedback_database
from inkling.process import command, environment

COMMANDS = [
    ("serve",), ("mcp",), ("tour",), ("doctor",), ("index",), ("search",), ("complete",), ("check",), ("night",),
    ("consent",),
    ("models", "pull"), ("models", "list"), ("models", "promote"), ("models", "rollback"), ("models", "retire"),
    ("feedback", "stats"), ("feedback", "list"), ("feedback", "show"), ("feedback", "export"), ("feedback", "erase"),
]  # fmt: skip


def inkling(*arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(name: tuple[str, ...]):
    told = inkling(*name, "--help")
    assert told.returncode == 0
    assert "Example" in told.stdout
    assert f"inkling {' '.join(name)}" in told.stdout


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['inkling', '--help']\n"
        "from inkling.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'faiss', 'sqlalchemy'} & set(sys.modules)))"
    )
    asked = [*command()[:-2], "-c", code]
    told = subprocess.run(asked, env=environment(), capture_output=True, text=True, check=True)
    assert told.stdout.strip().endswith("[]")


def test_a_mistake_is_one_line_and_ends_with_two(tmp_path: Path):
    (tmp_path / ".env").write_text("KEY=1\n")
    for arguments in (
        ("models", "promote", "nobody"), ("complete", str(tmp_path / "no.py:1")), ("consent", "maybe"),
        ("complete", str(tmp_path / ".env:1")),
    ):  # fmt: skip
        done = inkling(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("inkling: ")


def test_findings_end_with_one_and_a_clean_file_with_nought(tmp_path: Path):
    file = tmp_path / "a.py"
    file.write_text("import os\n")
    done = inkling("check", str(file), "--json")
    assert done.returncode == 1
    assert [finding["code"] for finding in json.loads(done.stdout)] == ["F401"]
    file.write_text("print(1)\n")
    assert inkling("check", str(file)).returncode == 0
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    (home / "config" / "settings.toml").write_text("[linters]\nruff = false\n")
    file.write_text("import os\n")
    assert inkling("check", str(file), INKLING_HOME=str(home)).returncode == 0, "the user's own linters, no others"


def test_consent_is_chosen_and_told(tmp_path: Path):
    assert json.loads(inkling("consent", "--json", cwd=tmp_path).stdout) == {}
    assert inkling("consent", "local", cwd=tmp_path).returncode == 0
    assert json.loads(inkling("consent", "--json", cwd=tmp_path).stdout) == {str(tmp_path): "local"}


def test_feedback_is_counted_listed_shown_exported_and_erased(tmp_path: Path):
    assert json.loads(inkling("feedback", "stats", "--json").stdout) is None
    consents = Consents(feedback_database())
    consents.set(tmp_path, Consent.LOCAL)
    recorder = Recorder(feedback_database(), consents, lambda path: False)
    for number in range(3):
        suggestion = Suggestion(
            f"id{number}", 100.0 + number, str(tmp_path), f"{number}.py", "python", 1, 0, 4, "x = ", "\n", "1 + 1",
            (), (-0.1,), "base", None, 0.2,
        )  # fmt: skip
        recorder.record(suggestion)
        recorder.record(Decision(suggestion.id, 100.0, True, 0.5, 1.0, "rule"))
        recorder.record(Outcome(suggestion.id, 101.0, "accepted", 5, "rule", 1.0))
    assert recorder.close()
    consents.close()

    assert json.loads(inkling("feedback", "stats", "--json").stdout)["outcomes"] == {"accepted": 3}
    assert [row["id"] for row in json.loads(inkling("feedback", "list", "--json").stdout)] == ["id2", "id1", "id0"]
    assert "retention: " in inkling("feedback", "show", "id1").stdout
    assert len(inkling("feedback", "export").stdout.splitlines()) == 3
    assert inkling("feedback", "erase").returncode == 2
    assert "1 suggestions" in inkling("feedback", "erase", "--path", "1.py", "--yes").stderr
    assert json.loads(inkling("feedback", "stats", "--json").stdout)["suggestions"] == 2


def test_a_night_without_data_says_so_and_ends_with_three():
    done = inkling("night", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "skipped"


def test_a_repository_is_indexed_and_its_index_counted_from_the_shell(tmp_path: Path):
    (tmp_path / "a.py").write_text("def erupt():\n    return 'lava'\n")
    assert inkling("index", str(tmp_path), "--embedding", "none").returncode == 0
    told = inkling("index", str(tmp_path), "--embedding", "none", "--stats", "--json")
    held = json.loads(told.stdout)
    assert (held["files"], held["chunks"], held["symbols"], held["embedded"]) == (1, 1, 1, 0)


@pytest.mark.weights
@pytest.mark.slow
def test_a_file_is_completed_and_a_repository_searched_from_the_shell(tmp_path: Path):
    file = tmp_path / "loop.py"
    file.write_text("values = [1, 2, 3]\n\nfor i in ran\n")
    made = json.loads(inkling("complete", f"{file}:3", "--json").stdout)
    assert made["text"].startswith("ge(")
    hits = json.loads(inkling("search", "numbers to loop over", "--root", str(tmp_path), "--json").stdout)
    assert hits[0]["path"] == "loop.py"
    assert inkling("search", "x" * 10, "--root", str(tmp_path / "nowhere")).returncode == 2


async def test_the_server_can_be_reached_over_tcp_for_debugging(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(*command("serve", "--tcp", f"127.0.0.1:{port}"), env=environment())
    client = LanguageClient("test", "1")
    deadline = time.monotonic() + 60
    while True:
        try:
            await client.start_tcp("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    options = {"completion": {"enabled": False}, "index": {"enabled": False}}
    told = await client.initialize_async(
        lsp.InitializeParams(lsp.ClientCapabilities(), root_uri=tmp_path.as_uri(), initialization_options=options)
    )
    assert told.server_info
    assert told.server_info.name == "inkling"
    await client.shutdown_async(None)
    client.exit(None)
    assert await asyncio.wait_for(server.wait(), 30) == 0
