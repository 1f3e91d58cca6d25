"""A change that the agent makes of one file, as the editor is asked to make it, and as the feedback is told of it.

What always holds: an open document is changed only from the text that the change was made from, as long as the client
knows edits that are bound to a version; what the editor did not do is never told as done.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lsprotocol import types as lsp

from agent.findings import TextEdit
from agent.shadow import lines_of
from server.learning import Learning
from server.linters.diagnostics import text_edits_of


@dataclass(frozen=True)
class Editor:
    """How this client is asked: `make` gives it an edit and a label, and says whether it made the edit.

    `versioned` clients know edits that are bound to a text's version, and make and delete files.
    """

    make: Callable[[lsp.WorkspaceEdit, str], Awaitable[bool]]
    encoding: lsp.PositionEncodingKind
    versioned: bool


@dataclass(frozen=True)
class Change:
    """`edits` turn `before` into `after`; `before` is None for a new file, `version` for one that is not open."""

    uri: str
    place: tuple[str, str]  # workspace and path
    before: str | None
    after: str
    edits: Sequence[TextEdit]
    version: int | None

    def edit(self, editor: Editor) -> lsp.WorkspaceEdit:
        """The change in the client's terms."""
        edits = text_edits_of(self.edits, lines_of(self.before or ""), editor.encoding.value)
        if not editor.versioned:
            return lsp.WorkspaceEdit(changes={self.uri: edits})
        identifier = lsp.OptionalVersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        made = lsp.TextDocumentEdit(identifier, list(edits))
        return lsp.WorkspaceEdit(
            document_changes=[made] if self.before is not None else [lsp.CreateFile(uri=self.uri), made]
        )


async def offer(
    change: Change, editor: Editor, learning: Learning, kind: str, label: str, diff: str, reference: str = ""
) -> str | None:
    """Have the editor make a change; returns the id of the signal that offered it, None if the editor did not.

    `kind` is what the agent was asked for, `reference` what it is about, such as a linter's code.
    """
    id = learning.signal("agent_offered", *change.place, subject=kind, reference=reference, text=diff)
    learning.agent_edits(change.uri, change.before or "", change.after, id, change.place)
    if not await editor.make(change.edit(editor), label):
        learning.agent_edit_refused(change.uri)
        return None
    learning.signal("agent_applied", *change.place, subject=kind, reference=id)
    return id
