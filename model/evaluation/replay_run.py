"""One run of `inkling eval replay`: histories and settings in, one report out, resumable at every step.

It checks what is asked for, has it done in one process or in several, and describes it; it prints nothing. What always
holds: what is finished is on disk before the next unit begins, and is not done again.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inkling.folders import cache_folder
from model.adapters import check_folder
from model.evaluation.cache_evaluation import usable_cores
from model.evaluation.cache_report import without_nan
from model.evaluation.replay_arms import ARMS, arm_named
from model.evaluation.replay_pace import Tell
from model.evaluation.replay_report import report
from model.evaluation.replay_settings import ArmsError, ReplaySettings
from model.evaluation.replay_sources import Source, of_package, of_repository, unique
from model.evaluation.replay_store import Store
from model.evaluation.replay_units import Plan, Replay
from model.evaluation.replay_user import RULE
from model.evaluation.replay_workers import share
from model.shipped import METADATA_FILE, Shipped, read_shipped, shipped
from model.weights import resolve

_FORMAT = 3  # of the results on disk
_MODEL = Path(__file__).resolve().parents[1]


def evaluate(settings: ReplaySettings, tell: Tell, *, so_far: bool = False) -> dict[str, Any]:
    """The report, ready for JSON. What an earlier run of the same code with the same settings and texts had finished is
    taken from disk.

    `so_far`: nothing is run; the report is of the users and arms that are finished.
    """
    plan = _plan(settings)
    described = _described(settings, plan.anchor, plan.sources)
    out = settings.out or cache_folder() / "replay" / _key(described)
    with Store(out, described, reading=so_far) as store:
        replay = Replay(plan, store, tell)
        if so_far:
            replay.leave_unfinished()
        elif settings.workers > 1:
            for tasks in replay.phases():
                share(plan, tasks, store.folder, store.done, replay.finished)
        else:
            for task in replay.in_order():
                replay.do(task)
        found = report(replay.results())
    known = _known(plan.anchor, plan.sources)
    asked = {**described, "arms": settings.arms}
    made = {"rule": RULE, "results": str(out), **asked, **_machine(plan, replay), "trained_on": known}
    plain: dict[str, Any] = without_nan({**found, "settings": made})
    return plain


def _plan(settings: ReplaySettings) -> Plan:
    """What is asked for, if it can be done."""
    unknown = sorted(set(settings.arms) - {arm.name for arm in ARMS})
    if unknown or "frozen" not in settings.arms:
        raise ArmsError(
            f"Arms are {', '.join(arm.name for arm in ARMS)}; frozen has to be among them. Found {unknown}."
        )
    folder = resolve(settings.base)
    anchor = _anchor(settings)
    sources = [of_package(text) for text in settings.packages]
    sources += [of_repository(path, settings.days + 1, settings.commits) for path in settings.repositories]
    unique(sources)
    if "nightly" not in settings.arms and ("alone" in settings.arms or ("wrong" in settings.arms and len(sources) > 1)):
        raise ArmsError("The arms alone and wrong serve what nights made: leave them out, or add the arm nightly.")
    if not sources:
        raise ArmsError("Nothing to replay: name a package with versions, or a repository with --git.")
    return Plan(settings, folder, anchor, tuple(sources))


def _anchor(settings: ReplaySettings) -> Shipped | None:
    if settings.adapter == "none":
        return None
    if settings.adapter == "shipped":
        return shipped(settings.base)
    folder = Path(settings.adapter).expanduser()
    if not (folder / METADATA_FILE).is_file():
        raise ArmsError(f"{folder} has no {METADATA_FILE}. Expected shipped, none, or what `inkling pretrain` made.")
    return read_shipped(folder)


def _described(settings: ReplaySettings, anchor: Shipped | None, sources: Sequence[Source]) -> dict[str, Any]:
    """What decides about results: the same description, the same results. Seeds and extra arms may be added later."""
    asked = asdict(replace(settings, packages=(), repositories=(), out=None))
    left_out = ("packages", "repositories", "out", "threads", "workers", "seeds")
    return {
        **{name: value for name, value in asked.items() if name not in left_out},
        "arms": tuple(name for name in settings.arms if not arm_named(name).extra),
        "format": _FORMAT,
        "anchor": check_folder(anchor.folder) if anchor is not None else None,
        "histories": {source.name: source.versions for source in sources},
        "texts": {source.name: source.digest for source in sources},
        "inkling": _version("inkling"),
        "code": code_digest(_MODEL, _MODEL.parent / "feedback"),
    }


def code_digest(*folders: Path) -> str:
    """sha256 of the modules in these folders by path, without those that only report on results."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            if not file.name.endswith("_report.py"):
                data = file.read_bytes()
                digest.update(f"{file.relative_to(folder.parent).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _known(anchor: Shipped | None, sources: Sequence[Source]) -> list[str]:
    """The packages that the adapter under all arms was trained on: figures of theirs prove little."""
    if anchor is None:
        return []
    record = json.loads((anchor.folder / METADATA_FILE).read_text(encoding="utf-8"))
    corpus = {package["name"] for package in record.get("corpus", ()) if not package.get("held_out")}
    return [source.name for source in sources if source.name in corpus]


def _machine(plan: Plan, replay: Replay) -> dict[str, Any]:
    return {
        "seeds": plan.settings.seeds,
        "threads": plan.threads,
        "workers": plan.settings.workers,
        "runtime": replay.served.runtime or None,
        "cores": usable_cores(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in ("inkling", "torch", "transformers", "peft", "onnxruntime")},
    }


def _key(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
