"""Everything that is alive for one editor: made when it says `initialize`, ended when it leaves.

A session only puts the parts together and answers what is up with them; what they do stands in their modules.
Parts that cannot start (weights missing, a database that cannot be opened) are reported once, and the rest works.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from inkling import folders
from inkling.errors import UserError
from model.adapters import Adapter, Registry
from model.completer import Completer
from model.engine import Engine
from model.gate import FittedGate, Gate
from model.lineage import fitting
from model.shipped import shipped
from model.weights import resolve
from server.champion import ChampionWatch
from server.checking import Taken, checks
from server.context import Context
from server.diagnostics import Diagnostics
from server.documents import Documents
from server.editor_chat import EditorChat
from server.engine_options import engine_options
from server.episodes import Episodes
from server.fixing import Fixer
from server.gate_watch import GateWatch
from server.learning import Learning
from server.linters.command import CommandLinter, command_linter
from server.linters.settings import LinterSettings
from server.loop_delay import LoopDelay
from server.mended import Mended
from server.nights.activity import Activity
from server.nights.live import LiveWatch
from server.nights.scheduler import Nights
from server.nights.state import NightState
from server.offers import Offers
from server.settings import AgentSettings, LintersSettings, Settings, feedback_place, gate_file, merge
from server.status_file import StatusFile
from server.team.loop import TeamSync
from server.workspaces import Workspaces, real

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Client:
    """What the session needs of the editor: who it is, and how to talk to it."""

    encoding: lsp.PositionEncodingKind
    pulls_diagnostics: bool
    roots: tuple[Path, ...]
    tell: Callable[[str], None]
    publish: Callable[[lsp.PublishDiagnosticsParams], None]
    on_index_progress: Callable[[Path, dict[str, Any]], None]
    chat: Callable[[Callable[[], AgentSettings]], EditorChat]
    on_night: Callable[[NightState], None]


class Session:
    """The parts, in the order of a keystroke: documents, workspaces, engine, offers, learning, diagnostics."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self.settings = settings
        self._client = client
        self._told: set[str] = set()
        self._started = time.monotonic()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._check: asyncio.Task[None] | None = None
        base = self._weights(settings.model.base, "There are no completions", tell=settings.completion.enabled)
        embedding = (
            self._weights(settings.index.embedding, "Search goes by words only") if settings.index.enabled else None
        )
        self.activity = Activity()
        self.documents = Documents(client.encoding)
        self.workspaces = Workspaces(settings.index, embedding, self._on_index_progress)
        registry, self._id = Registry(folders.adapters_folder()), uuid.uuid4().hex

        below = shipped(settings.model.base)

        def serving() -> Adapter | None:
            return fitting(registry, registry.serving(settings.model.base, self._id), below)

        self.engine = Engine(
            base,
            name=settings.model.base,
            shipped=below,
            champion=serving,
            options=engine_options(settings),
            report=self._report_from_afar,
        )
        self.completer = Completer(self.engine, self._gate())
        self.learning = Learning(
            feedback_place(),
            settings,
            self.report,
            self._on_taken,
            lambda: {document.uri: document.text for document in self.documents},
        )
        self.context = Context(self.engine, self.workspaces, self.documents, settings)
        self.offers = Offers(self.completer, self.learning, self.workspaces, self.context, settings.completion)
        self.diagnostics = Diagnostics(
            self.workspaces,
            linter_settings(settings.linters, settings.trusted, self.report),
            self.report,
            None if client.pulls_diagnostics else client.publish,
        )
        self.mended = Mended(self.diagnostics, self.learning, self.place_of)
        self.chat = client.chat(lambda: self.settings.agent)
        self.fixer = Fixer(self.diagnostics, self.completer, self.chat, self.report)
        self.episodes = Episodes(self.learning, self.chat)
        self._champion = ChampionWatch(registry, self.engine, serving, self.report)
        self._live = LiveWatch(registry, feedback_place(), settings.model.base, self.report)
        self._gate_watch = GateWatch(gate_file(), self._renew_gate)
        self.nights = Nights(lambda: self.settings, self.learning.consents, client.on_night, self.report)
        self._team = TeamSync(feedback_place(), lambda: self.settings, lambda: self.learning.consents.at_most)
        self._loop_delay = LoopDelay()
        self._status_file = StatusFile(self.status)

    def report(self, message: str) -> None:
        """Tell the user something, once a session."""
        log.warning(message)
        if message not in self._told:
            self._told.add(message)
            self._client.tell(message)

    def _report_from_afar(self, message: str) -> None:
        """As `report`, from any thread."""
        if self._loop is not None and not self._closed:
            self._loop.call_soon_threadsafe(self.report, message)

    def _on_index_progress(self, root: Path, message: dict[str, Any]) -> None:
        self.report_all(message.get("notes", ()))
        self._client.on_index_progress(root, message)

    def start(self) -> None:
        """Start everything that runs by itself. The event loop must be running."""
        self._loop = asyncio.get_running_loop()
        if self.settings.measure_loop:
            self._loop_delay.start()
        self.learning.start()
        if self.settings.completion.enabled:
            self.engine.start()
        self.context.start()
        self._champion.start()
        self._live.start()
        self._gate_watch.start()
        self.nights.start()
        self._team.start()
        self._status_file.start()
        for root in self._client.roots:
            self.workspaces.add(root)

    def configure(self, values: object) -> None:
        """Take over new settings of completions, nights and the agent; all others count from the next start on."""
        wanted, problems = merge(self.settings, values)
        self.report_all(problems)
        self.settings = replace(self.settings, completion=wanted.completion, night=wanted.night, agent=wanted.agent)
        if wanted != self.settings:
            self.report("Some of the new settings count from the next start of the server on: restart it.")
        if self.settings.completion.enabled:
            self.engine.start()
        self.offers.settings = self.settings.completion
        self.context.settings = self.settings
        self._renew_gate()

    def report_all(self, messages: Sequence[str]) -> None:
        """Tell the user several things."""
        for message in messages:
            self.report(message)

    async def close_folder(self, root: Path) -> None:
        """The editor closed a folder: its index process, its search and its linters end."""
        await self.diagnostics.close_folder(real(root))
        await self.workspaces.remove(root)

    def version_of(self, uri: str) -> int | None:
        """The version of a document as it is now; None if it is not open."""
        document = self.documents.get(uri)
        return document.version if document is not None else None

    def place_of(self, path: Path | None) -> tuple[str, str]:
        """A file's workspace and its path in it, as feedback names them; "" where it lies in none."""
        found = self.workspaces.of(path)
        return (str(found[0].root), found[1]) if found else ("", path.name if path else "untitled")

    def status(self) -> dict[str, Any]:
        """What is loaded, how the index stands, and why the last position got nothing."""
        workspaces = self.workspaces.status()
        return {
            "uptimeSeconds": time.monotonic() - self._started,
            "trusted": self.settings.trusted,
            "activity": self.activity.status(workspaces),
            "night": {**self.nights.status(), "trial": self._live.status()},
            "model": self.engine.status(),
            "gate": {"by": self.completer.gate.by, "mode": self.completer.gate.mode},
            "workspaces": [
                {**entry, "consent": self.learning.consents.known(entry["root"]).value} for entry in workspaces
            ],
            "linters": self.diagnostics.status(),
            "feedback": self.learning.status(),
            "lastRefusal": self.offers.last_refusal,
            "snoozedUntil": self.offers.snoozed_until,
            "openDocuments": len(self.documents),
            "loopDelayMs": self._loop_delay.percentiles(),
            "told": sorted(self._told),
        }

    async def close(self) -> None:
        """Stop everything and write what is left."""
        if self._check is not None:
            self._check.cancel()
        self._champion.close()
        self._live.close()
        self._gate_watch.close()
        self.nights.close()
        self._team.close()
        self._loop_delay.close()
        await self.mended.close()
        await asyncio.gather(self.diagnostics.close(), self.workspaces.close())
        self.close_at_once()

    def close_at_once(self) -> None:
        """What must happen even if the client vanished: facts reach the database. May be called twice."""
        if self._closed:
            return
        self._closed = True
        for step in (self.learning.close, self.context.close, self._status_file.close, self.engine.close):
            try:
                step()
            except Exception:  # the others must happen all the same
                log.exception("a part of the session did not end as it should")

    def _gate(self) -> Gate:
        """The gate that was fitted on this user's decisions, where there is one; else the written rule."""
        return Gate(self.settings.completion.mode, FittedGate.load(gate_file()))

    def _renew_gate(self) -> None:
        self.completer.gate = self._gate()

    def _on_taken(self, taken: Taken) -> None:
        """A suggestion was accepted: count what its linters say about it, unless they are still at the last one or
        the session ends: whatever is accepted then is found while its loop may be gone already."""
        if self._closed or self._loop is None or self._loop.is_closed():
            return
        if self._check is None or self._check.done():
            self._check = self._loop.create_task(self._count_faults(taken), name="count faults")

    async def _count_faults(self, taken: Taken) -> None:
        lint = self.diagnostics.checker(taken.uri, taken.language)
        for fact in await checks(taken, lint, self.learning.clock.now()):
            self.learning.recorder.record(fact)

    def _weights(self, name: str, loss: str, *, tell: bool = True) -> Path | None:
        try:
            return resolve(name)
        except UserError as error:
            if tell:
                self.report(f"{loss}: {error}")
            return None


def linter_settings(settings: LintersSettings, trusted: bool, report: Callable[[str], None]) -> LinterSettings:
    """What the linters take; an entry of the user's own that cannot be used is reported and left out."""
    commands: list[CommandLinter] = []
    for number, entry in enumerate(settings.commands):
        try:
            commands.append(command_linter(entry, number))
        except UserError as error:
            report(str(error))
    return LinterSettings(
        ruff=settings.ruff,
        pyright=settings.pyright,
        commands=tuple(commands),
        timeout_seconds=settings.timeout_seconds,
        trusted=trusted,
        interpreter=settings.interpreter,
    )
