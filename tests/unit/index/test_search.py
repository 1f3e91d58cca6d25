"""Search finds by words, by meaning and by name, and no query breaks it."""

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.builder import Builder
from index.context import Ask
from index.embedding import Embedder
from index.lexical import weights_of
from index.rankings import BadFilterError
from index.search import Search
from index.store import Store
from inkling.folders import models_folder
from tests.unit.index.workspace import CountingEncoder, repository, write

FILES: dict[str, str | bytes] = {
    "net/http_client.py": (
        "class HttpClient:\n    '''Sends requests.'''\n\n    def retry_request(self, times):\n"
        "        for attempt in range(times):\n            self.send(attempt)\n"
    ),
    "net/socket.py": "def open_socket(host, port):\n    return connect(host, port)\n",
    "web/client.ts": "export class HttpClient {\n  retryRequest(times: number): void {}\n}\n",
    "docs/guide.md": "# Guide\n\nHow requests are retried, and sockets opened.\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("search") / "workspace", FILES)


@pytest.fixture
def search(root: Path) -> Search:
    Builder(root, CountingEncoder).build()
    return Search(root, None)


def test_before_there_is_an_index_nothing_is_found(tmp_path: Path) -> None:
    search = Search(tmp_path, CountingEncoder())
    assert search.search("anything") == []
    assert search.symbols("anything", 5) == []
    assert search.context(Ask("a.py", "x", "", 5, 100)) == []
    assert search.stats()["files"] == 0


def test_parts_of_identifiers_are_found(search: Search) -> None:
    assert {hit.path for hit in search.search("retry request")} >= {"net/http_client.py", "web/client.ts"}


def test_forms_of_words_are_found(search: Search) -> None:
    assert search.search("retries", path="*.py")[0].path == "net/http_client.py"


def test_a_name_finds_its_definition_first(search: Search) -> None:
    hit = search.search("open_socket")[0]
    assert (hit.path, hit.name) == ("net/socket.py", "open_socket")
    assert "symbol" in hit.matched


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("TypeError: retry_request() missing 1 required positional argument: 'times'", "net/http_client.py"),
        ('  File "net/socket.py", line 2, in open_socket\n    return connect(host, port)', "net/socket.py"),
        ("for attempt in range(times):\n    self.send(attempt)", "net/http_client.py"),
        ("connect(host, port)", "net/socket.py"),
    ],
)
def test_an_error_message_and_a_piece_of_code_find_where_they_come_from(search: Search, query: str, path: str) -> None:
    assert search.search(query)[0].path == path


def test_a_hit_says_where_and_why(search: Search) -> None:
    hit = search.search("send attempt")[0]
    assert (hit.path, hit.language, hit.start_line, hit.end_line) == ("net/http_client.py", "python", 0, 5)
    assert hit.matched == ("words",)
    assert hit.text == FILES["net/http_client.py"]


def test_with_an_encoder_meaning_counts_too(root: Path, search: Search) -> None:
    assert "meaning" in Search(root, CountingEncoder()).search("open a socket")[0].matched


@pytest.mark.parametrize("encoder", [None, CountingEncoder()])
def test_filters_hold(root: Path, search: Search, encoder: CountingEncoder | None) -> None:
    search = Search(root, encoder)
    assert {hit.path for hit in search.search("request socket client", path="net/*.py")} == {
        "net/http_client.py",
        "net/socket.py",
    }
    assert {hit.path for hit in search.search("request socket client", path="docs")} == {"docs/guide.md"}
    assert {hit.path for hit in search.search("client", language="typescript")} == {"web/client.ts"}
    assert {hit.kind for hit in search.search("socket", kind="function")} == {"function"}
    assert search.search("socket", path="nowhere/**") == []


def test_a_filter_that_cannot_be_says_what_can(search: Search) -> None:
    with pytest.raises(BadFilterError, match="function"):
        search.search("x", kind="functoin")
    with pytest.raises(BadFilterError, match="src"):
        search.search("x", path="!")


def test_a_filter_of_many_stars_takes_no_time_and_one_without_end_is_refused(search: Search) -> None:
    assert search.search("socket", path="*" * 900 + "x") == []
    with pytest.raises(BadFilterError, match="at most 1,000 characters"):
        search.search("socket", path="*" * 1001)


def test_words_with_marks_count_as_a_whole(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.py": "# gesch ä tzt\n", "b.py": "# geschätzt\n"}
    root = repository(tmp_path, files)
    Builder(root, None).build()
    store = Store.reader(root)
    assert store is not None
    assert "geschätzt" in weights_of(store.database, "GESCHÄTZT")
    assert Search(root, None).search("geschätzt")[0].path == "b.py"


def test_the_limit_holds(search: Search) -> None:
    assert len(search.search("request socket client", limit=2)) == 2
    assert search.search("request", limit=0) == []


QUERIES = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(['"', "AND", "OR", "NOT", "NEAR(", "*", "^", ":", "-", ")", "text:", "👍", "\0", "a"])
    ).map(" ".join),
)


@given(query=QUERIES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_raises(search: Search, query: str) -> None:
    search.search(query)
    search.symbols(query, 5)
    search.context(Ask("a.py", query, query, 3, 1000))


def test_symbols_are_ranked_from_exact_to_loose(search: Search) -> None:
    def names(query: str) -> list[str]:
        return [symbol.name for symbol in search.symbols(query, 3)]

    assert names("HttpClient") == ["HttpClient", "HttpClient"]
    assert names("rr") == ["retryRequest", "retry_request"]
    assert names("socket") == ["open_socket"]
    assert names("httpclient.retry") == ["retryRequest", "retry_request"]
    assert names("opskt") == ["open_socket"]
    assert names("%") == []
    assert len(names("")) == 3


def test_stats_count(search: Search) -> None:
    stats = search.stats()
    assert (stats["files"], stats["chunks"], stats["embedded"]) == (4, 4, 4)
    assert stats["bytes"] > 0


def test_missing_weights_leave_search_by_words_and_a_note(root: Path, search: Search, tmp_path: Path) -> None:
    without = Search(root, Embedder(tmp_path / "nothing"))
    assert without.search("socket")
    assert "inkling models pull" in without.stats()["note"]


def test_searching_goes_on_while_another_thread_builds(tmp_path: Path) -> None:
    root = repository(tmp_path / "workspace", {"a.py": "def needle(): pass\n"})
    builder = Builder(root, CountingEncoder)
    builder.build()
    search = Search(root, CountingEncoder())

    def build() -> None:
        for number in range(20):
            write(root, {f"{number}.py": f"def thread_{number}(): pass\n"})
            builder.build()

    thread = threading.Thread(target=build)
    thread.start()
    while thread.is_alive():
        assert search.search("needle")[0].name == "needle"
    thread.join()
    assert search.search("thread_19")[0].path == "19.py"


@pytest.mark.weights
@pytest.mark.slow
def test_real_embeddings_find_what_shares_no_word(tmp_path: Path) -> None:
    root = repository(
        tmp_path / "workspace",
        {
            "a.py": "def shorten(path):\n    '''Make a filename fit into a narrow column.'''\n",
            "b.py": "def login(user):\n    '''Check the password and open a session.'''\n",
            "c.py": "def bake():\n    '''Put bread into the oven.'''\n",
        },
    )
    embedder = Embedder(models_folder() / "all-minilm-l6-v2")
    Builder(root, lambda: embedder).build()
    hit = Search(root, embedder).search("authentication of people")[0]
    assert (hit.path, hit.matched) == ("b.py", ("meaning",))


@pytest.mark.weights
def test_real_embeddings_are_unit_vectors_of_384() -> None:
    vectors = Embedder(models_folder() / "all-minilm-l6-v2").encode(["a", "", "x" * 100_000])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == "float32"
    assert abs((vectors**2).sum(axis=1) - 1).max() < 1e-4


def test_this_repository_says_where_the_environment_of_a_child_is_built(repository: Path) -> None:
    Builder(repository, None).build()
    hits = Search(repository, None).search("where is the child process environment built", limit=3)
    assert "server/launch/inkling/process.py" in [hit.path for hit in hits]
