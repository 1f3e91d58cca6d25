"""Start Inkling: make sure that only our own code can be imported, then hand over to the command line.

The packages (`server`, `model`, ...) have common names, so they are never on an environment's path.
In a wheel they lie in `inkling/packages/`; in a checkout they are the top-level folders. Only this
module puts that place on `sys.path`, in front, and only in a process that ignores PYTHONPATH and the
current folder (`python -E -P`). A process started otherwise is replaced by one that does.
"""

import os
import subprocess
import sys
from pathlib import Path

from inkling.process import command, environment


def packages_folder() -> Path:
    """Where the import packages lie: inside the wheel, or the root of the checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "packages"
    return installed if installed.is_dir() else here.parents[2]


def isolated() -> bool:
    """True if this interpreter ignores PYTHON* variables and the current folder."""
    return bool(sys.flags.ignore_environment and sys.flags.safe_path)


def main() -> None:
    """The `inkling` command."""
    if not isolated():
        arguments = command(*sys.argv[1:])
        if os.name == "nt":  # execve on Windows detaches from the console and loses the exit code
            sys.exit(subprocess.call(arguments, env=environment()))
        os.execve(arguments[0], arguments, environment())
    sys.path.insert(0, str(packages_folder()))
    from server.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
