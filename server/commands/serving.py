"""`inkling serve`: the language server."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    tcp: Annotated[
        str | None, typer.Option("--tcp", metavar="HOST:PORT", help="Listen there instead, for debugging.")
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", hidden=True)] = True,  # what many clients append
) -> None:
    """Serve one editor over standard input and output.

    Editors start this themselves.

    Examples:

      inkling serve

      inkling serve --tcp 127.0.0.1:2087
    """
    from server.app import serve_stdio, serve_tcp

    if tcp is None:
        serve_stdio()
        return
    host, _, port = tcp.rpartition(":")
    if not port.isdigit():
        raise typer.BadParameter(f"expected HOST:PORT, found {tcp!r}", param_hint="--tcp")
    serve_tcp(host or "127.0.0.1", int(port))
