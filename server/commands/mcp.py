"""`inkling mcp`: the project's search and linters for any agent that speaks the Model Context Protocol."""

from pathlib import Path
from typing import Annotated

import typer

from inkling.errors import UserError
from server.commands.printing import err


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mcp)


def mcp(
    root: Annotated[Path, typer.Option("--root", help="The project; default: the current folder.")] = Path(),
    trust: Annotated[bool, typer.Option("--trust", help="Also run linters that run the project's own code.")] = False,
) -> None:
    """Serve search by meaning and linter findings to an agent (MCP) over standard input and output.

    Agents start this themselves. All tools only read.

    Examples:

      inkling mcp --root ~/project

      inkling mcp --trust
    """
    from server.disk_project import serve_mcp
    from server.session import linter_settings
    from server.settings import user_settings

    folder = root.resolve()
    if not folder.is_dir():
        raise UserError(f"Expected a folder, found nothing at {folder}; name the project's with --root.")
    settings, problems = user_settings()
    for problem in problems:
        _say(problem)
    serve_mcp(folder, _weights(settings.index.embedding), linter_settings(settings.linters, trust, _say), _say)


def _weights(name: str) -> Path | None:
    """The embedding's weights; without them search goes by words."""
    from model.weights import resolve

    try:
        return resolve(name)
    except UserError as error:
        _say(f"Search goes by words only: {error}")
        return None


def _say(message: str) -> None:
    err.print(message, highlight=False, markup=False)
