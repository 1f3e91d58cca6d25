"""The registry: states and rollback, and that nothing damaged is ever served."""

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from inkling.errors import UserError
from model.adapters import KEPT_CHAMPIONS, Registry, RegistryError
from model.registry_file import read_contents, write_contents

BASE = "tiny"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


@pytest.fixture
def finished(registry: Registry) -> Callable[[str], Path]:
    """Makes a PEFT folder as a night leaves it; `content` stands for its weights."""

    def make(content: str) -> Path:
        folder = registry.folder / ".runs" / content
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
        (folder / "adapter_model.safetensors").write_bytes(content.encode())
        return folder

    return make


def test_without_a_registry_the_bare_base_is_served(registry: Registry) -> None:
    assert registry.champion(BASE) is None
    assert registry.list() == []
    assert registry.stamp() is None
    assert not registry.folder.exists()


def test_candidates_are_named_by_their_night_and_are_not_served(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    noon = 1795600800.0
    names = [registry.add_candidate(finished(str(number)), base=BASE, at=noon).name for number in range(28)]
    assert names[0].startswith("night-2026-11-2")
    assert [name.rsplit("-", 1)[1] for name in (names[0], names[1], names[25], names[26])] == ["a", "b", "z", "za"]
    assert names == sorted(names)
    assert registry.champion(BASE) is None


def test_a_promotion_changes_the_stamp_and_serves_the_adapter(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    name = registry.add_candidate(finished("one"), base=BASE).name
    stamp = registry.stamp()
    registry.promote(name)
    champion = registry.champion(BASE)
    assert champion is not None
    assert (champion.name, champion.state) == (name, "champion")
    assert (champion.folder / "adapter_model.safetensors").read_bytes() == b"one"
    assert registry.stamp() != stamp
    assert registry.champion("another base") is None


def test_rollback_goes_back_one_champion_at_a_time_to_the_bare_base(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    for name in ("one", "two"):
        registry.promote(registry.add_candidate(finished(name), base=BASE, name=name).name)
    assert registry.history(BASE) == (None, "one", "two")
    back = registry.rollback(BASE)
    assert back is not None
    assert (back.name, registry.get("two").state) == ("one", "retired")
    assert registry.rollback(BASE) is None
    assert registry.champion(BASE) is None
    with pytest.raises(RegistryError, match="nothing to roll back to"):
        registry.rollback(BASE)


def test_a_rollback_goes_past_what_cannot_be_served(registry: Registry, finished: Callable[[str], Path]) -> None:
    for name in ("one", "two", "three"):
        registry.introduce(registry.add_candidate(finished(name), base=BASE, name=name).name, 1.0)
    (registry.get("two").folder / "adapter_model.safetensors").unlink()
    trial = registry.trial(BASE)
    assert trial is not None
    assert registry.settle(trial, keep=False)  # a worse one must not stay because the one before it is damaged
    champion = registry.champion(BASE)
    assert champion is not None
    assert (champion.name, registry.history(BASE)) == ("one", (None, "one"))


def test_the_last_champions_are_kept_for_rollback(registry: Registry, finished: Callable[[str], Path]) -> None:
    for number in range(8):
        name = f"n{number}"
        registry.promote(registry.add_candidate(finished(name), base=BASE, name=name).name)
    assert registry.history(BASE) == tuple(f"n{number}" for number in range(8 - KEPT_CHAMPIONS - 1, 8))


def test_a_retired_adapter_is_never_rolled_back_to(registry: Registry, finished: Callable[[str], Path]) -> None:
    for name in ("one", "two"):
        registry.promote(registry.add_candidate(finished(name), base=BASE, name=name).name)
    registry.retire("one")
    assert registry.rollback(BASE) is None


def test_a_champion_of_two_times_whose_rival_was_retired_is_rolled_back_past_both(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    for name in ("one", "two"):
        registry.promote(registry.add_candidate(finished(name), base=BASE, name=name).name)
    registry.promote("one")
    registry.retire("two")
    assert registry.history(BASE) == (None, "one")
    assert registry.rollback(BASE) is None
    assert (registry.champion(BASE), registry.get("one").state) == (None, "retired")


def test_a_history_that_names_one_twice_in_a_row_can_be_rolled_back(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name)
    raw = json.loads(registry.path.read_text())
    raw["champions"][BASE] = [None, "one", "one"]  # as earlier versions wrote it
    registry.path.write_text(json.dumps(raw))
    back = registry.rollback(BASE)
    assert back is not None
    assert (back.name, back.state, registry.history(BASE)) == ("one", "champion", (None, "one"))


def test_what_contradicts_itself_is_not_written(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name)
    before = registry.path.read_bytes()
    contents = read_contents(registry.path)
    contents.champions[BASE] = [None]
    with pytest.raises(RegistryError, match="stays as it is"):
        write_contents(registry.path, contents)
    assert registry.path.read_bytes() == before


def test_the_champion_cannot_be_retired(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name)
    with pytest.raises(RegistryError, match="roll it back"):
        registry.retire("one")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 9, "adapters": {}, "champions": {}}',
        '{"version": 1, "adapters": {}, "champions": {"tiny": ["gone"]}}',
        '{"version": 1, "adapters": {"../x": {"base": "t", "state": "retired", "at": 0}}, "champions": {}}',
        '{"version": 1, "adapters": {"x": {"base": "t", "state": "good", "at": 0, "digest": ""}}, "champions": {}}',
        '{"version": 1, "adapters": {"x": {"base": "t", "state": "champion", "at": 0, "digest": ""}}, "champions": {}}',
        "\x00\x00",
    ],
)
def test_a_damaged_registry_is_one_clear_error(registry: Registry, content: str) -> None:
    registry.folder.mkdir()
    registry.path.write_text(content)
    for call in (registry.list, lambda: registry.champion(BASE), lambda: registry.rollback(BASE)):
        with pytest.raises(UserError, match="is damaged"):
            call()
    assert registry.path.read_text() == content


def test_changed_weights_are_not_served(registry: Registry, finished: Callable[[str], Path]) -> None:
    folder = registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name).folder
    (folder / "adapter_model.safetensors").write_bytes(b"on")
    with pytest.raises(RegistryError, match="are not the ones that were registered"):
        registry.champion(BASE)


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_not_served_but_can_be_rolled_back(
    registry: Registry, finished: Callable[[str], Path], missing: str
) -> None:
    folder = registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name).folder
    (folder / missing).unlink()
    with pytest.raises(RegistryError, match=r"one cannot be served.*inkling models rollback"):
        registry.champion(BASE)
    assert registry.rollback(BASE) is None
    assert registry.champion(BASE) is None


def test_only_a_whole_lora_becomes_a_candidate(registry: Registry, finished: Callable[[str], Path]) -> None:
    folder = finished("one")
    (folder / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    with pytest.raises(RegistryError, match="expected a LoRA"):
        registry.add_candidate(folder, base=BASE)
    assert registry.list() == []


def test_a_name_that_leaves_the_folder_is_refused(registry: Registry, finished: Callable[[str], Path]) -> None:
    with pytest.raises(RegistryError, match="is no adapter name"):
        registry.add_candidate(finished("one"), base=BASE, name="../one")


def _promote_and_die(folder: Path, name: str) -> None:
    """Dies between the temporary file and the rename, as a power cut would."""
    Path.replace = lambda self, target: os._exit(9)  # type: ignore[method-assign,assignment]
    Registry(folder).promote(name)


def test_a_crash_before_the_rename_leaves_the_old_registry(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(registry.add_candidate(finished("one"), base=BASE, name="one").name)
    registry.add_candidate(finished("two"), base=BASE, name="two")
    child = multiprocessing.get_context("fork").Process(target=_promote_and_die, args=(registry.folder, "two"))
    child.start()
    child.join()
    assert child.exitcode == 9
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == "one"
    assert registry.promote("two").state == "champion"  # the dead process left no lock behind


def _add(folder: Path, source: Path) -> None:
    Registry(folder).add_candidate(source, base=BASE)


def test_processes_that_add_at_once_lose_nothing(registry: Registry, finished: Callable[[str], Path]) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_add, args=(registry.folder, finished(str(number)))) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 6
    assert len(registry.list()) == 6


def candidate(registry: Registry, finished: Callable[[str], Path], name: str) -> str:
    return registry.add_candidate(finished(name), base=BASE, name=name).name


def served(registry: Registry, session: str) -> str | None:
    adapter = registry.serving(BASE, session)
    return adapter.name if adapter is not None else None


SESSIONS = [f"session-{number}" for number in range(400)]


def test_a_canary_is_served_to_its_share_of_sessions_and_each_keeps_what_it_got(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    registry.promote(candidate(registry, finished, "old"))
    assert registry.introduce(candidate(registry, finished, "new"), 0.25).state == "canary"
    first = [served(registry, session) for session in SESSIONS]
    assert first == [served(registry, session) for session in SESSIONS]
    assert 60 <= first.count("new") <= 140
    assert first.count("old") == len(SESSIONS) - first.count("new")
    champion = registry.champion(BASE)
    assert champion is not None
    assert champion.name == "old"


def test_another_canary_gets_other_sessions(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.introduce(candidate(registry, finished, "one"), 0.5)
    ones = {session for session in SESSIONS if served(registry, session) == "one"}
    registry.introduce(candidate(registry, finished, "two"), 0.5)
    twos = {session for session in SESSIONS if served(registry, session) == "two"}
    assert registry.get("one").state == "retired"
    assert 0 < len(ones & twos) < len(ones)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_canary_stage_it_is_champion_at_once_and_watched(
    registry: Registry, finished: Callable[[str], Path], share: float
) -> None:
    registry.introduce(candidate(registry, finished, "new"), share)
    assert {served(registry, session) for session in SESSIONS} == {"new"}
    trial = registry.trial(BASE)
    assert trial is not None
    assert (trial.adapter, trial.against, trial.share) == ("new", None, 1.0)


def test_a_canary_that_proved_itself_becomes_champion_and_is_watched_on(
    registry: Registry, finished: Callable[[str], Path]
) -> None:
    registry.promote(candidate(registry, finished, "old"))
    registry.introduce(candidate(registry, finished, "new"), 0.5)
    trial = registry.trial(BASE)
    assert trial is not None
    assert registry.settle(trial, keep=True)
    assert {served(registry, session) for session in SESSIONS} == {"new"}
    watched = registry.trial(BASE)
    assert watched is not None
    assert (watched.against, watched.share) == ("old", 1.0)
    assert registry.settle(watched, keep=False)
    assert {served(registry, session) for session in SESSIONS} == {"old"}
    assert (registry.get("new").state, registry.trial(BASE)) == ("retired", None)


def test_a_trial_is_settled_once_whoever_looks_first(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(candidate(registry, finished, "older"))
    registry.promote(candidate(registry, finished, "old"))
    registry.introduce(candidate(registry, finished, "new"), 1.0)
    trial = registry.trial(BASE)
    assert trial is not None
    assert [registry.settle(trial, keep=False) for _ in range(2)] == [True, False]
    assert {served(registry, session) for session in SESSIONS} == {"old"}


def test_who_decides_by_hand_ends_the_trial(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(candidate(registry, finished, "old"))
    registry.introduce(candidate(registry, finished, "new"), 0.5)
    back = registry.rollback(BASE)
    assert back is not None
    assert (back.name, registry.get("new").state, registry.trial(BASE)) == ("old", "retired", None)
    registry.promote("new")
    assert registry.trial(BASE) is None
    assert {served(registry, session) for session in SESSIONS} == {"new"}


def test_a_damaged_canary_is_left_out(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(candidate(registry, finished, "old"))
    folder = registry.introduce(candidate(registry, finished, "new"), 0.9).folder
    (folder / "adapter_model.safetensors").write_bytes(b"other bytes")
    assert {served(registry, session) for session in SESSIONS} == {"old"}
    trial = registry.trial(BASE)
    assert trial is not None
    with pytest.raises(RegistryError):
        registry.settle(trial, keep=True)
    assert (registry.trial(BASE), served(registry, "any")) == (trial, "old")


def test_who_promotes_what_is_watched_ends_the_watch(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.introduce(candidate(registry, finished, "new"), 1.0)
    assert registry.promote("new").state == "champion"
    assert registry.trial(BASE) is None
    assert registry.history(BASE) == (None, "new")


def test_what_live_figures_led_to_stands_in_the_record(registry: Registry, finished: Callable[[str], Path]) -> None:
    name = candidate(registry, finished, "new")
    (registry.get(name).folder / "record.json").write_text('{"status": "promoted"}')
    registry.note_live(name, {"decision": "promoted"})
    registry.note_live(name, {"decision": "taken back"})
    assert registry.record(name) == {
        "status": "promoted",
        "live": [{"decision": "promoted"}, {"decision": "taken back"}],
    }


def test_who_notes_at_once_loses_nothing(registry: Registry, finished: Callable[[str], Path]) -> None:
    name = candidate(registry, finished, "new")
    notes = [Thread(target=registry.note_live, args=(name, {"number": number})) for number in range(8)]
    for note in notes:
        note.start()
    for note in notes:
        note.join()
    assert sorted(note["number"] for note in registry.record(name)["live"]) == list(range(8))


def test_a_renamed_champion_is_served_under_its_new_name(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(candidate(registry, finished, "old"))
    registry.promote(candidate(registry, finished, "new"))
    folder = registry.get("new").folder
    registry.rename("new", "better")
    assert served(registry, "any") == "better"
    assert registry.history(BASE) == (None, "old", "better")
    assert not folder.exists()
    with pytest.raises(RegistryError, match="already an adapter old"):
        registry.rename("better", "old")
    registry.introduce(candidate(registry, finished, "third"), 0.5)
    with pytest.raises(RegistryError, match="on trial"):
        registry.rename("third", "other")
    with pytest.raises(RegistryError, match="compared with it"):
        registry.rename("better", "other")


def test_a_registry_from_before_there_were_trials_is_read(registry: Registry, finished: Callable[[str], Path]) -> None:
    registry.promote(candidate(registry, finished, "old"))
    raw = json.loads(registry.path.read_text())
    del raw["trials"]
    registry.path.write_text(json.dumps(raw))
    assert served(registry, "any") == "old"
