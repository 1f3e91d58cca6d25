"""A place for a database, and facts to put into it.

Tests that are marked `BOTH_STORES` run on SQLite and, where its programs are installed, on a PostgreSQL server that is
started for them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feedback.consent import Consent, Consents
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Suggestion
from tests.unit.feedback.postgres_server import PostgresServer

MakeSuggestion = Callable[..., Suggestion]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer.start()
    if server is None:
        pytest.skip("there are no PostgreSQL programs here, or no driver (psycopg)")
    yield server
    server.stop()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if getattr(request, "param", "sqlite") == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database()
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
