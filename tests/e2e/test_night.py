"""`inkling night` as a person and the server start it: a process over a real feedback database."""

import json
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feedback.consent import Consent, Consents, set_consent
from feedback.database import open_database
from feedback.examples import Example
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Settled, Suggestion
from feedback.retention import Keep, prune
from inkling.folders import adapters_folder, data_folder, feedback_database
from inkling.process import command, environment
from model.adapters import RUNS_FOLDER, Registry
from server.night import LOCK_FILE, NightError, duration
from server.nights.record_page import PAGE_FILE
from tests.unit.training.tiny_language import OTHER_HABITS, make_base, written

WORKSPACE = "/home/somebody/project"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny base, as `--base` takes it."""
    folder = tmp_path_factory.mktemp("tiny-base")
    make_base(folder)
    return f"path:{folder}"


def remember(examples: Iterable[Example], workspace: str = WORKSPACE) -> None:
    """Record these as the server would have: a suggestion that was shown, rejected, and what was written instead."""
    consents = Consents(feedback_database())
    consents.set(workspace, Consent.LOCAL)
    recorder = Recorder(feedback_database(), consents, lambda path: False)
    for one in examples:
        suggestion = Suggestion(
            id=one.id,
            at=one.at,
            workspace=workspace,
            path=one.path,
            language=one.language,
            version=1,
            line=1,
            column=2,
            prefix=one.prefix,
            suffix=one.suffix,
            text="nothing",
            documents=(),
            logprobs=(-0.5,),
            base="tiny",
            adapter=None,
            seconds=0.05,
        )
        recorder.record(suggestion)
        recorder.record(Decision(one.id, one.at, True, None, 1.0, "eager"))
        recorder.record(Outcome(one.id, one.at, "rejected", 0, "typed something else", 1.0))
        recorder.record(Settled(one.id, one.at, one.target))
    assert recorder.close(30)
    consents.close()


def start(*options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("night", "--json", *options),
        stdout=subprocess.PIPE,
        text=True,
        env=environment({"OMP_NUM_THREADS": "1"}),
    )


def lines(child: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    for line in child.stdout:
        yield json.loads(line)


def ended(child: "subprocess.Popen[str]") -> tuple[int, dict[str, Any]]:
    """The exit code and the last line of a night."""
    last = list(lines(child))[-1]
    return child.wait(), last


def test_a_night_ends_in_a_verdict_that_the_registry_agrees_with(base: str) -> None:
    remember(written(OTHER_HABITS, 60))
    child = start("--base", base, "--minimum-regions", "40")
    said = list(lines(child))
    assert child.wait() == 0
    assert list(dict.fromkeys(line["phase"] for line in said))[:2] == ["gate", "prepare"]
    assert said[-1]["phase"] == "verdict"
    assert said[-1]["status"] in {"promoted", "refused"}
    assert said[-1]["figures"]["later_after"] < said[-1]["figures"]["later_before"]
    registry = Registry(adapters_folder())
    (adapter,) = registry.list()
    assert adapter.name == said[-1]["adapter"]
    assert adapter.state == ("canary" if said[-1]["status"] == "promoted" else "candidate")
    assert (adapter.folder / PAGE_FILE).exists()


def test_nights_take_turns_and_one_that_was_cancelled_and_killed_is_gone_on_with(base: str) -> None:
    remember(written(OTHER_HABITS, 200))
    options = ("--base", base, "--minimum-regions", "40")
    first = start(*options)
    running = lines(first)
    assert any(line["phase"] == "train" for line in running)
    code, second = ended(start(*options))
    assert (code, second["code"]) == (2, "error")
    assert "Another night is running" in second["reason"]
    first.send_signal(signal.SIGTERM)
    last = list(running)[-1]
    assert (first.wait(), last["status"]) == (130, "cancelled")
    killed = start(*options)
    assert any(line["phase"] == "train" for line in lines(killed))
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    newer = [replace(one, at=time.time()) for one in written(OTHER_HABITS, 10, start=500)]
    remember(newer)  # the night goes on with what it began with
    remember(written(OTHER_HABITS, 5, start=700))  # as a team's members tell late what settled before it began
    database = open_database(feedback_database())
    assert prune(database, Keep()) == 0
    code, third = ended(start(*options))
    assert code == 0
    assert third["figures"]["resumed_at"] > 0
    assert prune(database, Keep()) > 0
    database.dispose()


def test_a_killed_night_blocks_no_later_one(base: str) -> None:
    remember(written(OTHER_HABITS, 200))
    first = start("--base", base, "--minimum-regions", "40")
    assert any(line["phase"] == "train" for line in lines(first))
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert (data_folder() / LOCK_FILE).exists()
    code, last = ended(start("--base", base, "--minimum-regions", "40", "--dry-run"))
    assert (code, last["status"]) == (0, "planned")


def test_a_night_waits_for_the_canary_and_then_makes_it_champion(base: str) -> None:
    registry = Registry(adapters_folder())
    folder = registry.folder / RUNS_FOLDER / "one"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    registry.introduce(registry.add_candidate(folder, base=base, name="one").name, 0.5)
    code, last = ended(start("--base", base, "--stages", "sft"))
    assert (code, last["status"], last["code"]) == (3, "skipped", "on_trial")
    assert "`inkling models promote one` keeps it" in last["reason"]
    assert registry.get("one").state == "canary"
    raw = json.loads(registry.path.read_text())
    raw["trials"][base]["since"] -= 3 * 86_400  # and no server has run since
    registry.path.write_text(json.dumps(raw))
    code, last = ended(start("--base", base, "--stages", "sft"))
    assert (code, last["code"]) == (3, "not_enough_data")
    assert registry.history(base) == (None, "one")


def test_a_night_without_enough_data_says_how_much_is_needed(base: str) -> None:
    code, last = ended(start("--base", base))
    assert (code, last["code"]) == (3, "not_enough_data")
    assert "sft needs 300 settled regions, 0 are usable" in last["reason"]
    assert not feedback_database().exists()


def test_nothing_is_trained_on_once_consent_is_withdrawn(base: str) -> None:
    remember(written(OTHER_HABITS, 60))
    set_consent(WORKSPACE, Consent.OFF, feedback_database())
    code, last = ended(start("--base", base, "--minimum-regions", "40"))
    assert (code, last["code"]) == (3, "not_enough_data")


def test_a_missing_base_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    code, last = ended(start("--base", f"path:{tmp_path}"))
    assert (code, last["code"]) == (2, "error")
    assert "config.json" in last["reason"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("20m", 1200), ("1h30m", 5400), (" 2H ", 7200), ("1h5s", 3605)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "soon", "-5m", "5 minutes", "1.5h", "5m1h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(NightError, match="write it like"):
        duration(text)


LINES = (
    ("def area(width, height):\n    ", "return width * height"),
    ("for name in sorted(names):\n    ", "print(name)"),
    ("with open(path) as file:\n    ", "text = file.read()"),
    ("def is_even(number):\n    ", "return number % 2 == 0"),
    ("try:\n    value = int(text)\n", "except ValueError:"),
    ("class Point:\n    def __init__(self, x, y):\n        ", "self.x = x"),
    ("import json\n\nwith open(path) as file:\n    ", "data = json.load(file)"),
    ("def first(items):\n    ", "return items[0] if items else None"),
    ("if not path.exists():\n    ", "raise FileNotFoundError(path)"),
    ("total = 0\nfor price in prices:\n    ", "total += price"),
    ("names = [", "person.name for person in people]"),
    ("def greet(name):\n    ", 'return f"Hello, {name}!"'),
)


@pytest.mark.weights
@pytest.mark.slow
def test_a_short_night_on_the_default_base() -> None:
    shape = written(OTHER_HABITS, 1)[0]
    remember(
        Example(**{**vars(shape), "id": f"line-{number}", "at": float(number), "prefix": prefix, "target": target})
        for number, (prefix, target) in enumerate(LINES)
    )
    code, last = ended(start("--minimum-regions", "10", "--budget", "20s"))
    assert code == 0
    assert last["status"] in {"promoted", "refused"}
    assert last["figures"]["steps"] >= 2
    assert (last["figures"]["training"], last["figures"]["later"]) == (8, 4)
