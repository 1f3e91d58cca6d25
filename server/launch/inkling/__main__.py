"""Start Inkling: make sure that only our own code can be imported, then hand over to the command line.

The packages (`server`, `model`, ...) have common names, so they are never on an environment's path.
In a wheel they lie in `inkling/packages/`; in a checkout they are the top-level folders. Only this
module puts that place on `sys.path`, in front, and only in a process that ignores PYTHONPATH and the
current folder (`python -E -P`). A process started otherwise is replaced by one that does.

What it cannot mend: `python -m inkling` without `-P`, started in a folder that itself holds a module
named `inkling` or named like one of the standard library's, never gets here. The `inkling` command
does not have that hole.
"""

import os
import sys


def packages_folder() -> str:
    """Where the import packages lie: inside the wheel, or the root of the checkout."""
    from pathlib import Path

    here = Path(__file__).resolve().parent
    installed = here / "packages"
    return str(installed if installed.is_dir() else here.parents[2])


def isolated() -> bool:
    """True if this interpreter ignores PYTHON* variables and the current folder."""
    return bool(sys.flags.ignore_environment and sys.flags.safe_path)


def main() -> None:
    """The `inkling` command."""
    if not isolated():
        _start_again()
    sys.path.insert(0, packages_folder())
    from server.cli import run

    sys.exit(run())


def _start_again() -> None:
    """Replace this process by an isolated one. Until then as little as possible is imported, hence the late imports."""
    from inkling.process import command, environment

    arguments = command(*sys.argv[1:])
    if os.name == "nt":  # execve on Windows detaches from the console and loses the exit code
        import subprocess

        sys.exit(subprocess.call(arguments, env=environment()))
    os.execve(arguments[0], arguments, environment())


if __name__ == "__main__":
    main()
