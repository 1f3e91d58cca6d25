"""`inkling tour`: see the whole ring turn once, on a real repository."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from inkling.errors import UserError
from server.commands.models import DEFAULT_BASE, AsJson
from server.commands.printing import err, out, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tour)


def tour(
    path: Annotated[Path, typer.Argument(help="A repository; it is only read.")] = Path(),
    regions: Annotated[int, typer.Option("--regions", help="At how many places to complete.")] = 20,
    budget: Annotated[str, typer.Option("--budget", help="How long the night may take.")] = "75s",
    base: Annotated[str, typer.Option("--base", help="Base weights.")] = DEFAULT_BASE,
    as_json: AsJson = False,
) -> None:
    """Drive the real server on a repository, from a keystroke to a night and back, and report.

    A simulated user opens files, types, accepts and rejects; everything is kept in a throw-away folder. Takes a
    few minutes. Ends with 1 if any station failed.

    Examples:

      inkling tour

      inkling tour ../project --regions 40 --budget 5m
    """
    from model.weights import resolve
    from server.tour.report import Report
    from server.tour.stations import Plan, Tour

    root = path.resolve()
    if not root.is_dir():
        raise UserError(f"Expected a repository's folder, found nothing at {root}.")
    resolve(base)
    console = err if as_json else out
    console.print(f"A tour of {root}, in a throw-away home.", highlight=False, markup=False)
    report = Report(console)
    with tempfile.TemporaryDirectory(prefix="inkling-tour-", ignore_cleanup_errors=True) as home:
        asyncio.run(Tour(Plan(root, base, regions, budget), Path(home), report).walk())
    report.summary()
    if as_json:
        print_json(report.plain())
    if report.failed:
        raise typer.Exit(1)
