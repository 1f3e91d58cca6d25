"""`inkling/status`: what is loaded, how the index stands, and why the last position got nothing."""

from typing import Any

from inkling import folders
from server.protocol import InklingServer

STATUS = "inkling/status"


def register(server: InklingServer) -> None:
    """Announce the handler."""

    @server.feature(STATUS)
    def status(params: Any) -> dict[str, Any]:
        return {**server.session.status(), "places": places(server.session.settings.feedback.database)}


def places(database: str) -> dict[str, str]:
    """Where things are kept, for a person; the address of a database may hold a password and is not told."""
    return {
        "feedback": "a PostgreSQL database" if database else str(folders.feedback_database()),
        "index": str(folders.index_folder()),
        "encoded": str(folders.documents_folder()),
        "logs": str(folders.logs_folder()),
    }
