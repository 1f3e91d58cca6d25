"""The watch over what was newly served: it looks at live figures now and then, keeps it or takes it back.

Every running server looks, and every night before it begins, so that a trial also ends where no server runs; the
registry lets one of them decide. What always holds: what is taken back is said to the user, with the figures, and
stands in the adapter's record.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from feedback.database import Place, find_database
from feedback.live import requests_of
from inkling.errors import InklingError
from model.adapters import Registry, Trial
from model.evaluation.live import LiveRules, LiveVerdict, judge_live

log = logging.getLogger(__name__)

_LOOK_SECONDS = 120.0
_WATCHED = LiveRules(days=14.0)  # a champion, once it is served everywhere
_DAY = 86_400.0
_BEFORE = 90 * _DAY  # so far back a champion is looked at as the canary that it was, and what was served before it


class LiveWatch:
    """Looks after the trial of one base. Belongs to the event loop; reading and judging go to a thread."""

    def __init__(self, registry: Registry, place: Place, base: str, tell: Callable[[str], None]) -> None:
        self._registry = registry
        self._place = place
        self._base = base
        self._tell = tell
        self._last: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._keep_looking(), name="live watch")

    def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()

    def status(self) -> dict[str, Any] | None:
        """The trial and how it stands; None without one."""
        return self._last

    async def look(self) -> None:
        """Judge once."""
        self._last, told = await asyncio.to_thread(self._judge)
        if told is not None:
            self._tell(told)

    def _judge(self) -> tuple[dict[str, Any] | None, str | None]:
        judged = live_verdict(self._registry, self._place, self._base)
        if judged is None:
            return None, self._gone()
        trial, verdict = judged
        told = settled(self._registry, trial, verdict)
        if told is not None:
            return None, told
        return {**_described(trial), "status": verdict.status, "reason": verdict.reason}, None

    def _gone(self) -> str | None:
        """What a night or another window took back since the last look; the sentence for the user."""
        if self._last is None:
            return None
        name = self._last["adapter"]
        decided = self._registry.record(name).get("live", ())
        if not decided or decided[-1]["decision"] != "taken back":
            return None
        return _taken_back(self._registry, name, decided[-1]["reason"])

    async def _keep_looking(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    await self.look()
                except (InklingError, SQLAlchemyError, OSError) as error:
                    log.warning("live figures could not be looked at: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)


def live_verdict(
    registry: Registry, place: Place, base: str, rules: LiveRules | None = None
) -> tuple[Trial, LiveVerdict] | None:
    """How the trial of this base stands; None if there is none."""
    trial = registry.trial(base)
    if trial is None:
        return None
    now = time.time()
    if trial.since > now:  # the clock was ahead when it began: its age says nothing, and requests since may be there
        trial = registry.restart(trial, now - _DAY)
    whole = trial.share == 1
    since = trial.since - (_BEFORE if whole else 0.0)
    engine = find_database(place)
    if engine is None:
        new, old = [], []
    else:
        try:
            new = requests_of(engine, base, trial.adapter, now=now, since=since)
            old = requests_of(engine, base, trial.against, now=now, since=since)
        finally:
            engine.dispose()
    return trial, judge_live(
        new, old, age_days=(now - trial.since) / _DAY, rules=rules or (_WATCHED if whole else LiveRules())
    )


def decide(registry: Registry, place: Place, base: str) -> str | None:
    """Let live figures decide about the trial of this base; the sentence for the user where they took it back."""
    judged = live_verdict(registry, place, base)
    return settled(registry, *judged) if judged is not None else None


def undecided(registry: Registry, place: Place, base: str) -> Trial | None:
    """The canary of this base about which live figures cannot decide yet: whatever else came now would replace it."""
    judged = live_verdict(registry, place, base)
    if judged is None:
        return None
    trial, verdict = judged
    return trial if trial.share < 1 and verdict.status == "waiting" else None


def waiting_for(trial: Trial) -> str:
    """Until when a canary is on trial, and how to decide at once, as sentences for the user."""
    latest = datetime.fromtimestamp(trial.since + LiveRules().days * _DAY)
    return (
        f"{trial.adapter} is on trial with {trial.share:.0%} of the sessions until live figures decide, "
        f"{latest:%Y-%m-%d %H:%M} at the latest. To decide at once: `inkling models promote {trial.adapter}` keeps "
        f"it, `inkling models retire {trial.adapter}` takes it back."
    )


def settled(registry: Registry, trial: Trial, verdict: LiveVerdict) -> str | None:
    """Do what the verdict says; the sentence for the user where something was taken back."""
    keep = verdict.status == "good"
    if verdict.status == "waiting" or not registry.settle(trial, keep=keep):
        return None
    what = ("promoted" if trial.share < 1 else "kept") if keep else "taken back"
    entry = {**verdict.values, "at": time.time(), "decision": what, "against": trial.against, "share": trial.share}
    registry.note_live(trial.adapter, entry)
    log.info("%s was %s: %s", trial.adapter, what, verdict.reason)
    return None if keep else _taken_back(registry, trial.adapter, verdict.reason)


def _taken_back(registry: Registry, name: str, reason: str) -> str:
    served = registry.history(registry.get(name).base)[-1]
    return (
        f"The adapter {name} was taken back: {reason}. Now {served or 'no adapter of yours'} is "
        f"served; `inkling models promote {name}` serves it all the same."
    )


def _described(trial: Trial) -> dict[str, Any]:
    return {"adapter": trial.adapter, "against": trial.against, "share": trial.share, "since": trial.since}
