"""From a cursor to an offer: cheap refusals, context, the completer, and what is remembered of it.

Where somebody asks by hand nothing is weighed, the offer is shown; and there may be others for the same place, which
are recorded only once one of them is looked at.

Belongs to the event loop; the model and the index work on threads and processes of their own. Nothing here
knows the protocol: `features.completion` translates.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from feedback.records import ContextDocument, Decision, Suggestion
from index.files import is_secret
from model.completer import Completer, Offer
from model.completion import CompletionRequest, Refusal
from model.document import Document
from server.context import Context
from server.documents import Snapshot
from server.learning import Learning
from server.settings import CompletionSettings
from server.workspaces import Workspaces

_STORED_PREFIX = 4000  # characters before the cursor that are kept with a suggestion
_STORED_SUFFIX = 1000
_STORED_DOCUMENTS = 6000  # characters of what was attended to
_MOST_OTHERS = 2
_OTHERS_SECONDS = 0.5  # after so long no other one is begun: somebody waits

CurrentVersion = Callable[[str], int | None]  # the version of a document now; None if it is closed


@dataclass(frozen=True)
class Offered:
    """An offer under its id. `replaces` is how many characters after the cursor the text takes the place of."""

    id: str
    text: str
    replaces: int = 0


@dataclass
class _Last:
    """The offer that a document shows now: typing its own text only shortens it."""

    id: str
    offset: int
    text: str
    before: str
    after: str
    replaces: int
    short: bool  # the line or block goes on behind it


@dataclass(frozen=True)
class _Made:
    """A suggestion with its decision, and where it stands: all that is needed to record it."""

    suggestion: Suggestion
    decision: Decision
    snapshot: Snapshot
    offset: int
    replaces: int
    short: bool

    def offered(self) -> Offered:
        return Offered(self.suggestion.id, self.suggestion.text, self.replaces)


class Offers:
    """Answers 'what may come next here?', with a named reason when nothing may."""

    def __init__(
        self,
        completer: Completer,
        learning: Learning,
        workspaces: Workspaces,
        context: Context,
        settings: CompletionSettings,
    ) -> None:
        self.completer = completer
        self.settings = settings
        self._learning = learning
        self._workspaces = workspaces
        self._context = context
        self._last: dict[str, _Last] = {}
        self._others: tuple[_Made, ...] = ()  # of one place
        self._asked = 0
        self._snoozed_until = 0.0
        self.last_refusal: dict[str, object] | None = None

    def snooze(self, seconds: float) -> None:
        """Offer nothing for so long; 0 ends it."""
        self._snoozed_until = time.time() + seconds

    @property
    def snoozed_until(self) -> float | None:
        """When offers begin again (Unix seconds); None if they are not snoozed."""
        return self._snoozed_until if time.time() < self._snoozed_until else None

    async def offer(
        self, snapshot: Snapshot, offset: int, current_version: CurrentVersion, *, by_hand: bool = False
    ) -> Offered | Refusal:
        """An offer at `offset` of the snapshot; refusals are kept for the status. `by_hand`: somebody asked for it."""
        self._asked += 1
        answer = await self._offer(snapshot, offset, current_version, by_hand)
        if isinstance(answer, Refusal):
            self.note(answer, snapshot.uri)
        return answer

    async def others(self, snapshot: Snapshot, offset: int, current_version: CurrentVersion) -> list[Offered]:
        """Further texts for the place where an offer stands, as many as half a second allows: the whole line or block
        of one that ends early, and up to two that begin in another way."""
        prefix, suffix = snapshot.text[:offset], snapshot.text[offset:]
        standing = self._continued(snapshot.uri, offset, prefix, suffix)
        if standing is None:
            return []
        if self._others and (self._others[0].snapshot, self._others[0].offset) == (snapshot, offset):
            return [one.offered() for one in self._others]
        last = self._last[snapshot.uri]
        found: list[_Made] = []
        began, asked, known = time.perf_counter(), self._asked, [] if last.short else [standing.text]
        request = await self._request(snapshot, offset, whole=True)
        while len(found) < _MOST_OTHERS + last.short and time.perf_counter() - began < _OTHERS_SECONDS:
            if asked != self._asked or current_version(snapshot.uri) != snapshot.version:
                break  # to go on would overtake whoever asked since
            started = time.perf_counter()
            made = await self.completer.complete(replace(request, unlike=tuple(known)))
            if isinstance(made, Refusal):
                break
            known.append(made.completion.text)
            found.append(self._weigh(snapshot, offset, request, made, time.perf_counter() - started, by_hand=True))
        self._others = tuple(found)
        return [one.offered() for one in found]

    def looked_at(self, suggestion: str) -> None:
        """The user went on to another one: it is what stands there now."""
        if (made := next((one for one in self._others if one.suggestion.id == suggestion), None)) is not None:
            self._others = tuple(one for one in self._others if one is not made)
            self._keep(made)

    def note(self, refusal: Refusal, uri: str) -> None:
        """Keep why nothing was offered, for the status."""
        self.last_refusal = {"reason": refusal.reason, "detail": refusal.detail, "uri": uri, "at": time.time()}

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._last.pop(uri, None)
        self._others = ()

    async def _offer(
        self, snapshot: Snapshot, offset: int, current_version: CurrentVersion, by_hand: bool
    ) -> Offered | Refusal:
        if (refusal := self._refused_at_once(snapshot)) is not None:
            return refusal
        prefix, suffix = snapshot.text[:offset], snapshot.text[offset:]
        if (continued := self._continued(snapshot.uri, offset, prefix, suffix)) is not None:
            return continued
        started = time.perf_counter()
        request = await self._request(snapshot, offset, whole=by_hand or self.settings.whole_lines)
        made = await self.completer.complete(request)
        if isinstance(made, Refusal):
            return made
        if current_version(snapshot.uri) != snapshot.version:
            return Refusal("overtaken", "The text changed while the completion was computed.")
        weighed = self._weigh(snapshot, offset, request, made, time.perf_counter() - started, by_hand)
        self._keep(weighed)
        if not weighed.decision.shown:
            rule = weighed.decision.rule
            return Refusal(rule, f"A suggestion was made and held back by the rule {rule!r}.")
        return weighed.offered()

    async def _request(self, snapshot: Snapshot, offset: int, *, whole: bool) -> CompletionRequest:
        prefix, suffix = snapshot.text[:offset], snapshot.text[offset:]
        place = self._workspaces.of(snapshot.path)
        return CompletionRequest(
            place[1] if place else (snapshot.path.name if snapshot.path else "untitled"),
            snapshot.language,
            prefix,
            suffix,
            await self._context.find(snapshot, prefix, suffix),
            repository=place[0].root.name if place else "",
            max_tokens=self.settings.max_tokens,
            whole=whole,
        )

    def _refused_at_once(self, snapshot: Snapshot) -> Refusal | None:
        if not self.settings.enabled:
            return Refusal("disabled", "Completions are switched off (inkling.completion.enabled).")
        if snapshot.language in self.settings.languages_off:
            return Refusal("language_off", f"Off for {snapshot.language} (inkling.completion.languagesOff).")
        if time.time() < self._snoozed_until:
            return Refusal("snoozed", "Completions are snoozed; the command inkling.snooze with 0 ends that.")
        if snapshot.path is not None and is_secret(snapshot.path):
            return Refusal("secret_file", f"{snapshot.path.name} looks like a file with secrets; it is never read.")
        return None

    def _continued(self, uri: str, offset: int, prefix: str, suffix: str) -> Offered | None:
        """The rest of the offer that stands here, if the user has typed its beginning."""
        last = self._last.get(uri)
        if last is None or suffix != last.after or not 0 <= offset - last.offset < len(last.text):
            return None
        typed = prefix[last.offset :]
        if prefix[: last.offset] != last.before or not last.text.startswith(typed):
            return None
        if self._learning.is_open(last.id):
            return Offered(last.id, last.text[len(typed) :], last.replaces)
        return None

    def _weigh(
        self,
        snapshot: Snapshot,
        offset: int,
        request: CompletionRequest,
        made: Offer,
        seconds: float,
        by_hand: bool,
    ) -> _Made:
        """The suggestion, and whether it is to be shown."""
        prefix, suffix = snapshot.text[:offset], snapshot.text[offset:]
        line, rest = prefix.rpartition("\n")[2], suffix.partition("\n")[0]
        now, place = self._learning.clock.now(), self._workspaces.of(snapshot.path)
        recent = self._learning.recent
        made_by = self.completer.gate.decide(
            made.completion, made.text, recent.situation(snapshot.language, line, rest, now)
        )
        shown, propensity, rule = made_by.shown, made_by.propensity, made_by.rule
        if by_hand:
            shown, propensity, rule = True, 1.0, "by_hand"
        elif recent.was_rejected(line, made.text):
            shown, propensity, rule = False, 1.0, "just_rejected"
        suggestion = Suggestion(
            id=uuid.uuid4().hex,
            at=now,
            workspace=str(place[0].root) if place else "",
            path=request.path,
            language=snapshot.language,
            version=snapshot.version,
            line=prefix.count("\n"),
            column=len(prefix) - prefix.rfind("\n") - 1,
            prefix=prefix[-_STORED_PREFIX:],
            suffix=suffix[:_STORED_SUFFIX],
            text=made.text,
            documents=_stored(made.completion.documents),
            logprobs=made.completion.logprobs,
            base=made.completion.base,
            adapter=made.completion.adapter,
            seconds=seconds,
        )
        decision = Decision(suggestion.id, now, shown, made_by.p_accept, propensity, rule, made_by.features)
        return _Made(suggestion, decision, snapshot, offset, made.replaces, not made.whole)

    def _keep(self, made: _Made) -> None:
        """Record it; what is shown stands there from now on."""
        suggestion, snapshot, offset = made.suggestion, made.snapshot, made.offset
        self._learning.offered(suggestion, made.decision, snapshot.uri, offset, snapshot.text, made.replaces)
        if made.decision.shown:
            before, after = snapshot.text[:offset], snapshot.text[offset:]
            self._last[snapshot.uri] = _Last(
                suggestion.id, offset, suggestion.text, before, after, made.replaces, made.short
            )


def _stored(documents: tuple[Document, ...]) -> tuple[ContextDocument, ...]:
    """The first of what was attended to, whole documents only: what a night reads of them is shorter still."""
    kept, left = [], _STORED_DOCUMENTS
    for document in documents:
        if len(document.text) <= left:
            kept.append(ContextDocument(document.path, document.text))
            left -= len(document.text)
    return tuple(kept)
