"""Facts as lines of JSON: how they wait on disk and how they travel to a team.

Pure. What always holds: a line that is read gives the very fact that was written, without the texts that were taken
away from it.
"""

import json
from dataclasses import asdict
from typing import Any

from feedback.records import (
    Check,
    Committed,
    ContextDocument,
    Decision,
    Fact,
    Outcome,
    Report,
    Settled,
    Signal,
    Suggestion,
    Survival,
)
from feedback.store import Prepared

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in (
    Suggestion, Decision, Outcome, Settled, Survival, Report, Committed, Check, Signal,
)}  # fmt: skip


def line_of(prepared: Prepared) -> bytes:
    """One fact as a line of UTF-8 with its newline."""
    fact = prepared.fact
    values: dict[str, Any] = {"bare": prepared.bare, "length": prepared.length, "kind": type(fact).__name__}
    if prepared.local:
        values["local"] = True
    text = json.dumps({**values, "fact": asdict(fact)}, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


def fact_of(values: dict[str, Any]) -> Prepared:
    """The fact of a parsed line. Raises KeyError and TypeError for what is none."""
    fields = dict(values["fact"])
    if values["kind"] == "Suggestion":
        fields["documents"] = tuple(ContextDocument(**document) for document in fields["documents"])
        fields["logprobs"] = tuple(fields["logprobs"])
    return Prepared(KINDS[values["kind"]](**fields), values["bare"], values["length"], bool(values.get("local")))
