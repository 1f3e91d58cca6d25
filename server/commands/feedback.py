"""`inkling consent` and `inkling feedback ...`: what is learned from."""

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from inkling.errors import UserError
from server.commands import insights, night
from server.commands.gate import gate
from server.commands.models import AsJson
from server.commands.printing import err, out, print_json, print_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from feedback.reading import Entry
    from feedback.records import OutcomeKind

feedback = typer.Typer(help="See, export and erase what was recorded.", no_args_is_help=True)
Workspace = Annotated[Path | None, typer.Option("--workspace", help="Only this workspace.")]
File = Annotated[str | None, typer.Option("--path", help="Only this file or folder of the workspace.")]
_DAY = 86_400


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(consent)
    feedback.command()(gate)
    app.add_typer(feedback, name="feedback")
    insights.register(app)
    night.register(app)


def consent(
    value: Annotated[
        str | None, typer.Argument(metavar="[off|local|team]", help="Without it: say what was chosen.")
    ] = None,
    workspace: Annotated[
        Path, typer.Option("--workspace", help="The workspace; default: the current folder.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Choose whether suggestions and their outcomes are recorded for a workspace. Nothing is until you choose.

    Examples:

      inkling consent local

      inkling consent off --workspace ../client-project
    """
    from feedback.consent import Consent, list_consents, set_consent
    from server.settings import feedback_place

    place = feedback_place()
    if value is not None:
        allowed = [choice.value for choice in Consent]
        if value not in allowed:
            raise UserError(f"Expected one of {', '.join(allowed)}, found {value!r}.")
        set_consent(workspace.resolve(), Consent(value), place)
    chosen = {root: choice.value for root, choice in list_consents(place).items()}
    if as_json:
        print_json(chosen)
    else:
        print_table("Consent", ("workspace", "recorded"), list(chosen.items()))


@feedback.command()
def stats(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Count suggestions and what became of them.

    Example:

      inkling feedback stats --json
    """
    from feedback.history import Selection, statistics

    database = _database()
    if database is None:
        print_json(None) if as_json else out.print("Nothing was recorded yet; `inkling consent local` allows it.")
        return
    found = statistics(database, Selection(workspace=_root(workspace)))
    if as_json:
        print_json({**asdict(found), "acceptance": found.acceptance})
        return
    apart = ("outcomes", "signals", "first", "last")
    rows = [(name.replace("_", " "), value) for name, value in asdict(found).items() if name not in apart]
    rows += [(kind, count) for kind, count in sorted({**found.outcomes, **found.signals}.items())]
    print_table("Feedback", ("what", "how many"), rows)
    if found.acceptance is not None:
        out.print(f"accepted, wholly or in part: {found.acceptance:.0%}")
    if found.reported:
        out.print(f"of what editors reported, the edits alone said the same: {found.confirmed / found.reported:.0%}")


@feedback.command("list")
def list_feedback(
    workspace: Workspace = None,
    path: File = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="Only with this outcome.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List suggestions, newest first.

    Example:

      inkling feedback list --path src/app.py
    """
    from feedback.history import Selection, listing

    database = _database()
    selection = Selection(workspace=_root(workspace), path=path, outcome=_outcome(outcome))
    found = listing(database, selection, limit) if database else []
    if as_json:
        print_json([asdict(entry) for entry in found])
        return
    print_table("Suggestions", ("id", "when", "where", "outcome", "offered"), [_row(entry) for entry in found])


@feedback.command()
def show(
    id: Annotated[str, typer.Argument(help="An id from `inkling feedback list`, or how it begins.")],
    as_json: AsJson = False,
) -> None:
    """Show one suggestion with everything that is stored about it, and how its reward comes about.

    Example:

      inkling feedback show 3f2a91c0
    """
    from feedback.history import show as show_entry
    from feedback.rewards import explain

    entry = show_entry(_needed(), id)
    found = {**asdict(entry), "instead": entry.instead, "retained": entry.retained}
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        out.print(f"{name}:  {value!r}", highlight=False, markup=False)
    for line in explain(entry.reward) if entry.reward else ():
        out.print(line, highlight=False, markup=False)


@feedback.command()
def explain(
    id: Annotated[str, typer.Argument(help="An id from `inkling feedback list`, or how it begins.")],
    version: Annotated[int, typer.Option("--version", help="By the rules of this version of the reward.")] = 2,
) -> None:
    """Say what a suggestion was worth, line by line: the sum, the context's baseline, the advantage.

    Example:

      inkling feedback explain 3f2a91c0
    """
    from feedback.history import explanation

    for line in explanation(_needed(), id, version):
        out.print(line, highlight=False, markup=False)


@feedback.command()
def replay(trace: Annotated[Path, typer.Argument(help="A file that `feedback.trace` made.")]) -> None:
    """Print what a recorded trace of edits comes to, one row per line; the same trace gives the same bytes.

    Example:

      inkling feedback replay trace.jsonl
    """
    from feedback.traces import replay as replay_lines
    from feedback.traces import row

    try:
        with trace.open(encoding="utf-8") as lines:
            for event in replay_lines(lines):
                print(row(event))
    except OSError as error:
        raise UserError(f"The trace {trace} cannot be read: {error}.") from error


@feedback.command()
def export(workspace: Workspace = None, path: File = None) -> None:
    """Print everything as JSON lines, oldest first.

    Example:

      inkling feedback export > feedback.jsonl
    """
    from feedback.history import Selection
    from feedback.history import export as export_lines

    for line in export_lines(_needed(), Selection(workspace=_root(workspace), path=path)):
        print(line)


@feedback.command()
def erase(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids from `inkling feedback list`, or how they begin.")
    ] = None,
    workspace: Workspace = None,
    path: File = None,
    older_than: Annotated[int | None, typer.Option("--older-than", metavar="DAYS", help="Only what is older.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase for good, texts included.

    Examples:

      inkling feedback erase --path secrets.py

      inkling feedback erase --older-than 90 --yes
    """
    from feedback.history import Selection, statistics, whole_id
    from inkling.folders import adapters_folder, data_folder
    from model.adapters import Registry
    from server.erasing import erase_everywhere, store_what_waits
    from server.settings import feedback_place
    from server.team.places import account_file

    before = time.time() - older_than * _DAY if older_than is not None else None
    database = _needed()
    store_what_waits(feedback_place())
    with database.connect() as connection:
        whole = tuple(whole_id(connection, id) for id in ids or ())
    selection = Selection(ids=whole, workspace=_root(workspace), path=path, before=before)
    if not yes and (selection != Selection() or everything):
        count = statistics(database, selection).suggestions
        typer.confirm(f"Erase {count} suggestions and all that is known about them?", abort=True, err=True)
    gone = erase_everywhere(database, selection, everything, Registry(adapters_folder()), data_folder() / "traces")
    err.print(f"{gone.rows.suggestions} suggestions and {gone.rows.signals} signals erased.")
    for adapter, count in gone.adapters.items():
        err.print(
            f"The adapter {adapter} had seen {count} of them and keeps what it learned; its record says so now. "
            "`inkling models rollback` takes it out of use.",
            markup=False,
        )
    for adapter in gone.unreadable:
        err.print(
            f"Which of them the adapter {adapter} had seen cannot be told, as its record is damaged: `inkling models "
            f"show {adapter}` says where.",
            markup=False,
        )
    if account_file().exists():
        err.print("What was sent to your team stays there: `inkling team erase` takes it back.", markup=False)


def _database() -> "Engine | None":
    from feedback.database import find_database
    from server.settings import feedback_place

    return find_database(feedback_place())


def _outcome(value: str | None) -> "OutcomeKind | None":
    from feedback.records import OutcomeKind

    allowed = get_args(OutcomeKind)
    if value is not None and value not in allowed:
        raise UserError(f"Expected one of {', '.join(allowed)} for --outcome, found {value!r}.")
    return cast("OutcomeKind | None", value)


def _needed() -> "Engine":
    database = _database()
    if database is None:
        raise UserError("Nothing was recorded yet. `inkling consent local` allows it for the current folder.")
    return database


def _row(entry: "Entry") -> tuple[str, ...]:
    outcome = entry.outcome.kind if entry.outcome else "open"
    offered = (entry.text or "").strip().split("\n")[0][:48]
    return entry.id[:12], _when(entry.at), f"{entry.path}:{entry.line + 1}", outcome, offered


def _root(workspace: Path | None) -> str | None:
    return str(workspace.resolve()) if workspace else None


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
