"""`inkling models ...`: weights and adapters. `inkling doctor`: what works here."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from inkling.errors import UserError
from model.catalog import BASE, EMBEDDING
from server.commands.printing import counting, err, out, print_json, print_table

if TYPE_CHECKING:
    from model.adapters import Adapter, Registry

DEFAULT_BASE = BASE.name
DEFAULT_EMBEDDING = EMBEDDING.name

models = typer.Typer(
    help="Fetch base weights; list, promote, roll back, retire, export and import adapters.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Packages = Annotated[
    list[str],
    typer.Argument(
        metavar="PACKAGE...", help="NAME or NAME==VERSION from the package index, or a folder. None of it is run."
    ),
]
Base = Annotated[
    str | None, typer.Option("--base", help="The base weights that the adapter belongs to; model.base by default.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(models, name="models")
    app.command()(doctor)


def served_base(asked: str | None) -> str:
    """The base that is asked for, else that of the user's own settings file."""
    if asked is not None:
        return asked
    from server.settings import user_settings

    return user_settings()[0].model.base


@models.command()
def pull(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="A known name, hub:ORG/NAME, or path:FOLDER.")
    ] = None,
) -> None:
    """Fetch weights once; afterwards everything works offline. Without SOURCE: the default base and embedding.

    Examples:

      inkling models pull

      inkling models pull hub:Qwen/Qwen2.5-Coder-0.5B
    """
    from model.weights import pull as pull_weights

    for source in sources or [DEFAULT_BASE, DEFAULT_EMBEDDING]:
        err.print(source, highlight=False, markup=False)
        with counting("bytes") as report:
            folder = pull_weights(source, report=report)
        err.print(f"  is in {folder}", highlight=False, markup=False)


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the weights on this machine and the adapters trained on them.

    Example:

      inkling models list --json
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from model.weights import installed, source_of

    registry = Registry(adapters_folder())
    weights, adapters = installed(), registry.list()
    told = {adapter.name: (registry.note(adapter.name), _verdict(registry, adapter)) for adapter in adapters}
    if as_json:
        rows = [{**asdict(a), "note": told[a.name][0], "verdict": told[a.name][1]} for a in adapters]
        sources = {name: source_of(folder) for name, folder in weights.items()}
        print_json(
            {"weights": {name: str(folder) for name, folder in weights.items()}, "sources": sources, "adapters": rows}
        )
        return
    print_table("Weights", ("model.base", "folder"), [(source_of(folder), folder) for folder in weights.values()])
    print_table(
        "Adapters",
        ("name", "state", "base", "made", "verdict", "note"),
        [(a.name, a.state, a.base, _when(a.at), told[a.name][1], told[a.name][0]) for a in adapters],
    )


@models.command()
def live(
    base: Base = None,
    as_json: AsJson = False,
) -> None:
    """Say how what a night promoted does in use, against what was served before. Servers decide on it by themselves.

    Example:

      inkling models live
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from server.nights.live import live_verdict
    from server.settings import feedback_place

    base = served_base(base)
    judged = live_verdict(Registry(adapters_folder()), feedback_place(), base)
    if judged is None:
        if as_json:
            print_json(None)
        else:
            out.print(f"No adapter is on trial on {base}.")
        return
    trial, verdict = judged
    if as_json:
        print_json({"trial": asdict(trial), **verdict.values})
        return
    served = f"{trial.share:.0%} of the sessions" if trial.share < 1 else "all sessions"
    out.print(
        f"{trial.adapter} is served to {served} since {_when(trial.since)}, against {trial.against or 'the base'}.",
        highlight=False,
    )
    out.print(f"{verdict.status}: {verdict.reason}.", highlight=False)
    rows = [
        (f.name, f"{f.new:.3g}{_unit(f.unit)}", f"{f.old:.3g}{_unit(f.unit)}", _change(f.difference, f.unit),
         f"{_change(f.lower, f.unit)} to {_change(f.upper, f.unit)}")
        for f in verdict.figures
    ]  # fmt: skip
    if rows:
        print_table("In use", ("figure", "it", "before", "change", "99% interval"), rows)


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="An adapter from `inkling models list`.")],
    output: Annotated[Path | None, typer.Option("--output", help="Write the page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the record of an adapter's night as a page of plots: losses, guards, verdict, stages, figures in use.

    Examples:

      inkling models show night-2026-11-24-a

      inkling models show night-2026-11-24-a --json
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from server.nights.record_page import PAGE_FILE, record_page

    registry = Registry(adapters_folder())
    record = registry.record(name)
    if as_json:
        print_json(record)
        return
    target = output or registry.get(name).folder / PAGE_FILE
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(record_page(record, name), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The page cannot be written to {target} ({error.strerror}): choose another --output."
        ) from error
    out.print(str(target.resolve()), highlight=False, markup=False, soft_wrap=True)


@models.command()
def note(
    name: Annotated[str, typer.Argument(help="An adapter from `inkling models list`.")],
    text: Annotated[str, typer.Argument(help='What to remember about it; "" takes the note away.')],
) -> None:
    """Keep a note about an adapter.

    Example:

      inkling models note night-2026-11-24-a "before the move to asyncio"
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry

    Registry(adapters_folder()).set_note(name, text)


@models.command()
def rename(
    name: Annotated[str, typer.Argument(help="An adapter from `inkling models list`.")],
    new: Annotated[str, typer.Argument(help="Lower-case letters, digits, '.', '_' and '-'.")],
) -> None:
    """Give an adapter another name.

    Example:

      inkling models rename night-2026-11-24-a before-asyncio
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry

    out.print(f"{name} is called {Registry(adapters_folder()).rename(name, new).name} now.", highlight=False)


@models.command()
def promote(name: Annotated[str, typer.Argument(help="An adapter from `inkling models list`.")]) -> None:
    """Make an adapter the champion by hand. Running servers switch to it within seconds.

    Example:

      inkling models promote night-2026-11-24-a
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from model.lineage import promote_fitting

    adapter = promote_fitting(Registry(adapters_folder()), name)
    out.print(f"{adapter.name} is now the champion on {adapter.base}; `inkling models rollback` takes it back.")


@models.command()
def rollback(base: Base = None) -> None:
    """Take back what was served last: the canary, else the champion, for the one before it or the bare base.

    Example:

      inkling models rollback
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry

    base = served_base(base)
    adapter = Registry(adapters_folder()).rollback(base)
    out.print(f"{base} is served {f'with {adapter.name}' if adapter else 'bare'} now.")


@models.command()
def retire(name: Annotated[str, typer.Argument(help="An adapter from `inkling models list`.")]) -> None:
    """Take an adapter that is not the champion out of the running: a canary's trial ends, no rollback reaches it.

    Example:

      inkling models retire night-2026-11-24-a
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry

    adapter = Registry(adapters_folder()).retire(name)
    out.print(f"{adapter.name} is retired; `inkling models promote {adapter.name}` serves it all the same.")


@models.command()
def export(
    target: Annotated[Path, typer.Option("--out", help="A new folder, or a new file for gguf.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[ADAPTER]", help="From `inkling models list`; default: the champion.")
    ] = None,
    form: Annotated[
        Literal["peft", "merged", "gguf"], typer.Option("--form", help="A LoRA folder, whole weights, or one file.")
    ] = "merged",
    base: Base = None,
) -> None:
    """Write what is served, for other programs: base, shipped adapter and yours together.

    peft: one LoRA for the base as it came. merged: a folder that transformers loads. gguf: a file for llama.cpp.

    Examples:

      inkling models export --out ~/mine

      inkling models export night-2026-11-24-a --form gguf --out ~/mine.gguf
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from model.exchange import export as write
    from model.shipped import shipped
    from model.weights import resolve

    registry, base = Registry(adapters_folder()), served_base(base)
    chosen = registry.get(name) if name is not None else registry.champion(base)
    if chosen is not None and chosen.dropped:
        raise UserError(f"{chosen.name} has no weights any more, only its record: choose another adapter.")
    base = chosen.base if chosen is not None else base
    below = shipped(base)
    folders = [*([below.folder] if below is not None else []), *([chosen.folder] if chosen is not None else [])]
    with err.status("Writing"):
        write(resolve(base), folders, form, target.expanduser(), base=base)
    out.print(f"{target} holds {base} with {chosen.name if chosen is not None else 'no adapter of yours'}.")


@models.command("import")
def import_adapter(
    folder: Annotated[Path, typer.Argument(help="A PEFT folder with a plain LoRA.")],
    name: Annotated[str | None, typer.Option("--name", help="What it is called here.")] = None,
    below: Annotated[
        bool, typer.Option("--below", help="What `inkling pretrain` made for a base: served below all others.")
    ] = False,
    base: Base = None,
) -> None:
    """Take a LoRA in as a candidate. It is served on top of what is shipped, once it is promoted.

    Examples:

      inkling models import ~/theirs --name theirs && inkling models promote theirs

      inkling models import adapter --below --base hub:Qwen/Qwen2.5-Coder-0.5B
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from model.exchange import import_adapter as take
    from model.exchange import take_below
    from model.weights import resolve

    registry, base = Registry(adapters_folder()), served_base(base)
    if below:
        take_below(folder.expanduser(), base=base, base_folder=resolve(base), registry=registry)
        out.print(f"It is served below all adapters on {base} from the next start of a server on.", highlight=False)
        return
    adapter = take(folder.expanduser(), base=base, base_folder=resolve(base), registry=registry, name=name)
    out.print(f"{adapter.name} is a candidate on {base} now; `inkling models promote {adapter.name}` serves it.")


def doctor(as_json: AsJson = False) -> None:
    """Say what works on this machine, what does not, and how to mend it. Ends with 1 if something is broken.

    Example:

      inkling doctor
    """
    from server.doctor import checks, worst

    with err.status("Looking at this machine"):
        found = checks()
    if as_json:
        print_json({"state": worst(found), "checks": [asdict(check) for check in found]})
    else:
        marks = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}
        width = max(len(check.name) for check in found)
        for check in found:
            out.print(
                f"{marks[check.state]:<22}{check.name:<{width + 2}}{escape(check.found)}",
                highlight=False,
                soft_wrap=True,
            )
            if check.mend:
                out.print(
                    f"{'':<6}{'':<{width + 2}}mend: {escape(check.mend)}", highlight=False, style="dim", soft_wrap=True
                )
    if worst(found) == "fail":
        raise typer.Exit(1)


def _verdict(registry: "Registry", adapter: "Adapter") -> str:
    """What became of it, from its record: the live verdict, else that of its night; and whether it can be served."""
    from model.adapters import RegistryError

    try:
        record = registry.record(adapter.name)
    except RegistryError as error:
        return str(error)
    live = record.get("live", ())
    told = str(live[-1]["decision"] if live else record.get("status", ""))
    return f"{told}, weights dropped" if adapter.dropped else told


def _unit(unit: str) -> str:
    return " s" if unit == "x" else unit


def _change(value: float, unit: str) -> str:
    return f"{value:.2f}x" if unit == "x" else f"{value:+.3g}{unit}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
