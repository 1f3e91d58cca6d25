"""The adapter that comes with Inkling for a base: it teaches fill-in-the-middle and the document mask.

Reads a folder of this package; needs no torch and no network. It is merged before every other adapter, by serving and
by nights alike; `inkling pretrain` makes it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from inkling.errors import UserError
from model.catalog import CATALOG
from model.positions import SchemeName

FOLDER = Path(__file__).with_name("weights")
METADATA_FILE = "metadata.json"


class DamagedInstallationError(UserError):
    """A file that belongs to Inkling itself cannot be read."""


@dataclass(frozen=True)
class Shipped:
    """A PEFT folder, and what the base with it can do: read a suffix, and documents placed by `scheme`."""

    folder: Path
    fills_middle: bool
    scheme: SchemeName


def shipped(base: str, root: Path = FOLDER) -> Shipped | None:
    """What is shipped for a base of the catalog; None for every other source of weights.

    Raises DamagedInstallationError for a record that cannot be read.
    """
    folder = root / base
    if base not in CATALOG or not folder.is_dir():
        return None
    return read_shipped(folder)


def read_shipped(folder: Path) -> Shipped:
    """The adapter that `inkling pretrain` left in `folder`."""
    try:
        record = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
        scheme: SchemeName = "sequential" if record["scheme"] == "sequential" else "parallel"
        return Shipped(folder, bool(record["fills_middle"]), scheme)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedInstallationError(
            f"{folder / METADATA_FILE} is not the record of a shipped adapter ({error!r}). Install Inkling again."
        ) from error
