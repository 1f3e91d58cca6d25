"""One meeting with the team: send what is new, take over an adapter that is new.

What always holds: only workspaces whose owner chose `team` are sent from, as far as the editor's telemetry switch
allows; an adapter is what the team said it is, fits the base, and comes in as a canary that live figures may take
back, once nothing else is on trial; trouble costs nothing but a sentence in `inkling team status`.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feedback.consent import Consent, Consents
from feedback.database import Place, find_database
from feedback.sending import alias, parcels, shared_since
from inkling.errors import UserError
from inkling.folders import adapters_folder
from model.adapters import CONFIG_FILE, WEIGHTS_FILE, Registry, check_folder
from model.exchange import import_adapter
from model.lineage import ANCHOR
from model.weights import resolve
from server.erasing import MANIFESTS
from server.nights.live import decide, undecided
from server.settings import Settings
from server.team.account import (
    Account,
    Progress,
    TeamClient,
    TeamError,
    meeting,
    read_progress,
    write_progress,
)

_MOST_REMEMBERED = 50_000


@dataclass(frozen=True)
class Met:
    """What came of a meeting. `adapter`: the one that was taken over, "" for none."""

    suggestions: int
    adapter: str


def meet(
    account: Account,
    place: Place,
    settings: Settings,
    *,
    at_most: Consent = Consent.TEAM,
    client: Callable[[Account], TeamClient] = TeamClient,
) -> Met:
    """Meet once. Raises TeamError, and keeps what it said for `inkling team status`."""
    with meeting():
        progress = read_progress()
        try:
            with client(account) as team:
                progress, suggestions = _send(team, place, progress, at_most)
                progress, adapter = _take_over(team, place, settings, progress)
        except UserError as error:
            write_progress(replace(read_progress(), at=time.time(), trouble=str(error)))
            raise
        write_progress(replace(progress, at=time.time(), trouble=""))
    return Met(suggestions, adapter)


def _send(team: TeamClient, place: Place, progress: Progress, at_most: Consent) -> tuple[Progress, int]:
    database = find_database(place)
    if database is None:
        return progress, 0
    consents = Consents(place, at_most=at_most)
    count = 0
    try:
        since = {
            root: max(at, progress.erased.get("", 0.0), progress.erased.get(root, 0.0))
            for root, at in shared_since(database).items()
            if consents.get(root) is Consent.TEAM
        }
        for parcel in parcels(database, since, progress.sent, time.time()):
            team.send(parcel.lines)
            count += len(parcel.sent)
            kept = list({**progress.sent, **parcel.sent}.items())[-_MOST_REMEMBERED:]
            progress = replace(progress, sent=dict(kept))
            write_progress(progress)
    finally:
        consents.close()
        database.dispose()
    return progress, count


def _take_over(team: TeamClient, place: Place, settings: Settings, progress: Progress) -> tuple[Progress, str]:
    """The team's champion, unless it was taken over before; while another canary is undecided, a later meeting's."""
    found = team.champion()
    name, digest = found.get("name"), found.get("digest")
    if not isinstance(name, str) or not isinstance(digest, str) or digest == progress.digest:
        return progress, ""
    base = settings.model.base
    if found.get("base") != base:
        raise TeamError(f"The team's adapter is for {found.get('base')}, served here is {base} (inkling.model.base).")
    mine, registry = f"team-{name}-{digest[:6]}", Registry(adapters_folder())
    decide(registry, place, base)
    trial = undecided(registry, place, base)
    if trial is not None and trial.adapter != mine:
        return progress, ""
    registry.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=registry.folder, prefix=".team-") as scratch:
        folder = Path(scratch)
        team.fetch(name, "config", folder / CONFIG_FILE)
        team.fetch(name, "weights", folder / WEIGHTS_FILE)
        if check_folder(folder) != digest:
            raise TeamError(f"The team's adapter {name} is not what the team says it is: it is not taken over.")
        if mine not in {adapter.name for adapter in registry.list()}:  # else a meeting was killed behind this
            import_adapter(folder, base=base, base_folder=resolve(base), registry=registry, name=mine)
    registry.amend(mine, lambda record: {**_record(found), **record})
    registry.introduce(mine, settings.night.canary_share)
    return replace(progress, digest=digest), mine


def _record(found: dict[str, Any]) -> dict[str, Any]:
    """What the team says of its adapter, as far as it has the form of a record."""
    figures, against = found.get("figures"), found.get("champion")
    told = figures.items() if isinstance(figures, dict) else ()
    ids = {name: found[name] for name in MANIFESTS if isinstance(found.get(name), list)}
    return {
        "status": "promoted",
        "reason": f"The team serves it. {found.get('reason') or 'It came without a record.'}",
        "champion": against if isinstance(against, str) else None,
        "figures": {name: value for name, value in told if isinstance(value, int | float) and math.isfinite(value)},
        **{name: [id for id in listed if isinstance(id, str)] for name, listed in ids.items()},
        **({ANCHOR: found[ANCHOR]} if isinstance(found.get(ANCHOR, 0), str | None) else {}),
    }


def take_back(account: Account, workspace: str | None = None) -> int:
    """Erase at the team what was sent, of a workspace or all of it; how many suggestions. None is sent again."""
    with meeting(), TeamClient(account) as team:
        gone = team.erase(alias(workspace) if workspace is not None else None)
        progress = read_progress()
        write_progress(replace(progress, erased={**progress.erased, workspace or "": time.time()}))
    return int(gone.get("suggestions", 0))


def status(account: Account | None) -> dict[str, Any]:
    """For `inkling team status`."""
    progress = read_progress()
    return {
        "team": account.url if account is not None else None,
        "suggestions": len(progress.sent),
        "lastMeeting": progress.at or None,
        "trouble": progress.trouble or None,
    }
