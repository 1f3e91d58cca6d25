"""Ghost text: `textDocument/inlineCompletion`, and the commands by which a client reports what became of things."""

import logging

from lsprotocol import types as lsp

from model.completion import Refusal
from server.documents import path_of
from server.offers import Offered
from server.protocol import InklingServer

log = logging.getLogger(__name__)

ACCEPT = "inkling.accept"
DISMISS = "inkling.dismiss"
SHOWN = "inkling.shown"
OPENED = "inkling.opened"
SNOOZE = "inkling.snooze"


def register(server: InklingServer) -> None:
    """Announce the handlers of this module."""

    # Without options pygls does not announce the provider at all.
    @server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())
    async def inline_completion(params: lsp.InlineCompletionParams) -> lsp.InlineCompletionList:
        session = server.session
        session.activity.touch()
        document = session.documents.get(params.text_document.uri)
        if document is None:
            session.offers.note(Refusal("not_open", "The editor never opened this document."), params.text_document.uri)
            return lsp.InlineCompletionList(items=[])
        offset = document.offset(params.position)
        start, snapshot = document.position(offset), document.snapshot()
        by_hand = params.context.trigger_kind is lsp.InlineCompletionTriggerKind.Invoked
        try:
            if by_hand:
                found = await session.offers.by_hand(snapshot, offset, session.version_of)
            else:
                one = await session.offers.offer(snapshot, offset, session.version_of)
                found = one if isinstance(one, Refusal) else (one,)
        except Exception:  # an error here would be a popup on every keystroke
            log.exception("a completion failed")
            session.offers.note(Refusal("failed", "The completion failed; the log has the details."), snapshot.uri)
            return lsp.InlineCompletionList(items=[])
        items = () if isinstance(found, Refusal) else found
        return lsp.InlineCompletionList(items=[_item(one, start) for one in items])

    @server.command(ACCEPT)
    def accept(suggestion: str, *length: int) -> None:
        server.session.offers.settle_on(suggestion)
        server.session.learning.accepted(suggestion, length[0] if length else None)

    @server.command(DISMISS)
    def dismiss(suggestion: str) -> None:
        server.session.offers.settle_on(suggestion)
        server.session.learning.dismissed(suggestion)

    @server.command(SHOWN)
    def shown(suggestion: str) -> None:
        server.session.offers.looked_at(suggestion, server.session.version_of)
        server.session.learning.shown(suggestion)

    @server.command(OPENED)
    def opened(search: str, uri: str, *rank: int) -> None:
        """The user opened a hit of the search `search` (the `id` of its answer); `rank` counts from 0."""
        root, path = server.session.place_of(path_of(uri))
        values = {"rank": float(rank[0])} if rank else {}
        server.session.learning.signal("search_opened", root, path, "meaning", search, values=values)

    @server.command(SNOOZE)
    def snooze(*minutes: float) -> None:
        server.session.offers.snooze(60 * (minutes[0] if minutes else 15))


def _item(offer: Offered, start: lsp.Position) -> lsp.InlineCompletionItem:
    return lsp.InlineCompletionItem(
        insert_text=offer.text,
        range=lsp.Range(start, _end(start, offer.replaces)),
        command=lsp.Command("Inkling: accepted", ACCEPT, arguments=[offer.id]),
    )


def _end(start: lsp.Position, replaced: int) -> lsp.Position:
    """What is replaced are closing brackets and quotes on the same line: one code unit each in any encoding."""
    return lsp.Position(start.line, start.character + replaced)
