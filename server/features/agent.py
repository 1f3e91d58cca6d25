"""The agent's commands. So far one: `inkling.agent.fix`, which mends one finding and offers the edit."""

from typing import Any

from lsprotocol import types as lsp

from server.fixing import workspace_edit
from server.protocol import InklingServer

FIX = "inkling.agent.fix"


def register(server: InklingServer) -> None:
    """Announce the commands."""

    @server.command(FIX)
    async def agent_fix(uri: str, *which: Any) -> dict[str, Any]:
        """Arguments: the document's URI, then optionally a line (from 0) and a linter's code."""
        document = server.session.documents.get(uri)
        if document is None:
            return {"fixed": False, "message": f"The editor never opened {uri}."}
        snapshot, encoding = document.snapshot(), document.encoding
        line, code = [*which, None, None][:2]
        result = await server.session.fixer.fix(snapshot, line, code)
        if result is None:
            return {"fixed": False, "message": "No linter finds anything there."}
        tried = [{"title": attempt.title, "refused": attempt.refused} for attempt in result.tried]
        if not result.fixed:
            return {"fixed": False, "message": result.message, "tried": tried}
        if server.session.version_of(uri) != snapshot.version:
            return {"fixed": False, "message": "The text changed while it was being mended.", "tried": tried}
        edit = workspace_edit(snapshot, result, encoding, versioned=_knows_versions(server))
        learning, (root, path) = server.session.learning, server.session.place_of(snapshot.path)
        offer = learning.signal("agent_offered", root, path, "fix", result.finding.code, result.diff)
        learning.agent_edits(uri, snapshot.text, result.text, offer, (root, path))
        answer = await server.workspace_apply_edit_async(lsp.ApplyWorkspaceEditParams(edit, label=result.message))
        if answer.applied:
            learning.signal("agent_applied", root, path, "fix", offer)
            learning.signal("lint_fixed", root, path, result.finding.code, offer)
        else:
            learning.agent_edit_refused(uri)
        return {"fixed": answer.applied, "message": result.message, "diff": result.diff, "tried": tried}


def _knows_versions(server: InklingServer) -> bool:
    workspace = server.client_capabilities.workspace
    return bool(workspace and workspace.workspace_edit and workspace.workspace_edit.document_changes)
