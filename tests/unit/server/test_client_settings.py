"""The VS Code client declares the server's settings, with the server's own defaults."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from server.settings import Settings, merge

MANIFEST = Path(__file__).parents[3] / "vscode-client" / "package.json"
NOT_FOR_PEOPLE = {"trusted", "telemetry", "measureLoop", "feedback.database"} | {
    f"night.{name}" for name in ("tests", "runner", "workers", "machines", "address")
}
OF_THE_CLIENT = {"path", "interpreter", "install.source", "applyWithoutReview"}

pytestmark = pytest.mark.skipif(not MANIFEST.exists(), reason="the client is not part of a source distribution")


def declared() -> dict[str, Any]:
    sections = json.loads(MANIFEST.read_text(encoding="utf-8"))["contributes"]["configuration"]
    found = {name: entry["default"] for section in sections for name, entry in section["properties"].items()}
    return {name.removeprefix("inkling."): default for name, default in found.items()}


def known(values: Any, before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(values):
        name = before + re.sub(r"_(\w)", lambda part: part[1].upper(), field.name)
        value = getattr(values, field.name)
        found |= known(value, f"{name}.") if is_dataclass(value) else {name: value}
    return found


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_every_setting_of_the_server_can_be_set_in_the_editor_and_no_other():
    assert set(declared()) - OF_THE_CLIENT == set(known(Settings())) - NOT_FOR_PEOPLE


def test_the_editor_shows_the_defaults_that_the_server_has():
    ours, theirs = declared(), known(Settings())
    assert {name: ours[name] for name in ours if name in theirs} == {
        name: plain(theirs[name]) for name in ours if name in theirs
    }


def test_the_server_takes_every_default_that_the_editor_declares():
    groups: dict[str, dict[str, Any]] = {}
    for name, value in declared().items():
        if name not in OF_THE_CLIENT:
            group, _, key = name.partition(".")
            groups.setdefault(group, {})[key] = value
    assert merge(Settings(), groups) == (Settings(), [])
