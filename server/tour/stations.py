"""The stations of the tour, in the order of the ring: keystroke, suggestion, outcome, reward, night, champion, next.

Everything is real: the repository, the server process, the model, SQLite, the training. Only the user is simulated
(`server.tour.user`), and times are shortened (a region settles after 2 seconds, a night wants few regions). All
data lies in a throw-away folder; the repository itself is only read.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback.database import find_database
from feedback.history import Selection, listing, statistics
from feedback.rewards import explain
from inkling.folders import models_folder
from inkling.process import command, environment
from server.documents import OpenDocument
from server.tour.editor import Editor
from server.tour.positions import Place, places
from server.tour.report import Report, TourError, Walk, expect
from server.tour.user import Move, move

_SETTLE_SECONDS = 2.0
_SURVIVAL_SECONDS = [1, 3]
_READY_SECONDS = 120.0
_ENOUGH_CHUNKS = 200  # embedded, until search by meaning is tried
_UNUSED_IMPORT = "import this_is_not_used\n"


@dataclass(frozen=True)
class Plan:
    """How long the tour may be. `regions` places are completed; the night gets `night_budget`."""

    root: Path
    base: str
    regions: int = 20
    night_budget: str = "75s"


class Tour:
    """One walk around the ring, in a home of its own."""

    def __init__(self, plan: Plan, home: Path, report: Report) -> None:
        self._plan = plan
        self._report = report
        self._variables = {"INKLING_HOME": str(home), "INKLING_MODELS": str(models_folder())}
        self._database = home / "data" / "feedback.sqlite"
        self._editor = Editor(plan.root)
        self._moves: list[Move] = []
        self._adapter: str | None = None

    async def walk(self) -> None:
        """Walk every station; those that need an earlier one fail with it."""
        try:
            await self._start()
            await self._complete()
            await self._search()
            await self._lint()
            await self._mend()
            await self._record()
            await self._night()
            await self._switch()
        finally:
            await self._stop()

    async def _start(self) -> None:
        with self._report.station("The server starts") as walk:
            began = time.perf_counter()
            settings = {
                "trusted": False,
                "measureLoop": True,
                "model": {"base": self._plan.base},
                "completion": {"mode": "eager", "maxTokens": 32},
                "feedback": {"settleSeconds": _SETTLE_SECONDS, "survivalSeconds": _SURVIVAL_SECONDS},
            }
            result = await self._editor.start(settings, self._variables)
            walk.see(f"initialize answered after {time.perf_counter() - began:.2f} s")
            expect(result.capabilities.inline_completion_provider, "the server does not offer inline completion")
            state = await self._wait_for(
                "model", lambda status: status["model"]["state"] in ("ready", "failed", "off"), walk
            )
            expect(state["model"]["state"] == "ready", f"the model is not ready: {state['model']}")
            walk.see(f"{state['model']['base']} ready after {time.perf_counter() - began:.1f} s")
            answer = await self._editor.run("inkling.consent", "local")
            walk.see(f"consent of this workspace: {answer['consent']}")

    async def _complete(self) -> None:
        with self._report.station("Keystrokes, suggestions, outcomes") as walk:
            chosen = places(self._plan.root, self._plan.regions)
            expect(
                chosen, f"{self._plan.root} has no source files that the tour can use (Python, JavaScript, TypeScript)"
            )
            buffer: OpenDocument | None = None
            for turn, place in enumerate(chosen):
                walk.say(f"{turn + 1} of {len(chosen)}  {place.path.name}")
                if buffer is None or buffer.uri != place.path.as_uri():
                    buffer = self._editor.open(place.path, place.language)
                self._moves.append(await move(self._editor, buffer, place, turn))
            self._describe(walk)
            expect(any(made.offered for made in self._moves), "not one suggestion was made")

    def _describe(self, walk: Walk) -> None:
        did = Counter(made.did for made in self._moves)
        walk.see(f"{len(self._moves)} places: " + ", ".join(f"{count} {name}" for name, count in did.most_common()))
        seconds = sorted(made.seconds for made in self._moves)
        walk.see(f"time to a suggestion: median {seconds[len(seconds) // 2]:.2f} s, longest {seconds[-1]:.2f} s")
        for made in sorted(self._moves, key=lambda one: -one.likeness)[:3]:
            if made.offered:
                line = made.offered.strip().split("\n", 1)[0][:60]
                walk.see(f"{made.did}: {line!r} where {made.place.rest[:60]!r} stands")
        walk.figure(places=len(self._moves), did=dict(did), median_seconds=seconds[len(seconds) // 2])

    async def _search(self) -> None:
        with self._report.station("Search by words and by meaning") as walk:
            words = await self._timed_search("parse arguments", walk, "by words, while the index is built")
            status = await self._wait_for("vectors", _has_vectors, walk)
            walk.see(f"index: {_described(status['workspaces'][0]['index'])}")
            meaning = await self._timed_search("where is configuration read and checked", walk, "by meaning")
            expect(words or meaning, "nothing was found")
            expect(any("meaning" in hit["matched"] for hit in meaning), "no hit was found by its meaning")
            name = next((hit["name"] for hit in meaning + words if hit["name"]), "main")
            symbols = await self._editor.symbols(name)
            expect(symbols, f"no symbol {name!r} was found")
            walk.see(f"symbols named {name!r}: {len(symbols)}")

    async def _timed_search(self, query: str, walk: Walk, how: str) -> list[dict[str, Any]]:
        began = time.perf_counter()
        hits: list[dict[str, Any]] = (await self._editor.request("inkling/search", query=query, limit=5))["hits"]
        best = f"{hits[0]['path']}:{hits[0]['range']['start']['line'] + 1} {hits[0]['name']}" if hits else "nothing"
        walk.see(f"{query!r} {how}: {best}  ({(time.perf_counter() - began) * 1000:.0f} ms)")
        return hits

    async def _lint(self) -> None:
        with self._report.station("Diagnostics of unsaved text") as walk:
            self._linted = self._editor.open(self._plan.root / "inkling_tour_unsaved.py", "python", "print(1)\n")
            before = await self._editor.diagnostics(self._linted)
            self._editor.replace(self._linted, 0, 0, _UNUSED_IMPORT)
            found = await self._editor.diagnostics(self._linted)
            codes = [str(diagnostic.code) for diagnostic in found]
            walk.see(f"before: {len(before)} findings; after an unused import: {', '.join(codes) or 'none'}")
            expect("F401" in codes, "the linter did not see the unused import")

    async def _mend(self) -> None:
        with self._report.station("The agent mends a finding") as walk:
            answer = await self._editor.run("inkling.agent.fix", self._linted.uri, 0, "F401")
            walk.see(answer["message"])
            expect(answer["fixed"], "the finding was not mended")
            expect(_UNUSED_IMPORT not in self._linted.text, "the edit did not reach the editor")
            expect(not await self._editor.diagnostics(self._linted), "something is left to find")

    async def _record(self) -> None:
        with self._report.station("What landed in SQLite") as walk:
            wanted = sum(1 for made in self._moves if made.offered)
            walk.say("waiting until every region is settled")
            held = await self._settled(wanted)
            expect(held is not None, "there is no database")
            assert held is not None
            walk.see(f"{held.suggestions} suggestions, {held.settled} settled, outcomes {held.outcomes}")
            expect(held.suggestions >= wanted, f"{wanted} suggestions were made and {held.suggestions} are stored")
            expect(held.settled > 0, "no region was settled")
            database = find_database(self._database)
            assert database is not None
            taken = listing(database, Selection(outcome="accepted"), limit=1) or listing(database, limit=1)
            database.dispose()
            if taken[0].reward is not None:
                walk.see(f"the reward of one that was {taken[0].outcome.kind if taken[0].outcome else 'open'}:")
                for line in explain(taken[0].reward):
                    walk.see("    " + line)
            walk.figure(suggestions=held.suggestions, settled=held.settled, outcomes=held.outcomes)

    async def _settled(self, wanted: int) -> Any:
        """The statistics once all regions are settled, or after a while."""
        deadline = time.monotonic() + 15 * _SETTLE_SECONDS
        while True:
            database = find_database(self._database)
            held = statistics(database) if database is not None else None
            if database is not None:
                database.dispose()
            if (held is not None and held.settled >= wanted) or time.monotonic() > deadline:
                return held
            await asyncio.sleep(0.5)

    async def _night(self) -> None:
        with self._report.station("A night") as walk:
            few = str(max(4, len(self._moves) // 3))
            options = [
                "--json",
                "--base",
                self._plan.base,
                "--budget",
                self._plan.night_budget,
                "--minimum-regions",
                few,
            ]
            child = await asyncio.create_subprocess_exec(
                *command("night", *options),
                env=environment(self._variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert child.stdout is not None
            assert child.stderr is not None
            last: dict[str, Any] = {}
            async for line in child.stdout:
                last = json.loads(line)
                walk.say(str(last.get("message") or last.get("phase") or "")[:100])
            errors = (await child.stderr.read()).decode(errors="replace").strip()
            code = await child.wait()
            expect(code == 0, f"the night ended with {code}: {errors[-400:] or last}")
            self._adapter = last.get("adapter")
            walk.see(f"adapter {self._adapter}: {last.get('status')}")
            walk.see(str(last.get("reason")))
            walk.figure(**{key: last.get(key) for key in ("adapter", "status", "reason", "figures")})

    async def _switch(self) -> None:
        with self._report.station("The running server takes the champion, and gives it back") as walk:
            expect(self._adapter, "there is no adapter to serve")
            status = await self._editor.request("inkling/status")
            served = status["model"]["adapter"]
            if served != self._adapter:
                await self._inkling("models", "promote", str(self._adapter))
                walk.see("the gate refused it, so it is promoted by hand to show the switch")
            await self._wait_for("adapter", lambda status: status["model"]["adapter"] == self._adapter, walk)
            walk.see(f"the same server process serves {self._adapter}")
            last = self._moves[-1].place
            offered = await self._next_suggestion(last)
            walk.see(f"the next suggestion, tuned: {offered!r}")
            await self._inkling("models", "rollback", "--base", self._plan.base)
            await self._wait_for("adapter", lambda status: status["model"]["adapter"] is None, walk)
            walk.see("rolled back: the bare base is served again")

    async def _next_suggestion(self, place: Place) -> str | None:
        buffer = self._editor.buffers[place.path.as_uri()]
        self._editor.replace(buffer, place.offset, place.offset + len(place.rest), "")
        item = await self._editor.complete(buffer, place.offset)
        self._editor.replace(buffer, place.offset, place.offset, place.rest)
        return str(item.insert_text) if item else None

    async def _stop(self) -> None:
        with self._report.station("The server stops") as walk:
            status = await self._editor.request("inkling/status")
            delay = status.get("loopDelayMs")
            if delay is not None:
                walk.see(
                    "event loop late by "
                    f"p95 {delay['p95']:.1f} ms, p99 {delay['p99']:.1f} ms, at most {delay['max']:.0f} ms"
                )
                walk.figure(loop_delay_ms=delay)
            code = await self._editor.stop()
            expect(code == 0, f"the server ended with {code}")

    async def _inkling(self, *arguments: str) -> None:
        """Run another command of ours in the tour's home."""
        child = await asyncio.create_subprocess_exec(
            *command(*arguments),
            env=environment(self._variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await child.communicate()
        expect(child.returncode == 0, f"inkling {' '.join(arguments)}: {errors.decode(errors='replace')}")

    async def _wait_for(self, what: str, reached: Any, walk: Walk, seconds: float = _READY_SECONDS) -> dict[str, Any]:
        """Ask for the status until it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            status = await self._editor.request("inkling/status")
            if reached(status):
                return status
            expect(time.monotonic() < deadline, f"waited {seconds:.0f} s for the {what}: {status}")
            walk.say(f"waiting for the {what}")
            await asyncio.sleep(0.2)


def _has_vectors(status: dict[str, Any]) -> bool:
    """True once some of the first folder's chunks can be found by their meaning; all would take minutes."""
    index = status["workspaces"][0]["index"] if status["workspaces"] else {}
    if "error" in index:
        raise TourError(str(index["error"]))
    some = index.get("phase") == "embed" and index["done"] >= _ENOUGH_CHUNKS
    return some or index.get("ready") == "meaning"


def _described(index: dict[str, Any]) -> str:
    if index.get("ready"):
        return f"{index.get('files')} files, complete"
    left = f" for about {index['seconds_left']:.0f} s" if index.get("seconds_left") else ""
    return f"{index['done']} of {index['total']} chunks embedded, the rest follows in the background{left}"
