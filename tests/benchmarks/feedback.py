"""What recording costs a keystroke, what a million suggestions weigh, and how often outcomes are told right.

The database is filled as three years of use would leave it: a thousand suggestions a day, the texts of the last 180
days, which is what the default retention keeps; then retention runs, and is counted in the size.
"""

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from feedback.consent import Consent, Consents
from feedback.database import open_database
from feedback.history import Selection, listing
from feedback.history import statistics as count
from feedback.insights import insights
from feedback.outcomes import Limits, Tracker
from feedback.recorder import Recorder
from feedback.records import ContextDocument, Decision, Suggestion
from feedback.regions import Edit
from feedback.retention import Keep, prune
from feedback.schema import text_hash

_WORKSPACE = "/home/me/project"
_KEYS = 300
_TRACES = 20_000
_DAY = 86_400.0


def run() -> None:
    """Print all of it. INKLING_BENCHMARK_SUGGESTIONS makes the database smaller."""
    suggestions = int(os.environ.get("INKLING_BENCHMARK_SUGGESTIONS", "1000000"))
    with tempfile.TemporaryDirectory() as folder:
        keystrokes(Path(folder) / "keys.sqlite")
        outcomes()
        years(Path(folder) / "years.sqlite", suggestions)


def keystrokes(place: Path) -> None:
    """The event loop's share of a keystroke: following the edit, and queueing what comes of it. Keys come ten a
    second, as somebody types, so that the writer's thread works meanwhile as it would."""
    consents = Consents(place)
    consents.set(_WORKSPACE, Consent.LOCAL)
    recorder = Recorder(place, consents, lambda path: False)
    content = "".join(f"def function_{number}(argument):\n    return argument + {number}\n\n" for number in range(1700))
    for label, recorded in (("with nothing open", False), ("with a suggestion recorded at every key", True)):
        tracker, text, at = Tracker(Limits()), content, len(content) // 2
        costs = []
        for key in range(_KEYS):
            character = "\n" if key % 40 == 39 else "abcde "[key % 6]
            edit = Edit(at + key, at + key, character)
            after = edit.apply(text)
            now = time.monotonic()
            made = _suggestion(f"{recorded}{key}", now, after[at + key - 3999 : at + key + 1])
            started = time.perf_counter()
            events = tracker.changed("a.py", [edit], now, key)
            if recorded:
                recorder.record(made)
                recorder.record(Decision(made.id, made.at, True, 0.5, 1.0, "rule-balanced", {"characters": 3.0}))
                events += tracker.offered(made.id, "a.py", at + key + 1, made.text, now, after)
            events += tracker.tick(now)
            for event in events:
                recorder.record(event)
            costs.append(1000 * (time.perf_counter() - started))
            text = after
            time.sleep(0.1)
        costs.sort()
        print(
            f"a keystroke in {len(content):,} characters, {label}: median {statistics.median(costs):.3f} ms, "
            f"p95 {costs[int(0.95 * _KEYS)]:.3f} ms, p99 {costs[int(0.99 * _KEYS)]:.3f} ms, most {costs[-1]:.2f} ms"
        )
    started = time.perf_counter()
    recorder.flush(60)
    state = recorder.status()
    print(f"written in the background: {state.written:,} facts, {state.dropped} dropped, the rest in "
          f"{time.perf_counter() - started:.1f} s")  # fmt: skip
    recorder.close(60)
    consents.close()


def outcomes() -> None:
    """Traces with known truth."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.unit.feedback import habits
    from tests.unit.feedback.simulated_user import HABITS, misjudged, simulate

    assert habits
    started = time.perf_counter()
    traces = [simulate(seed) for seed in range(_TRACES)]
    wrong = misjudged(traces)
    share = 1 - sum(wrong.values()) / len(traces)
    print(f"{len(traces):,} traces of {len(HABITS)} habits in {time.perf_counter() - started:.0f} s: {share:.2%} right")
    for told, times in sorted(wrong.items(), key=lambda item: -item[1]):
        print(f"  {times} x {told}")


def years(place: Path, suggestions: int) -> None:
    """A database of a million suggestions."""
    now = 1_800_000_000.0
    engine = open_database(place)
    started = time.perf_counter()
    _fill(place, suggestions, now)
    print(f"{suggestions:,} suggestions, filled in {time.perf_counter() - started:.0f} s: {_megabytes(place)}")
    with closing(sqlite3.connect(place)) as connection:
        for name in ("texts", "suggestions", "decisions", "outcomes", "settled", "survival"):
            print(f"  {name}: {connection.execute(f'SELECT count(*) FROM {name}').fetchone()[0]:,} rows")
    _timed("retention", lambda: prune(engine, Keep(), now))
    print(f"after retention: {_megabytes(place)}")
    for _ in range(2):
        _timed("stats", lambda: count(engine))
    _timed("stats of one workspace", lambda: count(engine, Selection(workspace=f"{_WORKSPACE}3")))
    _timed("list", lambda: listing(engine, limit=20))
    _timed("insights of 30 days", lambda: insights(engine, now, 30))
    engine.dispose()


def _fill(place: Path, suggestions: int, now: float) -> None:
    """Rows as the recorder writes them, without its transactions."""
    chance = random.Random(1)
    words = [f"name_{number}" for number in range(3000)]
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-500000")
        for start in range(0, suggestions, 20_000):
            made: dict[str, list[tuple[object, ...]]] = {}
            for number in range(start, min(start + 20_000, suggestions)):
                for statement, values in _rows(number, suggestions, now, chance, words):
                    made.setdefault(statement, []).append(values)
            connection.execute("BEGIN")
            for statement, rows in made.items():
                connection.executemany(statement, rows)
            connection.execute("COMMIT")


def _rows(
    number: int, suggestions: int, now: float, chance: random.Random, words: list[str]
) -> Iterator[tuple[str, tuple[object, ...]]]:
    id, at = f"{chance.getrandbits(128):032x}", now - (suggestions - number) * 3 * 365 * _DAY / suggestions
    hashes: list[str | None] = [None, None, None, None]
    if now - at < 180 * _DAY:
        begun = chance.randrange(2000)
        texts = [
            " ".join(words[(begun + place) % 3000] for place in range(400))[:3990] + f"{number:010d}",
            " ".join(words[(begun + place) % 3000] for place in range(100))[:1000],
            f"{words[begun]}({number})",
            f"{words[begun]}({number})  # settled",
        ]
        hashes = [text_hash(text) for text in texts]
        for hash, text in zip(hashes, texts, strict=True):
            yield "INSERT OR IGNORE INTO texts VALUES (?, ?)", (hash, text)
    logprobs = "[" + ", ".join(f"{-chance.random():.4g}" for _ in range(chance.randint(4, 24))) + "]"
    features = "{" + ", ".join(f'"feature_number_{n}": {chance.random():.4g}' for n in range(17)) + "}"
    place = (f"{_WORKSPACE}{number % 8}", f"src/package/module_{chance.randrange(400)}.py")
    yield (
        "INSERT INTO suggestions VALUES (" + ", ".join("?" * 17) + ")",
        (id, at, *place, "python", 7, 120, 8, 24, logprobs, "smollm2-135m-instruct", None, 0.06, 0, *hashes[:3]),
    )
    shown = chance.random() < 0.6
    yield "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?)", (id, at, shown, 0.4, 0.98, "rule-balanced", features)
    if not shown:
        return
    kind = chance.choices(("accepted", "rejected", "ignored", "superseded", "typed_through"), (25, 20, 15, 30, 10))[0]
    yield "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", (id, at + 2, kind, 24, "inserted_at_once", 0.98)
    yield "INSERT INTO settled VALUES (?, ?, ?, ?)", (id, at + 14, 30, hashes[3])
    if kind == "accepted":
        for age in (5, 30, 120, 300, 600):
            yield "INSERT INTO survival VALUES (?, ?, ?, ?, ?)", (id, age, at + age, 1.0, 1.0)


def _suggestion(id: str, at: float, prefix: str) -> Suggestion:
    documents = (ContextDocument("b.py", "def other(): ...\n" * 100),)
    return Suggestion(id, at, _WORKSPACE, "a.py", "python", 1, 0, 0, prefix, "\n" * 50, "argument.method()", documents,
                      (-0.1,) * 12, "smol", None, 0.05)  # fmt: skip


def _timed(name: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    work()
    print(f"{name}: {time.perf_counter() - started:.2f} s")


def _megabytes(place: Path) -> str:
    files = (place, place.with_name(place.name + "-wal"))
    return f"{sum(file.stat().st_size for file in files if file.exists()) / 1e6:,.0f} MB"
