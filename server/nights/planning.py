"""What a night would do and why, as rows for people: what every stage has, what is missing, what was left out. Pure."""

from collections.abc import Mapping
from typing import Any

COUNTS = {  # figures of the data and what they are called, here and in the record of the night
    "examples": "settled regions that may be used",
    "usable": "of these usable",
    "training": "to train on",
    "training_tokens": "tokens of these",
    "replayed": "of these seen by the champion's night",
    "later": "later ones, to measure on",
    "later_unmeasured": "later ones beyond the budget",
}


def planned(figures: Mapping[str, Any], budget_seconds: float) -> list[tuple[str, str]]:
    """Label and value of everything that decides about the night."""
    rows = [("budget", f"{budget_seconds:.0f} s")]
    rows += [(label, f"{figures[name]:,}") for name, label in COUNTS.items() if isinstance(figures.get(name), int)]
    rows += [(f"  in {language}", f"{count:,}") for language, count in figures.get("languages", {}).items()]
    for side in ("dropped", "dropped_training", "dropped_later", "dropped_pairs"):
        told = [f"{count:,} {why.replace('_', ' ')}" for why, count in figures.get(side, {}).items() if count]
        if told:
            rows.append((side.replace("dropped", "left out").replace("_", " of "), ", ".join(told)))
    gate = figures.get("gate", {})
    if "status" in gate:
        rows.append(("stage gate", f"{gate['status']}: {gate.get('reason', '')}"))
    rows += [(f"stage {stage}", str(told)) for stage, told in figures.get("stages", {}).items()]
    return rows
