"""From a cursor to an offer: cheap refusals, context, the completer, and what is remembered of it.

Where somebody asks by hand nothing is weighed, the offer is shown; and there may be others for the same place. Of
these the one that is looked at when something is done is recorded, as what stood there then.

Belongs to the event loop; the model and the index work on threads and processes of their own. Nothing here
knows the protocol: `features.completion` translates.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from feedback.inference import lines_of
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
        self._looking: _Made | None = None  # the one of them that the user went on to
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

    async def offer(self, snapshot: Snapshot, offset: int, current_version: CurrentVersion) -> Offered | Refusal:
        """An offer at `offset` of the snapshot; refusals are kept for the status."""
        self._asked += 1
        made = await self._make(snapshot, offset, current_version, by_hand=False)
        if isinstance(made, _Made):
            self._keep(made)
            rule = made.decision.rule
            held_back = Refusal(rule, f"A suggestion was made and held back by the rule {rule!r}.")
            made = made.offered() if made.decision.shown else held_back
        if isinstance(made, Refusal):
            self.note(made, snapshot.uri)
        return made

    async def by_hand(
        self, snapshot: Snapshot, offset: int, current_version: CurrentVersion
    ) -> tuple[Offered, ...] | Refusal:
        """Offers that somebody asked for: the one that stands there or a new one, and further texts, as many as half a
        second allows: the whole line or block of one that ends early, and up to two that begin in another way. A new
        one is recorded only if nobody wrote on meanwhile."""
        self._asked += 1
        made = await self._make(snapshot, offset, current_version, by_hand=True)
        if isinstance(made, Refusal):
            self.note(made, snapshot.uri)
            return made
        short = made.short if isinstance(made, _Made) else self._last[snapshot.uri].short
        first = made.offered() if isinstance(made, _Made) else made
        others = await self._others_than(first, short, snapshot, offset, current_version)
        if isinstance(made, _Made):
            if current_version(snapshot.uri) != snapshot.version:
                self.note(refusal := _overtaken(), snapshot.uri)
                return refusal
            self._keep(made)
        self._others = others
        return (first, *(one.offered() for one in others))

    async def _others_than(
        self, standing: Offered, short: bool, snapshot: Snapshot, offset: int, current_version: CurrentVersion
    ) -> tuple[_Made, ...]:
        if self._others and (self._others[0].snapshot, self._others[0].offset) == (snapshot, offset):
            return self._others
        found: list[_Made] = []
        began, asked, known = time.perf_counter(), self._asked, [] if short else [standing.text]
        request = await self._request(snapshot, offset, whole=True)
        while len(found) < _MOST_OTHERS + short and time.perf_counter() - began < _OTHERS_SECONDS:
            if asked != self._asked or current_version(snapshot.uri) != snapshot.version:
                break  # to go on would overtake whoever asked since
            started = time.perf_counter()
            made = await self.completer.complete(replace(request, unlike=tuple(known)))
            if isinstance(made, Refusal):
                break
            known.append(made.completion.text)
            found.append(self._weigh(snapshot, offset, request, made, time.perf_counter() - started, by_hand=True))
        return tuple(found)

    def looked_at(self, suggestion: str, current_version: CurrentVersion) -> None:
        """The user went on to another one, or back to the first: it is what stands there now."""
        if not self._others or current_version(self._others[0].snapshot.uri) != self._others[0].snapshot.version:
            return
        self._looking = next((one for one in self._others if one.suggestion.id == suggestion), None)

    def settle(self, uri: str) -> None:
        """Something is about to be done in the document: what is looked at there is what it is done with."""
        made = self._looking
        if made is None or made.snapshot.uri != uri:
            return
        self._others, self._looking = (), None
        self._keep(made)
        self._learning.shown(made.suggestion.id)

    def settle_on(self, suggestion: str) -> None:
        """The same, where the client says which one it is done with."""
        if self._looking is not None and self._looking.suggestion.id == suggestion:
            self.settle(self._looking.snapshot.uri)

    def note(self, refusal: Refusal, uri: str) -> None:
        """Keep why nothing was offered, for the status."""
        self.last_refusal = {"reason": refusal.reason, "detail": refusal.detail, "uri": uri, "at": time.time()}

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._last.pop(uri, None)
        if self._others and self._others[0].snapshot.uri == uri:
            self._others = ()
        if self._looking is not None and self._looking.snapshot.uri == uri:
            self._looking = None

    async def _make(
        self, snapshot: Snapshot, offset: int, current_version: CurrentVersion, by_hand: bool
    ) -> Offered | _Made | Refusal:
        """What stands there already, or what is new and nobody was told of."""
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
            return _overtaken()
        return self._weigh(snapshot, offset, request, made, time.perf_counter() - started, by_hand)

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
            told = f"{snapshot.path.name} looks like a file with secrets: nothing is completed in it."
            return Refusal("secret_file", told)
        return None

    def _continued(self, uri: str, offset: int, prefix: str, suffix: str) -> Offered | None:
        """The rest of the offer that stands here, if the user has typed its beginning."""
        last = self._last.get(uri)
        if last is None or suffix != last.after or offset < last.offset or prefix[: last.offset] != last.before:
            return None
        typed = lines_of(prefix[last.offset :])  # an editor may write other line ends than the offer has
        if len(typed) >= len(last.text) or not last.text.startswith(typed):
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
            text=lines_of(made.text),
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
        self.settle(made.snapshot.uri)
        suggestion, snapshot, offset = made.suggestion, made.snapshot, made.offset
        self._learning.offered(suggestion, made.decision, snapshot.uri, offset, snapshot.text, made.replaces)
        if made.decision.shown:
            before, after = snapshot.text[:offset], snapshot.text[offset:]
            self._last[snapshot.uri] = _Last(
                suggestion.id, offset, suggestion.text, before, after, made.replaces, made.short
            )


def _overtaken() -> Refusal:
    return Refusal("overtaken", "The text changed while the completion was computed.")


def _stored(documents: tuple[Document, ...]) -> tuple[ContextDocument, ...]:
    """The first of what was attended to, whole documents only: what a night reads of them is shorter still."""
    kept, left = [], _STORED_DOCUMENTS
    for document in documents:
        if len(document.text) <= left:
            kept.append(ContextDocument(document.path, document.text))
            left -= len(document.text)
    return tuple(kept)
