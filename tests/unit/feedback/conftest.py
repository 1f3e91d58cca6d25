"""A place for a database, and facts to put into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Suggestion

MakeSuggestion = Callable[..., Suggestion]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data" / "feedback.sqlite"


@pytest.fixture
def suggestion() -> MakeSuggestion:
    def make(id: str, **changes: object) -> Suggestion:
        values: dict[str, object] = {
            "id": id,
            "at": 100.0,
            "workspace": "/home/me/project",
            "path": "src/a.py",
            "language": "python",
            "version": 1,
            "line": 0,
            "column": 4,
            "prefix": "x = ",
            "suffix": "\nlast\n",
            "text": "foo()",
            "documents": (ContextDocument("src/b.py", "def foo(): ..."),),
            "logprobs": (-0.1, -0.2),
            "base": "smol",
            "adapter": None,
            "seconds": 0.05,
        }
        return Suggestion(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def consents(place: Path) -> Iterator[Consents]:
    book = Consents(place)
    yield book
    book.close()


@pytest.fixture
def recorder(place: Path, consents: Consents) -> Iterator[Recorder]:
    """Recording with consent for /home/me/project."""
    consents.set("/home/me/project", Consent.LOCAL)
    with_consent = Recorder(place, consents, lambda path: path.endswith(".env"))
    yield with_consent
    assert with_consent.close(20)
