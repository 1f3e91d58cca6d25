"""A running server takes up a gate that another process wrote."""

import asyncio
from pathlib import Path

import pytest

from model.gate import FEATURES, FittedGate, Gate
from server.gate_watch import GateWatch


def fitted(bias: float) -> FittedGate:
    count = len(FEATURES)
    return FittedGate((0.0,) * count, (1.0,) * count, (0.0,) * count, bias, 1.0, 0.0, 200, 0.5, 0.6, 1.0)


async def until(condition: "asyncio.Event") -> None:
    await asyncio.wait_for(condition.wait(), 20)
    condition.clear()


@pytest.mark.asyncio
async def test_a_new_file_a_changed_one_and_one_that_is_gone_are_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    seen: list[str] = []
    told = asyncio.Event()

    def renew() -> None:
        seen.append(Gate("balanced", FittedGate.load(file)).by)
        told.set()

    watch = GateWatch(file, renew, seconds=0.01)
    watch.start()
    fitted(1.0).save(file)
    await until(told)
    fitted(2.0).save(file)
    await until(told)
    file.unlink()
    await until(told)
    watch.close()
    assert seen == ["fitted", "fitted", "rule"]
