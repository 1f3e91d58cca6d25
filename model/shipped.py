"""The adapter that is served below all others: it teaches a base fill-in-the-middle and the document mask.

For the bases of the catalog it comes with Inkling, in a folder of this package; for others it is taken in from what
`inkling pretrain` made, into the data folder. Needs no torch and no network. It is merged before every other adapter,
by serving and by nights alike.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from inkling.errors import UserError
from inkling.folders import data_folder
from model.catalog import CATALOG, UnknownWeightsError, parse
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
    """What is served below all others on a base, a source as a person writes it; None where there is nothing.

    Raises DamagedInstallationError for a record that cannot be read.
    """
    try:
        folder = root / base if base in CATALOG else place_below(base)
    except UnknownWeightsError:  # whoever loads the base says so
        return None
    return read_shipped(folder) if folder.is_dir() else None


def place_below(base: str) -> Path:
    """Where the adapter of a base that is not of the catalog lies, if there is one."""
    return data_folder() / "below" / parse(base).name


def read_shipped(folder: Path) -> Shipped:
    """The adapter that `inkling pretrain` left in `folder`."""
    try:
        record = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
        scheme: SchemeName = "sequential" if record["scheme"] == "sequential" else "parallel"
        return Shipped(folder, bool(record["fills_middle"]), scheme)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedInstallationError(
            f"{folder / METADATA_FILE} is not the record of a shipped adapter ({error!r}). Install Inkling again, "
            "or take in what `inkling pretrain` made once more."
        ) from error
