"""What is kept of a night: its run folder while it goes on, its record, the candidate in the registry.

What always holds: adapter and record come into the registry together, as one candidate; the same night, that is the
same base, anchor, champion, data and training, is never run twice.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from inkling import __version__
from model.adapters import (
    CONFIG_FILE,
    RECORD_FILE,
    RUNS_FOLDER,
    Adapter,
    Registry,
    RegistryError,
    write_atomically,
)
from model.evaluation.comparison import Improvement, Measured
from model.lineage import ANCHOR, digest_of
from model.shipped import Shipped
from model.training.dataset import TrainingSequence, data_hash
from model.training.night_data import Data, NightOptions, how_preferred
from model.training.section_training import save_adapter
from model.training.sft import Trained
from model.training.verdict import Verdict, page

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One night under way."""

    base: str
    key: str
    folder: Path
    champion: Adapter | None
    anchor: Shipped | None
    options: NightOptions
    started: float  # Unix seconds

    @property
    def adapter(self) -> Path:
        """Where the finished adapter is written, before it is moved into the registry."""
        return self.folder / "adapter"


def run_key(base: str, anchor: Shipped | None, champion: Adapter | None, data: Data, options: NightOptions) -> str:
    """What makes two nights the same: base, anchor, champion, data and training; not how long it may take."""
    parts: list[Any] = [base, digest_of(anchor), name_of(champion), data_hash(data.training), data_hash(data.later)]
    method, _ = how_preferred(data, options)
    parts += [asdict(options.sft)]
    parts += [method, asdict(options.preference), len(data.pairs), len(data.judged)] if method is not None else []
    parts += [asdict(options.section), len(data.sections.usable)] if data.sections.usable else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def run_folder(registry: Registry, key: str) -> Path:
    """Where this night keeps its checkpoint. What earlier nights left that were never finished is removed."""
    runs, mine = registry.folder / RUNS_FOLDER, key[:16]
    for other in runs.iterdir() if runs.exists() else ():
        if other.name != mine:
            shutil.rmtree(other)
    return runs / mine


def same_night(registry: Registry, key: str, promote: Callable[[str], object]) -> Verdict | None:
    """What became of the night that was this one. Measuring the same data again and again would promote luck one day.

    One that was killed when it had kept its record, and had yet to promote what it made, does that now.
    """
    for adapter in registry.list():
        try:
            record = registry.record(adapter.name)
        except RegistryError as error:
            log.warning("the record of an adapter is passed over: %s", error)
            continue
        if record.get("key") != key:
            continue
        if (record["status"], adapter.state) == ("promoted", "candidate"):
            promote(adapter.name)
            return Verdict("promoted", record["code"], record["reason"], adapter.name, record["figures"])
        told = f"Nothing settled since {adapter.name}, which saw the same data: use inkling first."
        return Verdict("skipped", "nothing_new", told)
    return None


def figures_of(
    data: Data,
    gain: Improvement,
    decisive: Improvement,
    trained: Trained,
    before: Measured,
    after: Measured,
    margins: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """The figures of data, training and measuring. `margins` over wrong targets, before and after."""
    return {
        **data.figures,
        "steps": trained.steps,
        "planned_steps": trained.planned,
        "resumed_at": trained.resumed_at,
        "first_loss": trained.losses[0],
        "last_loss": float(np.mean(trained.losses[-3:])),
        "losses": [round(loss, 4) for loss in trained.losses],
        "training_seconds": trained.seconds,
        "tokens_per_second": trained.tokens_per_second,
        "later_before": gain.before,
        "later_after": gain.after,
        "gain": gain.mean,
        "gain_lower": _finite(gain.lower),
        "gain_upper": _finite(gain.upper),
        "robust_gain": decisive.mean,
        "robust_gain_lower": _finite(decisive.lower),
        "robust_gain_upper": _finite(decisive.upper),
        "exact_before": int(before.exact.sum()),
        "exact_after": int(after.exact.sum()),
        **{f"margin_{when}": float(found.mean()) if len(found) else None for when, found in margins.items()},
    }


def each_of(data: Data, before: Measured, after: Measured) -> dict[str, list[float]]:
    """What was measured of each later example, oldest first, so that others can judge by it; groups are numbers."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(data.groups))}
    sides = {"before": before, "after": after}
    return {"group": [float(numbers[group]) for group in data.groups]} | {
        f"{name}_{when}": [round(float(value), 6) for value in getattr(side, name)]
        for name in ("losses", "robust", "certainty")
        for when, side in sides.items()
    }


def keep(run: Run, data: Data, said: Mapping[str, Any], seconds: float, registry: Registry) -> Adapter:
    """Write the record beside the adapter in the run folder, then move both into the registry as one candidate.

    `said`: status, code, reason, figures, and `each_of` the later examples.
    """
    written = data.sections.usable if "steps" in said["figures"]["section"] else ()
    rows = _trained_on(data, said["figures"]["preference"])
    record = {
        "base": run.base,
        "key": run.key,
        **{name: said[name] for name in ("status", "code", "reason")},
        "champion": name_of(run.champion),
        ANCHOR: digest_of(run.anchor),
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "data_hash": data_hash(data.training),
        "training_examples": list(dict.fromkeys([*rows, *(one.example for one in written if one.example)])),
        "later_examples": [sequence.example for sequence in data.later],
        "later_each": said["each"],
        "row_hashes": {row.example: data_hash([row]) for row in (*data.later, *rows.values())},
        "commits": sorted({section.commit for section in written if section.commit}),
        "options": asdict(run.options),
        "versions": {"inkling": __version__, **{name: version(name) for name in ("torch", "transformers", "peft")}},
        "figures": said["figures"],
    }
    write_atomically(run.adapter / "record.md", page(record).encode())
    write_atomically(run.adapter / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
    candidate = registry.add_candidate(run.adapter, base=run.base)
    shutil.rmtree(run.folder)
    return candidate


def _trained_on(data: Data, preference: Mapping[str, Any]) -> dict[str, TrainingSequence]:
    """A row of each example that anything was learned from, by its id."""
    method = preference.get("method")
    rows = [TrainingSequence(pair.example, pair.chosen) for pair in data.pairs if method == "dpo"]
    rows += [TrainingSequence(one.example, one.row) for one in data.judged if method == "kto"]
    return {row.example: row for row in (*data.training, *rows)}


def write_adapter(tuned: Any, run: Run) -> None:
    """The adapter as it is, in the run folder."""
    finished = run.adapter
    shutil.rmtree(finished, ignore_errors=True)  # a night that was killed here left a part of it
    save_adapter(tuned, finished)
    config = json.loads((finished / CONFIG_FILE).read_text())
    config["base_model_name_or_path"] = run.base  # a name, where peft wrote this machine's folder
    write_atomically(finished / CONFIG_FILE, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
    (finished / "README.md").unlink(missing_ok=True)  # peft's form for a model hub; record.md takes its place


def name_of(adapter: Adapter | None) -> str | None:
    """Its name; None for the base as it came."""
    return adapter.name if adapter is not None else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
