"""What a worker process on a cluster does before it imports anything of ours: see our packages, and stay offline."""

import os
import sys


def setup() -> None:
    """Put our packages in front, as the launcher does."""
    from inkling.__main__ import packages_folder
    from inkling.process import OFFLINE

    os.environ.update(OFFLINE)
    if (folder := packages_folder()) not in sys.path:
        sys.path.insert(0, folder)
