"""The adapter that comes with Inkling for embedding weights: it teaches them questions about code.

Reads a folder of this package; `inkling pretrain-search` makes it. What always holds: it is only used with the very
weights that it was made for, and vectors with it have another name than vectors without.
"""

import hashlib
import json
from pathlib import Path

FOLDER = Path(__file__).with_name("weights")
METADATA_FILE = "metadata.json"
ADAPTER_FILE = "adapter_model.safetensors"


def shipped(name: str, fingerprint: str, root: Path = FOLDER) -> Path | None:
    """The PEFT folder for weights of this name and fingerprint (see `index.embedding`); None if there is none."""
    folder = root / name
    try:
        record = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    made_for = record.get("weights") if isinstance(record, dict) else None
    return folder if made_for == fingerprint and (folder / ADAPTER_FILE).is_file() else None


def version_of(folder: Path) -> str:
    """Eight hex digits for an adapter's content."""
    return hashlib.sha256((folder / ADAPTER_FILE).read_bytes()).hexdigest()[:8]
