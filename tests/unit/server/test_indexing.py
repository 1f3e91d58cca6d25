"""The indexing process as the server sees it: what it said last is what a person is told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.indexing import IndexProcess


async def test_why_it_cannot_start_is_told_in_its_own_words(
    tmp_path: Path, inkling_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.indexing._RESTARTS", 0)
    (inkling_home / "cache").write_text("no folder")
    ended: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def told(root: Path, message: dict[str, Any]) -> None:
        if message["phase"] == "stopped" and "1 times" in message["error"]:
            ended.set_result(message)

    process = IndexProcess(tmp_path, ["--embedding", "none"], told)
    process.start()
    message = await asyncio.wait_for(ended, 60)
    assert "Expected to write the index" in message["error"]
    assert "INKLING_HOME" in message["error"]
    assert process.status()["error"] == message["error"]
