"""Pull diagnostics (`textDocument/diagnostic`). Pushing, for clients without it, is `server.diagnostics`' own work."""

from lsprotocol import types as lsp

from server.protocol import InklingServer


def register(server: InklingServer) -> None:
    """Announce the handler."""
    options = lsp.DiagnosticOptions(inter_file_dependencies=False, workspace_diagnostics=False, identifier="inkling")

    @server.feature(lsp.TEXT_DOCUMENT_DIAGNOSTIC, options)
    async def diagnostic(params: lsp.DocumentDiagnosticParams) -> lsp.RelatedFullDocumentDiagnosticReport:
        document = server.session.documents.get(params.text_document.uri)
        found = await server.session.diagnostics.of(document) if document is not None else []
        return lsp.RelatedFullDocumentDiagnosticReport(items=found)
