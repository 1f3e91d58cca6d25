"""A session without a model, an index or linters, of an editor that only takes note of what is published."""

import pytest
from lsprotocol import types as lsp

from feedback.consent import Consent, set_consent
from server.session import Client, Session
from server.settings import CompletionSettings, IndexSettings, LintersSettings, Settings

WORKSPACE = "/home/me/project"


@pytest.fixture
def published() -> list[lsp.PublishDiagnosticsParams]:
    """What the session published."""
    return []


@pytest.fixture
def session(published: list[lsp.PublishDiagnosticsParams]) -> Session:
    """Not started, and whoever asks for it ends it; what is done in WORKSPACE may be recorded."""
    set_consent(WORKSPACE, Consent.LOCAL)
    settings = Settings(
        completion=CompletionSettings(enabled=False),
        index=IndexSettings(enabled=False),
        linters=LintersSettings(ruff=False, pyright=False),
    )
    client = Client(
        encoding=lsp.PositionEncodingKind.Utf16,
        pulls_diagnostics=False,
        roots=(),
        tell=lambda message: None,
        publish=published.append,
        on_index_progress=lambda root, message: None,
        chat=lambda settings: None,  # type: ignore[arg-type, return-value]
        on_night=lambda state: None,
    )
    return Session(settings, client)
