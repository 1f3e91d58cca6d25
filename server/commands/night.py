"""`inkling night` and `inkling night schedule`: learning from what was recorded, now or at a time."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from inkling.errors import UserError
from server.commands.models import AsJson, served_base
from server.commands.printing import out, print_json

if TYPE_CHECKING:
    from model.gate import Mode
    from model.training.runners import Cluster, RunnerName
    from server.settings import Settings

_STAGES_HELP = """What is trained: gate (show or hide), sft (what you wrote), preference (what you wrote instead of an
offer, or what you took and refused), section (whole pieces of the repository's commits, written and rewarded). A stage
without enough data, or on a machine that is too slow for it, is left out, and the record says why."""
_TESTS_HELP = """For the section stage: a command that tests your code, such as 'python -m pytest -q'. It is run in
copies of the repository's commits with what the model wrote in them, so it runs code that nobody has read. The setting
night.tests of your own settings file by default; '' for none."""


nights = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nights.callback()(night)
    nights.command()(schedule)
    nights.command()(worker)
    app.add_typer(nights, name="night")


def night(
    context: typer.Context,
    budget: Annotated[
        str | None, typer.Option("--budget", help="At most so long, such as 90s, 20m, 1h; night.budget by default.")
    ] = None,
    minimum_regions: Annotated[
        int | None,
        typer.Option(help="Train only on at least so many settled regions; night.minimumRegions by default."),
    ] = None,
    stages: Annotated[
        str | None, typer.Option("--stages", help=f"{_STAGES_HELP} The setting night.stages by default.")
    ] = None,
    base: Annotated[str | None, typer.Option("--base", help="Base weights; model.base by default.")] = None,
    tests: Annotated[str | None, typer.Option("--tests", metavar="COMMAND", help=_TESTS_HELP)] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", help="The mode in which the gate is judged; completion.mode by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    give_way: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Wait while the machine is unplugged, and until nobody has typed in an editor for so long.",
        ),
    ] = None,
    canary_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The share of sessions that gets it first; night.canaryShare by default."),
    ] = None,
    runner: Annotated[
        str | None, typer.Option("--runner", help="Who trains: local, accelerate or ray; night.runner by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes of the runner, in all.")] = None,
    machines: Annotated[int | None, typer.Option("--machines", min=1, help="Machines, with accelerate.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster; with accelerate HOST:PORT of this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on what you kept, measure it on what came later, and promote it only if it is better.

    Ends with 0 after a verdict, promoted or refused, with 3 if nothing was trained (there is not enough data, or what
    was promoted last is on trial), and with 75 if it gave way to somebody who works at the machine: started again it
    goes on where it was, like one that was cancelled or killed.

    Examples:

      inkling night

      inkling night --budget 5m --dry-run

      inkling night --stages gate,sft,preference,section --tests 'python -m pytest -q'
    """
    if context.invoked_subcommand is not None:
        return
    from server.night import Plan, duration, stages_of
    from server.night import night as run_night
    from server.nights.pauses import Manners
    from server.settings import feedback_place

    own = _settings().night
    plan = Plan(
        base=served_base(base),
        budget_seconds=duration(own.budget if budget is None else budget),
        minimum_regions=own.minimum_regions if minimum_regions is None else minimum_regions,
        stages=stages_of(own.stages if stages is None else stages),
        mode=_mode(mode),
        tests=own.tests if tests is None else tests,
        dry_run=dry_run,
        canary_share=own.canary_share if canary_share is None else canary_share,
        cluster=_cluster(runner, workers, machines, address, give_way is not None),
        manners=Manners.of(give_way, on_battery=own.on_battery) if give_way is not None else None,
    )
    code = run_night(feedback_place(), plan, json=as_json)
    if code:
        raise typer.Exit(code)


def schedule(
    systemd: Annotated[bool, typer.Option("--systemd", help="A user timer of systemd, for admins.")] = False,
    cron: Annotated[bool, typer.Option("--cron", help="A line for a crontab, for admins.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="What is scheduled, what it waits for, how nights went.")
    ] = False,
    at: Annotated[str, typer.Option("--at", help="The time of day of the timer.")] = "03:00",
    install: Annotated[bool, typer.Option("--install", help="Write it where it belongs, not only print it.")] = False,
    base: Annotated[
        str | None, typer.Option("--base", help="Base weights of the timer's nights; model.base by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say when nights run, or make a timer of the system for machines on which no editor runs.

    On a machine with an editor the setting inkling.night.schedule is all that is needed: "idle", or a time of day.

    Examples:

      inkling night schedule --show

      inkling night schedule --systemd --at 03:30 --install

      inkling night schedule --cron
    """
    if systemd + cron + show > 1:
        raise UserError("Choose one of --systemd, --cron and --show.")
    if install and not (systemd or cron):
        raise UserError("--install needs --systemd or --cron.")
    if not systemd and not cron:
        _show(as_json)
        return
    from server.nights.pauses import GIVE_WAY
    from server.nights.schedule import Schedule
    from server.nights.timers import cron_line, install_cron, install_units, units

    when = Schedule.parse(at, "--at")
    night = _settings().night
    options = ["--base", served_base(base), "--budget", night.budget, "--minimum-regions", str(night.minimum_regions)]
    if night.runner == "local":  # workers elsewhere do not wait
        options += ["--give-way", str(GIVE_WAY)]
    if when.kind != "daily":
        raise UserError(f"--at: expected a time of day such as 03:00, found {at!r}; idle and off are settings.")
    if systemd:
        texts = units(when, options)
        done = install_units(texts) if install else [f"# {name}\n{text}" for name, text in texts.items()]
    else:
        line = cron_line(when, options)
        done = install_cron(line) if install else [line]
    for text in done:
        print(text)


def worker(
    job: Annotated[Path | None, typer.Option("--job", hidden=True)] = None,
    address: Annotated[str, typer.Option("--address", help="HOST:PORT of the machine that the night runs on.")] = "",
    machines: Annotated[int, typer.Option("--machines", min=1, help="How many machines take part.")] = 1,
    machine: Annotated[int, typer.Option("--machine", min=0, help="The number of this one; 0 is the night's.")] = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes on all machines together.")] = 2,
) -> None:
    """Lend this machine to a night that runs on another one (`inkling night --runner accelerate`).

    Start it on every machine but the night's; it waits for the night and ends with it. docs/cluster.md says more.

    Example:

      inkling night worker --address 10.0.0.1:29500 --machines 2 --machine 1 --workers 8
    """
    from model.training.runners import Cluster

    if machine:
        from inkling.process import environment

        launch = Cluster("accelerate", workers, address, machines).launch(None, machine)
        raise typer.Exit(subprocess.call(launch, env=environment()))
    from model.training.jobs import work

    work(job)


def _show(as_json: bool) -> None:
    """The schedule of the settings, what hinders a night now, and how the last one went."""
    from datetime import datetime

    from server.nights.quiet import conditions
    from server.nights.schedule import Schedule, upcoming
    from server.nights.state import read_state

    night, now, last = _settings().night, datetime.now(), read_state()
    scheduled = Schedule.parse(night.schedule)
    at = upcoming(scheduled, last, now, now)
    hindrance = conditions().hindrance(60.0 * night.idle_minutes, on_battery=night.on_battery)
    if as_json:
        found = {"schedule": str(scheduled), "next": at.isoformat(timespec="seconds") if at else None}
        print_json({**found, "waitsFor": hindrance, "last": last.values() if last else None})
        return
    when = "as soon as the machine is free" if at == now else f"from {at:%Y-%m-%d %H:%M} on" if at else "never"
    out.print(f"Schedule: {scheduled} (inkling.night.schedule). Next night: {when}.", highlight=False)
    if at is not None:
        out.print(f"Now: {hindrance or 'nothing hinders a night'}.", highlight=False, markup=False)
        out.print("A server that an editor started begins it; `--systemd` and `--cron` are for machines without.")
    if last is None:
        out.print("No night has run yet.")
        return
    told = last.values()
    began = datetime.fromtimestamp(last.started)
    out.print(f"Last night: {began:%Y-%m-%d %H:%M}, {told['status']}. {told['message']}", highlight=False, markup=False)


def _settings() -> "Settings":
    from server.settings import user_settings

    return user_settings()[0]


def _cluster(
    runner: str | None, workers: int | None, machines: int | None, address: str | None, gives_way: bool
) -> "Cluster | None":
    """Who trains, by the options and else by the user's own settings file; None: the night itself."""
    night = _settings().night
    chosen = night.runner if runner is None else runner
    if chosen == "local":
        return None
    from model.training.runners import RUNNERS, Cluster

    if chosen not in RUNNERS:
        raise UserError(f"Runners are {', '.join(RUNNERS)}, not {chosen!r} (--runner, night.runner).")
    if gives_way:
        raise UserError(
            "--give-way is for a night on this machine alone: workers elsewhere do not wait (--runner local)."
        )
    return Cluster(
        cast("RunnerName", chosen),
        night.workers if workers is None else workers,
        night.address if address is None else address,
        night.machines if machines is None else machines,
    )


def _mode(asked: str | None) -> "Mode":
    from model.gate import Mode

    if asked is None:
        return _settings().completion.mode
    if asked not in get_args(Mode):
        raise UserError(f"Modes are {', '.join(get_args(Mode))}, not {asked!r} (--mode).")
    return cast("Mode", asked)
