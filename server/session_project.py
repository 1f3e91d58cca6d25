"""The project as an editor's session has it: unsaved texts first, the index that is kept beside, the folder's linters.

One open folder. Its paths are relative; `uri_of` gives them back to the editor in the way that it names the folder.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agent.findings import Finding
from index.languages import language_of
from index.records import Hit
from server.diagnostics import Diagnostics
from server.disk_project import read_inside
from server.documents import Documents, OpenDocument
from server.workspaces import Folder, Workspaces


@dataclass(frozen=True)
class SessionProject:
    """One folder of a session; see `agent.project.Project`."""

    folder: Folder
    workspaces: Workspaces
    documents: Documents
    diagnostics: Diagnostics

    async def find(self, query: str, limit: int, path: str | None) -> Sequence[Hit]:
        """The folder's hits; others are open in the editor, too."""
        found = await self.workspaces.search(query, limit=limit, path=path, folder=self.folder)
        return [hit for _, hit in found]

    async def read(self, path: str) -> str | None:
        """The text as the editor has it, else the file on disk."""
        document = self.document(path)
        return document.text if document else await asyncio.to_thread(read_inside, self.folder.root, path)

    async def lint(self, path: str, text: str) -> list[Finding]:
        """The findings of any text under this name."""
        document, uri = self.document(path), self.uri_of(path)
        return await self.diagnostics.checker(uri, document.language if document else language_of(path))(uri, text)

    def document(self, path: str) -> OpenDocument | None:
        """The file, if the editor has it open."""
        return self.documents.at(self.folder.named / path, self.folder.root / path)

    def place_of(self, path: str) -> str:
        """Where the file stands behind links, as a path in the folder; `path` itself where that is not in it."""
        try:
            return (self.folder.root / path).resolve().relative_to(self.folder.root).as_posix()
        except (OSError, ValueError, RuntimeError):
            return path

    def uri_of(self, path: str) -> str:
        """The file as the editor names it."""
        document = self.document(path)
        return document.uri if document else (self.folder.named / path).as_uri()
