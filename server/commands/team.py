"""`inkling team`: share with a team, and run a team's service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inkling.errors import UserError
from server.commands.models import AsJson
from server.commands.printing import err, out, print_json, print_table

if TYPE_CHECKING:
    from server.team.account import Account
    from server.team.members import Members

team = typer.Typer(
    help="Share feedback with a team and get its adapters; run the team's service.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(team, name="team")


@team.command()
def join(
    url: Annotated[str, typer.Argument(help="The team's address, such as https://inkling.example.org.")],
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="INKLING_TEAM_TOKEN", help="Your token; without it you are asked for it."),
    ] = None,
) -> None:
    """Become a member on this machine. Nothing is sent until you choose `inkling consent team` for a workspace.

    Example:

      inkling team join https://inkling.example.org
    """
    from server.team.account import Account, TeamClient, checked, write_account

    checked(url)
    account = Account(url, token or typer.prompt("Token", hide_input=True, err=True))
    with TeamClient(account) as client:
        found = client.champion()
    write_account(account)
    served = f"serves {found['name']}" if found.get("name") else "has no adapter yet"
    out.print(f"Joined: the team {served}. `inkling consent team` shares what is recorded here from now on.")


@team.command()
def sync() -> None:
    """Send what is new and take over a new adapter now; running servers do so every quarter of an hour.

    Example:

      inkling team sync
    """
    from server.settings import feedback_place, user_settings
    from server.team.sync import meet

    settings, problems = user_settings()
    for problem in problems:
        err.print(problem, markup=False, highlight=False)
    met = meet(_account(), feedback_place(), settings)
    adapter = f"took over {met.adapter}" if met.adapter else "no new adapter"
    out.print(f"{met.suggestions} suggestions sent, {adapter}.", highlight=False, markup=False)


@team.command()
def status(as_json: AsJson = False) -> None:
    """Say which team this is a member of, when it was met last, and what went wrong then.

    Example:

      inkling team status
    """
    from server.team.account import read_account
    from server.team.sync import status as found_status

    found = found_status(read_account())
    print_json(found) if as_json else print_table("Team", ("what", "value"), [(k, v or "-") for k, v in found.items()])


@team.command()
def erase(
    workspace: Annotated[Path | None, typer.Option("--workspace", help="Only what came from this workspace.")] = None,
) -> None:
    """Erase at the team what you sent. Adapters that were trained on it before cannot unlearn it.

    Example:

      inkling team erase --workspace .
    """
    from server.team.sync import take_back

    gone = take_back(_account(), str(workspace.resolve()) if workspace is not None else None)
    out.print(f"{gone} suggestions are erased at the team.")


@team.command()
def leave() -> None:
    """Send nothing more and forget the token. `inkling team erase` before that takes back what was sent.

    Example:

      inkling team leave
    """
    from server.team.account import forget_account

    out.print("Left." if forget_account() else "There was no team to leave.")


@team.command()
def night() -> None:
    """Start a night on the team's service, as one of its admins.

    Example:

      inkling team night
    """
    from server.team.account import TeamClient

    with TeamClient(_account()) as client:
        client.night()
    out.print("A night has begun at the team; its page shows how it goes.")


@team.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Where to listen; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8763,
    certificate: Annotated[Path | None, typer.Option("--certificate", help="For HTTPS: a PEM file.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="For HTTPS: its private key.")] = None,
    nights: Annotated[str, typer.Option("--nights", help="When a night begins by itself, such as 03:00.")] = "off",
) -> None:
    """Run a team's service: it takes what members send, trains on all of it, and hands out what was promoted.

    It keeps everything in this user's data folder (INKLING_HOME names another one) or, with the setting
    feedback.database, in PostgreSQL. Add members first; behind a proxy that speaks HTTPS no certificate is needed.

    Examples:

      inkling team add maria --admin

      inkling team serve --nights 03:00

      inkling team serve --host 0.0.0.0 --certificate team.pem --key team.key
    """
    import uvicorn

    from server.nights.schedule import Schedule
    from server.settings import feedback_place, user_settings
    from server.team.service import Team, application, certificates

    schedule = Schedule.parse(nights, "--nights")
    if schedule.kind == "idle":
        raise UserError("--nights: expected off or a time of day such as 03:00.")
    secure = certificates(certificate, key)
    members = _members()
    if not members.all():
        raise UserError("The team has no members yet: `inkling team add NAME --admin` makes the first and its token.")
    settings, problems = user_settings()
    for problem in problems:
        err.print(problem, markup=False, highlight=False)
    app = application(Team(feedback_place(), members, settings, schedule))
    scheme = "https" if secure else "http"
    err.print(f"The team's page is {scheme}://{host}:{port}/ (an admin's token opens it).", highlight=False)
    # No access log: nobody has to know who typed when.
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False, **secure)


@team.command()
def add(
    name: Annotated[str, typer.Argument(help="The member's name.")],
    admin: Annotated[bool, typer.Option("--admin", help="May start nights and see the team's page.")] = False,
) -> None:
    """Add a member to the service on this machine, and print their token, once.

    Examples:

      inkling team add maria --admin

      inkling team add tom
    """
    token = _members().add(name, "admin" if admin else "member")
    out.print(token, markup=False, highlight=False)
    err.print(f"This is {name}'s token; it cannot be shown again.", markup=False, highlight=False)


@team.command()
def remove(name: Annotated[str, typer.Argument(help="The member's name.")]) -> None:
    """Let a member of the service on this machine in no more; what they sent stays.

    Example:

      inkling team remove tom
    """
    _members().remove(name)
    out.print(f"{name} is no member any more.", markup=False, highlight=False)


@team.command("list")
def list_members(as_json: AsJson = False) -> None:
    """List the members of the service on this machine.

    Example:

      inkling team list
    """
    from datetime import datetime

    found = _members().all()
    if as_json:
        print_json([{"name": m.name, "role": m.role, "since": m.since, "seen": m.seen or None} for m in found])
        return
    rows = [
        (m.name, m.role, datetime.fromtimestamp(m.seen).strftime("%Y-%m-%d %H:%M") if m.seen else "never")
        for m in found
    ]
    print_table("Members", ("name", "role", "last seen"), rows)


def _account() -> "Account":
    from server.team.account import read_account

    account = read_account()
    if account is None:
        raise UserError("This machine is no member of a team: `inkling team join URL` makes it one.")
    return account


def _members() -> "Members":
    from server.team.members import Members
    from server.team.places import members_file

    return Members(members_file())
