"""The ring's far side: facts outlive a killed server, and a running one takes over a new champion by itself."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from feedback.consent import Consent, set_consent
from feedback.database import find_database
from feedback.history import statistics
from inkling.folders import adapters_folder, feedback_database, models_folder
from inkling.process import command, environment
from model.adapters import Registry
from tests.e2e.conftest import Connect, change_range, complete, insert, open_document, run, until
from tests.e2e.test_completion import EAGER, LOOP, ready

pytestmark = [pytest.mark.weights, pytest.mark.slow]
BASE = "smollm2-135m-instruct"


def make_adapter(folder: Path) -> Path:
    """A LoRA for the default base, small and random: enough to be served."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(models_folder() / BASE, dtype=torch.float32)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    tuned.save_pretrained(str(folder))
    return folder


def inkling(*arguments: str) -> str:
    """Run the command line; it must succeed."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, check=True, timeout=120
    ).stdout


async def test_a_running_server_switches_to_a_promoted_adapter_and_back(
    connect: Connect, project: Path, tmp_path: Path
):
    source = await asyncio.to_thread(make_adapter, tmp_path / "adapter")
    adapter = Registry(adapters_folder()).add_candidate(source, base=BASE)
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    (before,) = await complete(client, uri, 2, 12)

    await asyncio.to_thread(inkling, "models", "promote", adapter.name)
    await until(client, lambda found: found["model"]["adapter"] == adapter.name)
    await complete(client, uri, 2, 12)

    await asyncio.to_thread(inkling, "models", "rollback")
    await until(client, lambda found: found["model"]["adapter"] is None)
    insert(client, uri, 2, 0, 0, "\n")  # what was offered meanwhile is not gone on with
    change_range(client, uri, 3, (0, 0), (1, 0), "")
    (after,) = await complete(client, uri, 2, 12)
    assert after.insert_text == before.insert_text


async def test_a_running_server_takes_a_canary_and_gives_it_back(connect: Connect, project: Path, tmp_path: Path):
    source = await asyncio.to_thread(make_adapter, tmp_path / "adapter")
    registry = Registry(adapters_folder())
    adapter = registry.add_candidate(source, base=BASE)
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    (before,) = await complete(client, uri, 2, 12)

    registry.introduce(adapter.name, 0.999999)
    await until(client, lambda status: status["model"]["adapter"] == adapter.name)
    assert registry.champion(BASE) is None
    await complete(client, uri, 2, 12)

    trial = registry.trial(BASE)
    assert trial is not None
    assert registry.settle(trial, keep=False)
    await until(client, lambda status: status["model"]["adapter"] is None)
    insert(client, uri, 2, 0, 0, "\n")  # what was offered meanwhile is not gone on with
    change_range(client, uri, 3, (0, 0), (1, 0), "")
    (after,) = await complete(client, uri, 2, 12)
    assert after.insert_text == before.insert_text


async def test_facts_that_were_written_outlive_a_server_that_is_killed(connect: Connect, project: Path):
    set_consent(project, Consent.LOCAL)
    client, uri = await connect(project, EAGER), (project / "new.py").as_uri()
    await until(client, ready)
    open_document(client, uri, LOOP)
    (item,) = await complete(client, uri, 2, 12)
    await run(client, "inkling.dismiss", *item.command.arguments)
    written = (await until(client, lambda found: found["feedback"]["recorder"]["written"] >= 3))["feedback"]
    os.kill(client._server.pid, signal.SIGKILL)
    await client._server.wait()

    database = find_database(feedback_database())
    assert database is not None
    held = statistics(database)
    assert (held.suggestions, held.outcomes) == (1, {"rejected": 1})
    assert written["recorder"]["dropped"] == 0
