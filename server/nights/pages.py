"""What a night says, and where: a bar for people or JSON lines for a parent, and the state for everybody else."""

import json
import os
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from server.nights.planning import planned
from server.nights.state import StateWriter

if TYPE_CHECKING:
    from model.training.progress import Progress
    from model.training.verdict import Verdict


class Page(Protocol):
    """Whoever started the night reads it."""

    def report(self, progress: "Progress") -> None: ...
    def wait(self, message: str) -> None: ...
    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None: ...


class Told(Page):
    """The page of who started the night, and its state for everybody else; without one for a dry run."""

    def __init__(self, page: Page, state: StateWriter | None) -> None:
        self._page = page
        self._state = state
        if state is not None:
            state.begin()

    def report(self, progress: "Progress") -> None:
        self._page.report(progress)
        if self._state is not None:
            self._state.report(progress.stage, progress.message, progress.done, progress.total)

    def wait(self, message: str) -> None:
        self._page.wait(message)
        if self._state is not None:
            self._state.report("waiting", message, 0, 0, "waiting")

    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None:
        if self._state is not None:
            self._state.end(status, code, reason, verdict.adapter if verdict is not None else None)
        self._page.end(status, code, reason, verdict)


class JsonLines(AbstractContextManager["JsonLines"]):
    """Progress and verdict, one JSON object a line, on standard output."""

    def __exit__(self, *error: object) -> None:
        return None

    def report(self, progress: "Progress") -> None:
        fields = asdict(progress)
        self._print({"phase": fields.pop("stage"), **fields})

    def wait(self, message: str) -> None:
        self._print({"phase": "waiting", "message": message})

    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None:
        found = {"adapter": verdict.adapter, "figures": verdict.figures} if verdict else {}
        last = {"phase": "verdict", "status": status, "code": code, "reason": reason, "message": reason, **found}
        self._print(last)

    @staticmethod
    def _print(value: dict[str, Any]) -> None:
        try:
            print(json.dumps(value, ensure_ascii=False), flush=True)
        except OSError:  # the parent is gone, or its file is full: the night goes on, its verdict is in the state
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed with the process


class Bar(AbstractContextManager["Bar"]):
    """A progress bar on standard error for people; the verdict on standard output, and what led to it.

    `budget_seconds` is what the night was given.
    """

    def __init__(self, budget_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bar":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def report(self, progress: "Progress") -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total)
        self._bars.update(
            self._tasks[progress.stage],
            description=progress.message,
            completed=progress.done,
            total=progress.total,
        )

    def wait(self, message: str) -> None:
        self._bars.console.print(message, highlight=False, markup=False)

    def end(self, status: str, code: str, reason: str, verdict: "Verdict | None" = None) -> None:
        self._bars.stop()
        if verdict is not None and status in ("planned", "skipped"):
            self._show_plan(verdict)
        print(reason, file=sys.stdout if verdict else sys.stderr, flush=True)

    def _show_plan(self, verdict: "Verdict") -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        for label, value in planned(verdict.figures, self._budget_seconds):
            grid.add_row(Text(label), Text(value))
        Console().print(grid)
