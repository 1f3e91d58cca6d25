"""The agent's runs of one session: run, reviewed, applied, taken back.

The loop stands in `agent.loop`; here it gets a project and the editor's model, and what it proposes waits until the
user has reviewed it. What always holds: a file changes only by `apply`, only as an edit that the editor makes, and only
if its text is still the one that the proposal was made from; undo takes back the agent's changes and no others.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types as lsp

from agent.conversation import Chat
from agent.loop import Step, run
from agent.project import checked
from agent.shadow import edits_between
from agent.tasks import Kind, Selection, request, tools_of
from agent.toolbox import Proposal, Toolbox
from agent.undo import undo
from feedback.inference import lines_of
from inkling.errors import InklingError, UserError
from server.learning import Learning
from server.offering import Change, Editor, offer
from server.session_project import SessionProject

_KEPT = 50


class EpisodeError(UserError):
    """What was asked of an episode cannot be done; the text says why."""


@dataclass
class _Kept:
    project: SessionProject
    kind: str
    proposals: dict[str, Proposal]
    applied: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # path: text before and after
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # whoever changes files for this episode


@dataclass(frozen=True)
class TakenBack:
    """Of the agent's changes, `back` places went back and `stayed` were changed since.

    `left` are the files that can still be taken back, because `problem` came in between.
    """

    back: int
    stayed: int
    left: tuple[str, ...]
    problem: str


class Episodes:
    """The newest episodes, by their ids. Belongs to the event loop."""

    def __init__(self, learning: Learning, chat: Chat) -> None:
        self._learning = learning
        self._chat = chat
        self._kept: dict[str, _Kept] = {}

    async def run(
        self,
        id: str,
        kind: Kind,
        project: SessionProject,
        selection: Selection | None,
        words: str,
        told: Callable[[Step], None],
    ) -> dict[str, Any]:
        """Let the model work. Raises ChatRefusedError if it cannot be asked."""
        toolbox, root = Toolbox(project, tools_of(kind)), str(project.folder.root)

        def tell(step: Step) -> None:
            if step.kind == "call":
                self._learning.signal("tool_called", root, subject=step.name, reference=id)
            told(step)

        episode = await run(request(kind, selection, words), toolbox, self._chat, tell)
        self.keep(id, project, kind, {proposal.path: proposal for proposal in episode.proposals})
        return {
            "finished": episode.finished,
            "message": episode.problem,
            "text": episode.text,
            "model": episode.model,
            "turns": episode.turns,
            "proposals": [
                {"path": one.path, "place": project.place_of(one.path), "uri": project.uri_of(one.path),
                 "before": one.before, "after": one.after, "diff": one.diff}
                for one in episode.proposals
            ],
        }  # fmt: skip

    def keep(self, id: str, project: SessionProject, kind: str, proposals: dict[str, Proposal]) -> None:
        """Remember what waits for a review; the oldest episode goes."""
        self._kept.pop(id, None)
        if len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[id] = _Kept(project, kind, proposals)

    def applied(self, id: str, path: str, before: str, after: str) -> None:
        """The editor made this change of a kept episode already."""
        self._of(id).applied[path] = (before, after)

    async def apply(self, id: str, reviewed: Mapping[str, str], editor: Editor) -> tuple[list[str], str]:
        """Give files the texts that the user has agreed to, up to the first that cannot have it.

        Returns the paths that have it now, and what went wrong, "" if nothing did. What another call applied already
        is neither.
        """
        kept = self._of(id)
        done: list[str] = []
        async with kept.turn:
            for number, (path, text) in enumerate(reviewed.items(), start=1):
                try:
                    if await self._apply(kept, path, text, editor):
                        done.append(path)
                except InklingError as error:
                    rest = list(reviewed)[number:]
                    return done, f"{error} Not applied either: {', '.join(rest)}." if rest else str(error)
        return done, ""

    def deny(self, id: str) -> None:
        """The user wants none of what is left."""
        self._of(id).proposals.clear()

    async def undo(self, id: str, editor: Editor) -> TakenBack:
        """Take back what was applied, file by file. Raises EpisodeError if there is nothing to take back."""
        kept = self._of(id)
        back, stayed, problems = 0, 0, []
        async with kept.turn:
            if not kept.applied:
                raise EpisodeError("The agent changed nothing here that could be taken back.")
            for path, (before, after) in list(kept.applied.items()):
                try:
                    went, held = await self._take_back(kept.project, path, before, after, editor)
                except InklingError as error:
                    problems.append(str(error))
                    continue
                kept.applied.pop(path, None)
                back, stayed = back + went, stayed + held
            return TakenBack(back, stayed, tuple(kept.applied), " ".join(problems))

    async def _apply(self, kept: _Kept, path: str, text: str, editor: Editor) -> bool:
        """False if there is nothing to do. Raises InklingError."""
        proposal = kept.proposals.get(path)
        if proposal is None:
            if path in kept.applied and kept.applied[path][1] == text:
                return False
            raise EpisodeError(f"No proposal for {path} is left.")
        if text == (proposal.before or ""):
            return False
        if await kept.project.read(checked(path)) != proposal.before:
            raise EpisodeError(f"{path} changed since the agent read it: let it run again.")
        if proposal.before is None and not editor.versioned:
            raise EpisodeError(f"This editor cannot be asked to make a new file: make {path} yourself and try again.")
        change = await self._change(kept.project, path, proposal.before, text)
        label = f"Inkling: {kept.kind} {path}"
        if await offer(change, editor, self._learning, kept.kind, label, proposal.diff) is None:
            raise EpisodeError(f"The editor did not apply the edit of {path}.")
        kept.applied[path] = (proposal.before, text)
        kept.proposals.pop(path, None)
        return True

    async def _take_back(
        self, project: SessionProject, path: str, before: str | None, after: str, editor: Editor
    ) -> tuple[int, int]:
        """How many places of a file went back, and how many stay. Raises InklingError."""
        now = await project.read(path)
        if now is None:
            return 0, 0
        if before is None and lines_of(now) == lines_of(after):
            edit = lsp.WorkspaceEdit(document_changes=[lsp.DeleteFile(uri=project.uri_of(path))])
            back, stayed = 1, 0
        else:
            undone = await asyncio.to_thread(undo, before or "", after, now)
            back, stayed = undone.back, undone.kept
            if not back:
                return back, stayed
            edit = (await self._change(project, path, now, undone.text)).edit(editor)
        if not await editor.make(edit, f"Inkling: take back {path}"):
            raise EpisodeError(f"The editor did not take {path} back.")
        return back, stayed

    @staticmethod
    async def _change(project: SessionProject, path: str, before: str | None, after: str) -> Change:
        """What turns a file that was just read into another text. Raises EpisodeError if its text is another by now."""
        edits = await asyncio.to_thread(edits_between, before or "", after)
        document = project.document(path)
        if document is not None and document.text != before:
            raise EpisodeError(f"{path} changes just now: try again.")
        version = document.version if document is not None else None
        return Change(project.uri_of(path), (str(project.folder.root), path), before, after, edits, version)

    def _of(self, id: str) -> _Kept:
        if id not in self._kept:
            raise EpisodeError("That run is not known any more: the server was started again, or it is long ago.")
        return self._kept[id]
