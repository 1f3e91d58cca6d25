"""What the tour prints while it runs and at its end: a line per station, with its time and what it saw."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Station:
    """One station of the ring. `error` is None while all is well; `notes` are what was seen."""

    name: str
    seconds: float = 0.0
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def see(self, note: str) -> None:
        """Keep something that was seen."""
        self.notes.append(note)


class Report:
    """The stations in the order in which they were walked."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.stations: list[Station] = []

    @property
    def failed(self) -> list[Station]:
        """The stations that went wrong."""
        return [station for station in self.stations if station.error is not None]

    @contextmanager
    def station(self, name: str) -> Iterator["Walk"]:
        """Walk one station: time it, show progress, and keep an error instead of passing it on."""
        station, started = Station(name), time.perf_counter()
        self.stations.append(station)
        with self._console.status(f"{name} ...") as status:
            try:
                yield Walk(station, lambda text: status.update(f"{name}: {text}"))
            except Exception as error:  # the tour goes on: a report with one red line says more than a traceback
                station.error = f"{type(error).__name__}: {error}"
        station.seconds = time.perf_counter() - started
        self._print(station)

    def summary(self) -> None:
        """The table at the end."""
        table = Table(title="The tour", title_justify="left", header_style="bold")
        table.add_column("station")
        table.add_column("seconds", justify="right")
        table.add_column("result")
        for station in self.stations:
            result = f"[red]{station.error}[/red]" if station.error else "[green]ok[/green]"
            table.add_row(station.name, f"{station.seconds:.1f}", result)
        table.add_section()
        table.add_row("all", f"{sum(s.seconds for s in self.stations):.1f}", f"{len(self.failed)} failed")
        self._console.print(table)

    def plain(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "failed": [station.name for station in self.failed],
            "stations": [
                {"name": s.name, "seconds": s.seconds, "error": s.error, "notes": s.notes, **s.figures}
                for s in self.stations
            ],
        }

    def _print(self, station: Station) -> None:
        mark = "[red]✗[/red]" if station.error else "[green]✓[/green]"
        self._console.print(f"{mark} [bold]{station.name}[/bold] [dim]{station.seconds:.1f} s[/dim]")
        for note in station.notes:
            self._console.print(f"    {note}", highlight=False, markup=False)
        if station.error:
            self._console.print(f"    {station.error}", style="red", highlight=False, markup=False)


@dataclass
class Walk:
    """A station while it is walked: `say` shows progress, `station` keeps what was seen."""

    station: Station
    say: Any

    def see(self, note: str) -> None:
        """Keep something that was seen."""
        self.station.see(note)

    def figure(self, **figures: Any) -> None:
        """Keep figures for `--json`."""
        self.station.figures.update(figures)


class TourError(AssertionError):
    """A station saw something else than it had to."""


def expect(condition: object, otherwise: str) -> None:
    """Fail the station with a sentence unless the condition holds."""
    if not condition:
        raise TourError(otherwise)
