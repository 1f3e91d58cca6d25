"""The agent: `inkling.agent.fix` mends one finding; `inkling/agent` is a run with the editor's chat model.

`inkling/agent` takes `id` (of the client's choice), `kind` (ask, explain, document, test), `text` (the question), `uri`
and `range`, and `partialResultToken`, under which each step comes as `$/progress`. It answers with the model's `text`
and `proposals` that nothing was done with yet (`path` as the model named the file, `place` where that stands behind
links), and says in `message` why the model refused to go on, if it did; or with `refused` and `message` where it did
nothing. `inkling.agent.apply` makes the edits that the user agreed to, `inkling.agent.deny` drops them,
`inkling.agent.undo` takes back what was applied. Both say which files, and in `message` what went wrong with others.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from agent.conversation import ChatRefusedError
from agent.loop import Step
from agent.project import ToolError, checked
from agent.shadow import lines_of
from agent.tasks import KINDS, Kind, Selection
from index.selection import definition_around
from inkling.errors import InklingError
from server.documents import OpenDocument
from server.offering import Change, Editor, offer
from server.protocol import InklingServer, plain
from server.session_project import SessionProject

log = logging.getLogger(__name__)

FIX = "inkling.agent.fix"
APPLY = "inkling.agent.apply"
DENY = "inkling.agent.deny"
UNDO = "inkling.agent.undo"
AGENT = "inkling/agent"


def register(server: InklingServer) -> None:
    """Announce the handlers of this module."""

    @server.feature(lsp.PROGRESS)
    def progress(params: lsp.ProgressParams) -> None:
        server.session.chat.progress(params.token, params.value)

    @server.feature(AGENT)
    async def agent(params: Any) -> dict[str, Any]:
        with server.session.activity.working("agent"):
            return await _run(server, plain(params) or {})

    @server.command(APPLY)
    async def apply(id: str, reviewed: Any) -> dict[str, Any]:
        """Arguments: the run's id, and the reviewed text of each file by its path."""
        texts = plain(reviewed)
        if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
            return {"applied": [], "message": "Expected the reviewed text of each file by its path."}
        try:
            paths, message = await server.session.episodes.apply(id, texts, _editor(server))
        except InklingError as error:
            return {"applied": [], "message": str(error)}
        return {"applied": paths, "message": message}

    @server.command(DENY)
    def deny(id: str) -> dict[str, Any]:
        try:
            server.session.episodes.deny(id)
        except InklingError as error:
            return {"message": str(error)}
        return {"message": ""}

    @server.command(UNDO)
    async def undo(id: str) -> dict[str, Any]:
        try:
            taken = await server.session.episodes.undo(id, _editor(server))
        except InklingError as error:
            return {"undone": 0, "kept": 0, "left": [], "message": str(error)}
        said = [f"Taken back: {taken.back} of the agent's changes."]
        said += [f"{taken.stayed} were changed since and stay."] if taken.stayed else []
        message = " ".join(filter(None, [*said, taken.problem]))
        return {"undone": taken.back, "kept": taken.stayed, "left": list(taken.left), "message": message}

    @server.command(FIX)
    async def agent_fix(uri: str, *which: Any) -> dict[str, Any]:
        """Arguments: the document's URI, then optionally a line (from 0), a linter's code, and an id for `undo`."""
        document = server.session.documents.get(uri)
        if document is None:
            return {"fixed": False, "message": f"The editor never opened {uri}."}
        snapshot = document.snapshot()
        line, code, id = [*which, None, None, None][:3]
        with server.session.activity.working("agent"):
            result = await server.session.fixer.fix(snapshot, line, code)
        if result is None:
            return {"fixed": False, "message": "No linter finds anything there."}
        tried = [{"title": attempt.title, "refused": attempt.refused} for attempt in result.tried]
        if not result.fixed:
            return {"fixed": False, "message": result.message, "tried": tried}
        if server.session.version_of(uri) != snapshot.version:
            return {"fixed": False, "message": "The text changed while it was being mended.", "tried": tried}
        learning, place = server.session.learning, server.session.place_of(snapshot.path)
        change = Change(uri, place, snapshot.text, result.text, result.edits, snapshot.version)
        code = result.finding.code
        offered = await offer(change, _editor(server), learning, "fix", result.message, result.diff, code)
        if offered is None:
            return {"fixed": False, "message": "The editor did not apply the edit.", "tried": tried}
        learning.signal("lint_fixed", *place, code, offered)
        if id is not None and (project := _project(server, document)) is not None:
            server.session.episodes.keep(str(id), project, "fix", {})
            server.session.episodes.applied(str(id), place[1], snapshot.text, result.text)
        return {"fixed": True, "message": result.message, "diff": result.diff, "tried": tried}


async def _run(server: InklingServer, asked: Mapping[str, Any]) -> dict[str, Any]:
    id, kind, token = str(asked.get("id") or ""), asked.get("kind"), asked.get("partialResultToken")
    if kind not in KINDS or not id:
        return _refused("bad_request", f"Expected an `id` and one of {', '.join(KINDS)}, found {kind!r}.")
    uri = asked.get("uri")
    document = server.session.documents.get(uri) if isinstance(uri, str) else None
    project = _project(server, document)
    if project is None:
        return _refused("no_folder", "The agent works in an open folder: open the one that the code belongs to.")

    def tell(step: Step) -> None:
        if token is not None:
            server.progress(lsp.ProgressParams(token, asdict(step)))

    try:
        selection = await _selection(project, document, asked.get("range")) if document is not None else None
        words = str(asked.get("text") or "")
        return await server.session.episodes.run(id, cast(Kind, kind), project, selection, words, tell)
    except ChatRefusedError as error:
        return _refused(error.reason, str(error))
    except ToolError as error:  # a file with secrets
        return _refused("not_allowed", str(error))


def _refused(reason: str, message: str) -> dict[str, Any]:
    return {"refused": reason, "message": message}


def _project(server: InklingServer, document: OpenDocument | None) -> SessionProject | None:
    """The folder of the document, else the first that is open."""
    session = server.session
    folder = session.workspaces.folder_of(document.path if document is not None else None)
    if folder is None:
        return None
    return SessionProject(folder, session.workspaces, session.documents, session.diagnostics)


async def _selection(project: SessionProject, document: OpenDocument, asked: Any) -> Selection | None:
    """The lines that are asked about: the selection, or the definition around the cursor. Raises ToolError."""
    within = project.folder.relative(document.path) if document.path is not None else None
    if within is None:
        return None
    path, language, text = checked(within), document.language, document.text
    lines = lines_of(text)
    if not isinstance(asked, Mapping):
        return Selection(path, language, 0, len(lines) - 1, text)
    first, last = int(asked["start"]["line"]), int(asked["end"]["line"])
    if asked["start"] == asked["end"]:
        around = await asyncio.to_thread(definition_around, language, text, first)
        first, last = around if around is not None else (first, last)
    return Selection(path, language, first, last, "\n".join(lines[first : last + 1]))


def _editor(server: InklingServer) -> Editor:
    """The client, as it can be asked for edits."""

    async def make(edit: lsp.WorkspaceEdit, label: str) -> bool:
        try:
            answer = await server.workspace_apply_edit_async(lsp.ApplyWorkspaceEditParams(edit, label=label))
        except JsonRpcException as error:
            log.warning("the editor answered an edit with an error: %s", error)
            return False
        return answer.applied

    workspace = server.client_capabilities.workspace
    versioned = bool(workspace and workspace.workspace_edit and workspace.workspace_edit.document_changes)
    return Editor(make, server.session.documents.encoding, versioned)
