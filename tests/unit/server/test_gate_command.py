"""`inkling feedback gate` fits on what was decided, judges every mode, and refuses where there is too little."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path

from feedback.consent import Consent, Consents, set_consent
from feedback.recorder import Recorder
from feedback.records import Decision, Outcome, Settled, Suggestion
from inkling import folders
from inkling.process import command, environment
from model.completion import Completion, Cost
from model.gate import FittedGate, Gate, Situation
from model.training.gate import RECORD_FILE
from server.settings import gate_file

WORKSPACE = "/home/me/project"


def use(count: int) -> Path:
    """A user who takes what is offered at the start of a line, behind a gate that explores."""
    place = folders.feedback_database()
    set_consent(WORKSPACE, Consent.LOCAL, place)
    consents, chance = Consents(place), random.Random(1)
    recorder = Recorder(place, consents, lambda path: False, capacity=100_000)
    gate = Gate("balanced", chance=chance.random)
    for number in range(count):
        start = chance.random() < 0.5
        text = "x" * chance.randint(10, 40)
        made = Completion(text, (1, 2), (-0.4 * chance.random(),) * 2, "line", "b", None, Cost(0, 1, 1, 0.0, 0.0))
        decision = gate.decide(made, text, Situation("python", "" if start else "x = "))
        id = f"{number:05d}"
        recorder.record(
            Suggestion(
                id,
                float(number),
                WORKSPACE,
                f"{number % 20}.py",
                "python",
                1,
                0,
                0,
                "",
                "",
                text,
                (),
                (),
                "b",
                None,
                0.1,
            )
        )
        found = decision.features
        recorder.record(
            Decision(id, float(number), decision.shown, decision.p_accept, decision.propensity, decision.rule, found)
        )
        if decision.shown:
            taken = chance.random() < 1 / (1 + math.exp(-(3 if start else -3)))
            kind, length = ("accepted", len(text)) if taken else ("rejected", 0)
            recorder.record(Outcome(id, number + 1.0, kind, length, "client", 1.0))  # type: ignore[arg-type]
            recorder.record(Settled(id, number + 12.0, text if taken else "other"))
    assert recorder.flush(120)
    assert recorder.close(20)
    consents.close()
    return place


def gate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("feedback", "gate", *arguments), env=environment(), capture_output=True, text=True, check=False
    )


def test_it_fits_a_gate_and_judges_every_mode():
    use(640)
    done = gate("--fit", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fitted"]["loss"] < found["fitted"]["rule_loss"]
    assert FittedGate.load(gate_file()) is not None
    assert found["fit"]["status"] == "installed"
    assert found["fit"]["reward_low"] > 0
    assert found["decisions"] == 640
    assert set(found["modes"]) == {"eager", "balanced", "quiet"}
    assert all(one["decisions"] > 560 for one in found["modes"].values())
    assert 0 < found["calibrationError"] < 1


def test_a_night_of_the_gate_alone_says_what_it_came_to_and_keeps_it():
    use(640)
    done = subprocess.run(
        command("night", "--stages", "gate", "--json"), env=environment(), capture_output=True, text=True, check=False
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["status"], last["code"]) == (0, "promoted", "gate_installed"), done.stderr
    assert FittedGate.load(gate_file()) is not None
    assert json.loads(gate_file().with_name(RECORD_FILE).read_text()) == last["figures"]["gate"]
    again = subprocess.run(
        command("night", "--stages", "gate"), env=environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 3
    assert "newer than the gate that serves" in again.stdout


def test_without_what_trains_a_night_fits_the_gate_all_the_same():
    place = use(640)
    code = (
        "import sys; from model.training import packages; packages.NEEDED = ('inkling_has_no_such_package',); "
        f"from server.night import Plan, night; sys.exit(night({str(place)!r}, Plan('any', 20.0, 40), json=True))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment(), capture_output=True, text=True)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["status"]) == (2, "failed"), done.stderr
    assert "pip install" in last["reason"]
    assert "gate installed all the same" in last["reason"]
    assert FittedGate.load(gate_file()) is not None


def test_too_little_is_refused_and_the_written_rule_stays():
    use(40)
    done = gate("--fit")
    assert done.returncode == 3
    assert "needs 200" in " ".join(done.stdout.split())
    assert not gate_file().exists()
