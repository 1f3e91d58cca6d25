"""`inkling index | search | complete | check`: what the server does for an editor, from the shell."""

import asyncio
import contextlib
import sys
import time
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from agent.findings import Finding
from index.files import is_secret
from index.languages import language_of
from inkling.errors import UserError
from server.commands.models import AsJson, served_base
from server.commands.printing import counting, err, out, print_json, print_table
from server.settings import IndexSettings, user_settings

if TYPE_CHECKING:
    from index.builder import Builder

_WATCH_SECONDS = 2.0
_PATIENCE = 5.0  # seconds that a search waits for embeddings
Root = Annotated[Path, typer.Option("--root", help="The repository; default: the current folder.")]


class NoSuchFileError(UserError):
    """A file that was named on the command line is not there."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (index, search, complete, check):
        app.command()(command)


def index(
    path: Annotated[Path, typer.Argument(help="The repository.")] = Path(),
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and follow changes.")] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Only say what the index holds.")] = False,
    embedding: Annotated[
        str | None,
        typer.Option("--embedding", help="Embedding weights; 'none': words only. Default: setting index.embedding."),
    ] = None,
    max_files: Annotated[
        int | None, typer.Option(help="Stop after so many files. Default: setting index.maxFiles.")
    ] = None,
    max_file_bytes: Annotated[
        int | None, typer.Option(help="Leave out larger files. Default: setting index.maxFileBytes.")
    ] = None,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Index a repository for search, or say how its index stands.

    Examples:

      inkling index

      inkling index ../project --stats
    """
    from index.builder import Builder
    from index.housekeeping import sweep
    from index.search import Search
    from index.worker import serve

    root = _folder(path)
    settings = IndexSettings() if worker else _index_settings()  # a worker is told everything
    embedding = embedding or settings.embedding
    most_files = settings.max_files if max_files is None else max_files
    most_bytes = settings.max_file_bytes if max_file_bytes is None else max_file_bytes
    folder = None if stats and not watch else _embedding_weights(embedding)
    if worker:
        raise typer.Exit(serve(root, folder, sys.stdin.buffer, sys.stdout.buffer, most_files, most_bytes))
    builder = Builder(root, folder, max_files=most_files, max_file_bytes=most_bytes)
    if not stats:
        sweep()
        with counting("things") as report:
            result = builder.build(lambda progress: report(progress.phase, progress.done, progress.total))
        _say(*result.notes)
    held = Search(root, None).stats()
    print_json(held) if as_json else print_table(str(root), ("what", "how many"), list(held.items()))
    if watch:
        _watch(builder)


def _watch(builder: "Builder") -> None:
    """Follow changes until the user ends it. Looks at sizes and times, which works on every file system."""
    err.print(f"Watching {builder.root}; Ctrl+C ends it.", highlight=False, markup=False)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            _follow(builder)


def _follow(builder: "Builder") -> None:
    """Keep the index up to date, with its lock in hand, until it is removed."""
    with builder:
        while not builder.replaced:
            time.sleep(_WATCH_SECONDS)
            result = builder.build()
            if result.changed or result.removed:
                done = f"{result.changed} files changed, {result.removed} gone, {result.embedded} chunks embedded"
                err.print(done, highlight=False, markup=False)


def search(
    query: Annotated[str, typer.Argument(help="A question, an identifier, a piece of code, an error message.")],
    root: Root = Path(),
    path: Annotated[str | None, typer.Option("--path", help="Only files that match, such as 'src/**/*.py'.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="Only this language.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only functions, methods, classes ...")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many results.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Search a repository by meaning and by words; its index is brought up to date first. Ends with 1 if nothing fits.

    Words are complete; meaning gets a few seconds, and what is left waits for `inkling index` or the next search.

    Examples:

      inkling search "where are retries configured"

      inkling search "parse config" --path "src/**" --json
    """
    from index.builder import Builder
    from index.database import IndexBrokenError, IndexBusyError
    from index.embedding import Embedder
    from index.search import Search

    place, settings = _folder(root), _index_settings()
    weights = _embedding_weights(settings.embedding)
    encoder = cache(partial(Embedder, weights)) if weights is not None else None  # one, for both
    limits = {"max_files": settings.max_files, "max_file_bytes": settings.max_file_bytes}
    try:
        _bring_up_to_date(Builder(place, encoder, **limits))
    except IndexBusyError:
        pass  # an editor has the folder open, and keeps the index up to date
    except IndexBrokenError as error:
        _say(str(error))
    searcher = Search(place, encoder() if encoder is not None else None)
    hits = searcher.search(query, limit=limit, path=path, language=language, kind=kind)
    if as_json:
        print_json([asdict(hit) for hit in hits])
    for hit in [] if as_json else hits:
        name = f" [bold]{escape(hit.scope + '.' if hit.scope else '')}{escape(hit.name)}[/bold]" if hit.name else ""
        out.print(
            f"[cyan]{escape(hit.path)}:{hit.start_line + 1}[/cyan]{name} "
            f"[dim]{hit.kind}, {' + '.join(hit.matched)}[/dim]"
        )
        first = next((line for line in hit.text.splitlines() if line.strip()), "")
        out.print(f"    {first.strip()[:110]}", highlight=False, markup=False)
    if not hits:
        err.print(f"Nothing in {place} fits {query!r}.", markup=False)
        raise typer.Exit(1)


def _bring_up_to_date(builder: "Builder") -> None:
    """All words, and as much of the meaning as a person waits for."""
    from index.database import IndexBrokenError
    from index.embedding import NoMeaningError

    began, late = 0.0, False

    def enough() -> bool:
        nonlocal began, late
        began = began or time.monotonic()  # asked first once the encoder is loaded
        late = time.monotonic() - began >= _PATIENCE
        return late

    with builder, counting("things") as report:
        result = builder.build_words(lambda progress: report(progress.phase, progress.done, progress.total))
        try:
            builder.build_meaning(lambda progress: report(progress.phase, progress.done, progress.total), enough)
        except (NoMeaningError, IndexBrokenError) as error:
            result.notes.append(str(error))
    _say(*result.notes, *builder.take_notes())
    if late:
        _say("Not everything is embedded yet, so some is found by its words only; `inkling index` embeds the rest.")


def complete(
    place: Annotated[
        str, typer.Argument(metavar="FILE:LINE[:COLUMN]", help="Counted from 1; default: the line's end.")
    ],
    base: Annotated[str | None, typer.Option("--base", help="Base weights; model.base by default.")] = None,
    adapter: Annotated[bool, typer.Option(help="Use the champion adapter.")] = True,
    as_json: AsJson = False,
) -> None:
    """Complete at a position of a file, from this file alone: a whole line or block, shown however unsure the model is.
    Ends with 1 if there is nothing to offer.

    Examples:

      inkling complete server/app.py:40

      inkling complete server/app.py:40:12 --json
    """
    from inkling.folders import adapters_folder
    from model.adapters import Registry
    from model.completer import Completer, Offer
    from model.completion import CompletionRequest, Refusal
    from model.engine import Engine
    from model.gate import Gate
    from model.shipped import shipped
    from server.engine_options import engine_options

    file, offset, text = _position(place)
    if is_secret(str(file)):
        raise UserError(f"{file} looks like a file with secrets: the model does not read such files.")
    request = CompletionRequest(file.name, language_of(file.name), text[:offset], text[offset:], wait=True, whole=True)
    settings, problems = user_settings()
    _say(*problems)
    chosen = served_base(base)

    async def answer() -> Offer | Refusal:
        engine = Engine(
            _weights(chosen),
            name=chosen,
            shipped=shipped(chosen),
            champion=lambda: Registry(adapters_folder()).champion(chosen) if adapter else None,
            options=engine_options(settings),
            report=lambda message: err.print(message, highlight=False, markup=False),
        )
        engine.start()
        await engine.ready()
        try:
            return await Completer(engine, Gate("eager")).complete(request)
        finally:
            engine.close()

    with err.status("Loading the model"):
        made = asyncio.run(answer())
    if isinstance(made, Refusal):
        print_json(asdict(made)) if as_json else err.print(f"Nothing: {made.detail}", highlight=False, markup=False)
        raise typer.Exit(1)
    if as_json:
        print_json(asdict(made))
    else:
        out.print(made.text, highlight=False, markup=False)


def check(
    files: Annotated[list[Path], typer.Argument(help="Files to lint.")],
    root: Root = Path(),
    trust: Annotated[
        bool, typer.Option("--trust", help="Also run linters that run the repository's own code.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Lint files with everything that an editor would get. Ends with 1 if there are findings.

    Examples:

      inkling check server/app.py

      inkling check --trust src/*.py --json
    """
    from server.linters.hub import Linters
    from server.session import linter_settings

    settings, problems = user_settings()
    _say(*problems)
    texts = [(file, _read(file)) for file in files]

    async def findings() -> list[tuple[Path, Finding]]:
        linters = Linters(
            _folder(root),
            linter_settings(settings.linters, trust, _say),
            _say,
        )
        try:
            return [
                (file, finding)
                for file, text in texts
                for finding in await linters.lint(str(file.resolve()), language_of(file.name), text)
            ]
        finally:
            await linters.close()

    found = asyncio.run(findings())
    if as_json:
        print_json([{"path": str(file), **asdict(finding)} for file, finding in found])
    else:
        for file, finding in found:
            out.print(_line(file, finding), highlight=False, markup=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)


def _line(file: Path, finding: Finding) -> str:
    """A finding as compilers print it: place, severity, message, and who says so."""
    place = f"{file}:{finding.span.line + 1}:{finding.span.column + 1}"
    return f"{place}: {finding.severity}: {finding.message} [{f'{finding.source} {finding.code}'.strip()}]"


def _folder(path: Path) -> Path:
    resolved = path.resolve()
    if not resolved.is_dir():
        raise NoSuchFileError(f"Expected a folder, found nothing at {resolved}.")
    return resolved


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NoSuchFileError(f"{file} cannot be read: {error.strerror}.") from error


def _index_settings() -> IndexSettings:
    """The user's own; what is wrong with them is said."""
    settings, problems = user_settings()
    _say(*problems)
    return settings.index


def _say(*messages: str) -> None:
    """Sentences for a person, on standard error."""
    for message in messages:
        err.print(message, highlight=False, markup=False)


def _weights(name: str) -> Path:
    from model.weights import resolve

    return resolve(name)


def _embedding_weights(name: str) -> Path | None:
    """None for words alone: where the user wants that, or where there are no weights, which is said."""
    from model.weights import MissingWeightsError

    if name == "none":
        return None
    try:
        return _weights(name)
    except MissingWeightsError as error:
        _say(f"Search goes by words only: {error}")
        return None


def _position(place: str) -> tuple[Path, int, str]:
    """FILE:LINE[:COLUMN], counted from 1, as a file, an offset and the file's text."""
    name, *numbers = place.rsplit(":", 2)
    if len(numbers) == 2 and not numbers[0].isdigit():
        name, numbers = f"{name}:{numbers[0]}", numbers[1:]
    if not numbers or not all(number.isdigit() and int(number) > 0 for number in numbers):
        raise UserError(f"Expected FILE:LINE or FILE:LINE:COLUMN, counted from 1, found {place!r}.")
    file, line = Path(name), int(numbers[0]) - 1
    text = _read(file)
    lines = text.split("\n")
    if not 0 <= line < len(lines):
        raise UserError(f"{file} has {len(lines)} lines; line {line + 1} was asked for.")
    column = int(numbers[1]) - 1 if len(numbers) == 2 else len(lines[line])
    return file, sum(len(one) + 1 for one in lines[:line]) + min(column, len(lines[line])), text
