"""`inkling.agent.fix`: mend one finding of an open document, and offer the edit only if the linters agree.

The agent works on a shadow copy of the unsaved text; this module lends it the document's linters and proposers that
let a model rewrite the flagged lines: the editor's chat model where the user allows it, then the completion model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agent.conversation import ChatRefusedError, Message
from agent.findings import Finding, TextEdit
from agent.fix import FixResult, Propose, fix
from agent.rewrite import edits_of, gaps_of, hint_of
from agent.tasks import code_in, rewrite_request
from index.files import is_secret
from model.completer import Completer
from model.completion import CompletionRequest, Refusal
from server.diagnostics import Diagnostics
from server.documents import Snapshot
from server.editor_chat import EditorChat

_TOKENS_PER_LINE = 24
_COMMENTS = {"javascript": "//", "javascriptreact": "//", "typescript": "//", "typescriptreact": "//"}


@dataclass(frozen=True)
class Fixer:
    """Mends findings with what the session has: linters, a completion model, perhaps a chat model."""

    diagnostics: Diagnostics
    completer: Completer
    chat: EditorChat
    report: Callable[[str], None]

    async def fix(self, snapshot: Snapshot, line: int | None, code: str | None) -> FixResult | None:
        """Try to mend the first finding, or the first on `line` (from 0) or with `code`; None if there is none."""
        lint = self.diagnostics.checker(snapshot.uri, snapshot.language)

        async def rewrite(path: str, text: str, finding: Finding) -> Sequence[Sequence[TextEdit]]:
            return await self._rewrites(snapshot, text, finding)

        found = sorted(await lint(snapshot.uri, snapshot.text), key=lambda finding: finding.span)
        chosen = next((f for f in found if line in (None, f.span.line) and code in (None, f.code)), None)
        if chosen is None:
            return None
        may_ask = self.chat.possible and snapshot.path is not None and not is_secret(snapshot.path)
        asking = self._asking(snapshot.language, len(gaps_of(snapshot.text, chosen))) if may_ask else ()
        return await fix(snapshot.uri, snapshot.text, chosen, lint=lint, proposers=(*asking, rewrite))

    async def _rewrites(self, snapshot: Snapshot, text: str, finding: Finding) -> list[tuple[TextEdit, ...]]:
        """The model's rewrites of the flagged lines: as they stand, and with a comment that says what is wrong."""
        comment = _COMMENTS.get(snapshot.language, "#")
        proposals = []
        for gap in gaps_of(text, finding):
            for prefix in (gap.prefix, hint_of(gap, finding, comment)):
                made = await self.completer.engine.complete(
                    CompletionRequest(
                        snapshot.path.name if snapshot.path else "untitled",
                        snapshot.language,
                        prefix,
                        gap.suffix,
                        block=gap.lines > 1,
                        max_tokens=_TOKENS_PER_LINE * gap.lines,
                    )
                )
                if not isinstance(made, Refusal) and (edits := edits_of(gap, made.text)):
                    proposals.append(edits)
        return proposals

    def _asking(self, language: str, gaps: int) -> list[Propose]:
        """A proposer per gap: what the editor's chat model writes in place of these lines. Each question costs, so the
        next is asked only if the answer before was turned down; none after one that was refused."""
        refused = False

        async def ask(number: int, path: str, text: str, finding: Finding) -> Sequence[Sequence[TextEdit]]:
            nonlocal refused
            found = gaps_of(text, finding)
            if refused or number >= len(found):
                return []
            try:
                asked = Message("user", rewrite_request(found[number], finding, language))
                reply = await self.chat([asked], (), lambda piece: None)
            except ChatRefusedError as error:
                self.report(f"The fix went on without the editor's chat model: {error}")
                refused = True
                return []
            code = code_in(reply.text)
            return [edits] if code is not None and (edits := edits_of(found[number], code)) else []

        return [partial(ask, number) for number in range(gaps)]
