"""The `inkling` command: Typer groups and what they print. What they do stands in the modules they call.

Heavy packages are imported inside the commands, so that `--help` and `--version` answer at once. Exit codes:
0 done, 1 the thing that was checked is not in order, 2 a mistake that a person can mend, 3 not enough data.
"""

from typing import Annotated

import typer
from rich.console import Console

from inkling import __version__
from inkling.errors import UserError
from server.commands import (
    code,
    evaluation,
    feedback,
    mcp,
    models,
    pretrain,
    pretrain_search,
    serving,
    status,
    team,
    tour,
)

app = typer.Typer(
    name="inkling",
    help="A language server that learns its user: completions, search, linters and an agent on your own machine.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
errors = Console(stderr=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"inkling {__version__}")
        raise typer.Exit


@app.callback()
def inkling(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A language server that learns its user."""


for commands in (serving, mcp, status, tour, models, code, feedback, evaluation, pretrain, pretrain_search, team):
    commands.register(app)


def run() -> int:
    """Run the command line; errors that a person can act on come out as one line without a traceback."""
    try:
        app(prog_name="inkling")  # leaves by SystemExit
    except UserError as error:
        errors.print(f"inkling: {error}", highlight=False, soft_wrap=True, markup=False)
        return error.exit_code
    return 0
