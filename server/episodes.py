"""The agent's runs of one session: run, reviewed, applied, taken back.

The loop stands in `agent.loop`; here it gets a project and the editor's model, and what it proposes waits until the
user has reviewed it. What always holds: a file changes only by `apply`, only as an edit that the editor makes, and only
if its text is still the one that the proposal was made from; undo takes back the agent's changes and no others.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types as lsp

from agent.conversation import Chat
from agent.loop import Step, run
from agent.project import checked
from agent.shadow import edits_between, lines_of
from agent.tasks import Kind, Selection, request
from agent.toolbox import Proposal, Toolbox
from agent.undo import undo
from inkling.errors import UserError
from server.learning import Learning
from server.linters.diagnostics import text_edits_of
from server.session_project import SessionProject

_KEPT = 50

Apply = Callable[[lsp.WorkspaceEdit, str], Awaitable[bool]]


class EpisodeError(UserError):
    """What was asked of an episode cannot be done; the text says why."""


@dataclass
class _Kept:
    project: SessionProject
    kind: str
    proposals: dict[str, Proposal]
    applied: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # path: text before and after


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
        toolbox, root = Toolbox(project), str(project.folder.root)

        def tell(step: Step) -> None:
            if step.kind == "call":
                self._learning.signal("tool_called", root, subject=step.name, reference=id)
            told(step)

        episode = await run(request(kind, selection, words), toolbox, self._chat, tell)
        self.keep(id, project, kind, {proposal.path: proposal for proposal in episode.proposals})
        return {
            "finished": episode.finished,
            "text": episode.text,
            "model": episode.model,
            "turns": episode.turns,
            "proposals": [
                {"path": one.path, "uri": project.uri_of(one.path), "before": one.before, "after": one.after,
                 "diff": one.diff}
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

    async def apply(
        self, id: str, reviewed: Mapping[str, str], encoding: lsp.PositionEncodingKind, make: Apply, *, versioned: bool
    ) -> list[str]:
        """Give files the texts that the user has agreed to; returns their paths."""
        kept = self._of(id)
        done = []
        for path, text in reviewed.items():
            proposal = kept.proposals.get(path)
            if proposal is None:
                raise EpisodeError(f"The agent proposed nothing for {path}.")
            if await kept.project.read(checked(path)) != proposal.before:
                raise EpisodeError(f"{path} changed since the agent read it: let it run again.")
            if text == proposal.before:
                continue
            await self._change(kept, path, proposal.before, text, encoding, make, versioned=versioned)
            kept.applied[path] = (proposal.before, text)
            del kept.proposals[path]
            done.append(path)
        return done

    def deny(self, id: str) -> None:
        """The user wants none of what is left."""
        self._of(id).proposals.clear()

    async def undo(
        self, id: str, encoding: lsp.PositionEncodingKind, make: Apply, *, versioned: bool
    ) -> tuple[int, int]:
        """Take back what was applied; returns how many places went back, and how many were changed since and stay."""
        kept = self._of(id)
        if not kept.applied:
            raise EpisodeError("The agent changed nothing here that could be taken back.")
        back = stayed = 0
        for path, (before, after) in list(kept.applied.items()):
            now = await kept.project.read(path)
            if now is not None and before is None and now == after:
                edit = lsp.WorkspaceEdit(document_changes=[lsp.DeleteFile(uri=kept.project.uri_of(path))])
                if not await make(edit, f"Inkling: take back {path}"):
                    raise EpisodeError(f"The editor did not take {path} back.")
                back += 1
            elif now is not None:
                undone = undo(before or "", after, now)
                if undone.back:
                    edit = self._edit(kept.project, path, now, undone.text, encoding, versioned=versioned)
                    if not await make(edit, f"Inkling: take back {path}"):
                        raise EpisodeError(f"The editor did not take {path} back.")
                back, stayed = back + undone.back, stayed + undone.kept
            del kept.applied[path]
        return back, stayed

    async def _change(
        self,
        kept: _Kept,
        path: str,
        before: str | None,
        after: str,
        encoding: lsp.PositionEncodingKind,
        make: Apply,
        *,
        versioned: bool,
    ) -> None:
        uri, place = kept.project.uri_of(path), (str(kept.project.folder.root), path)
        if before is None and not versioned:
            raise EpisodeError(f"This editor cannot be asked to make a new file: make {path} yourself and try again.")
        edit = self._edit(kept.project, path, before, after, encoding, versioned=versioned)
        offer = self._learning.signal("agent_offered", *place, kept.kind, text=kept.proposals[path].diff)
        self._learning.agent_edits(uri, before or "", after, offer, place)
        if not await make(edit, f"Inkling: {kept.kind} {path}"):
            self._learning.agent_edit_refused(uri)
            raise EpisodeError(f"The editor did not apply the edit of {path}.")
        self._learning.signal("agent_applied", *place, kept.kind, offer)

    @staticmethod
    def _edit(
        project: SessionProject,
        path: str,
        before: str | None,
        after: str,
        encoding: lsp.PositionEncodingKind,
        *,
        versioned: bool,
    ) -> lsp.WorkspaceEdit:
        """One file's change; `versioned` binds it to the text that it was made from, for clients that know that."""
        uri, document = project.uri_of(path), project.document(path)
        edits = text_edits_of(edits_between(before or "", after), lines_of(before or ""), encoding.value)
        if not versioned:
            return lsp.WorkspaceEdit(changes={uri: edits})
        identifier = lsp.OptionalVersionedTextDocumentIdentifier(
            uri=uri, version=document.version if document else None
        )
        change = lsp.TextDocumentEdit(identifier, list(edits))
        if before is not None:
            return lsp.WorkspaceEdit(document_changes=[change])
        return lsp.WorkspaceEdit(document_changes=[lsp.CreateFile(uri=uri), change])

    def _of(self, id: str) -> _Kept:
        if id not in self._kept:
            raise EpisodeError("That run is not known any more: the server was started again, or it is long ago.")
        return self._kept[id]
