"""Whether the packages that training needs are here, and how they come here. Imports none of them."""

import sys
from importlib.util import find_spec

from inkling.errors import UserError

NEEDED = ("peft", "accelerate")


class NoTrainingError(UserError):
    """This installation serves, and cannot train."""


def missing() -> tuple[str, ...]:
    """Those of the needed packages that are not here."""
    return tuple(name for name in NEEDED if find_spec(name) is None)


def command() -> str:
    """What a person types to bring them here."""
    return f"{sys.executable} -m pip install {' '.join(NEEDED)}"


def require(besides: str = "") -> None:
    """Raise NoTrainingError, which names the command, where one is missing; `besides` is said behind it."""
    if lacking := missing():
        raise NoTrainingError(f"Training needs {' and '.join(lacking)}, not installed here: {command()}{besides}")
