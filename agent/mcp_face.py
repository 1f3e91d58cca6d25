"""The MCP face: the project's search, its files and its linters as tools for any other agent.

It only wires the official SDK to a `Project`. What always holds: every tool only reads, nothing leads out of the
project, and files that may hold secrets are refused.
"""

from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as McpToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from agent.answers import findings_in_words, hits_in_words, lines_in_words
from agent.fix import LintIncompleteError
from agent.project import Project, ToolError, checked, existing
from inkling import __version__
from inkling.errors import UserError

_ONLY_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_PATH = Field(description="A file, relative to the project's folder, with forward slashes.")


def mcp_server(project: Project, name: str) -> MCPServer:
    """A server for one project; `name` is its folder's, for the model to tell several apart."""
    server = MCPServer(
        "inkling",
        title="Inkling",
        version=__version__,
        instructions=f"Search by meaning, files and linter findings of the project {name}. All tools only read.",
    )

    @server.tool(title="Search by meaning", annotations=_ONLY_READS)
    async def semantic_search(
        query: Annotated[str, Field(description="A question, an identifier, code or an error message.")],
        path: Annotated[str | None, Field(description="Only files that match, such as 'src/**/*.py'.")] = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 8,
    ) -> str:
        """Find code and text of the project by meaning, words and names, best first. Lines count from 1."""
        try:
            return hits_in_words(await project.find(query, limit, path))
        except (UserError, ToolError) as error:
            raise McpToolError(str(error)) from error

    @server.tool(title="Diagnostics of a file", annotations=_ONLY_READS)
    async def diagnostics(path: Annotated[str, _PATH]) -> str:
        """What the project's linters find in a file: line:column: severity: message [linter code]."""
        try:
            return findings_in_words(await project.lint(checked(path), await existing(project, path)))
        except (LintIncompleteError, ToolError) as error:
            raise McpToolError(str(error)) from error

    @server.tool(title="Read a file", annotations=_ONLY_READS)
    async def read_file(
        path: Annotated[str, _PATH],
        first: Annotated[int, Field(ge=1, description="The first line, counted from 1.")] = 1,
        last: Annotated[
            int | None, Field(ge=1, description="The last line; at most 400 lines and 40,000 characters are given.")
        ] = None,
    ) -> str:
        """Read lines of a file of the project."""
        try:
            return lines_in_words(await existing(project, path), first, last)
        except ToolError as error:
            raise McpToolError(str(error)) from error

    return server
