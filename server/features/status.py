"""`inkling/status`: what is loaded, how the index stands, and why the last position got nothing."""

from typing import Any

from server.protocol import InklingServer

STATUS = "inkling/status"


def register(server: InklingServer) -> None:
    """Announce the handler."""

    @server.feature(STATUS)
    def status(params: Any) -> dict[str, Any]:
        return server.session.status()
