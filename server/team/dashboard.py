"""The team's page: who sends, what suggestions came to, how nights went, and a button for the next. Pure but for reads.

A page without scripts that loads nothing, like `inkling insights`, whose plots it shares.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from html import escape

from sqlalchemy import Engine, func, select

from feedback import schema
from feedback.insights import insights
from model.adapters import Registry
from server.commands.insights import body as insights_body
from server.commands.insights import nights_of
from server.nights.state import NightState
from server.pages import page, table
from server.team.members import Member

_DAYS = 30


def dashboard(database: Engine, members: Sequence[Member], registry: Registry, night: NightState | None) -> str:
    """The whole page."""
    counts = suggestions_by_member(database)
    known = {member.name for member in members}
    rows: list[tuple[str, str, str, str]] = [
        (m.name, m.role, _when(m.seen), f"{counts.get(m.name, 0):,}") for m in members
    ]
    rows += [(f"{name} (removed)", "", "", f"{count:,}") for name, count in counts.items() if name not in known]
    running = night is not None and night.alive
    button = "" if running else '<form method="post" action="/v1/nights"><button>Start a night</button></form>'
    told = f"{night.status}: {night.message}" if night is not None else "There was no night yet."
    found = insights(database, time.time(), _DAYS)
    return page(
        "Inkling: team",
        f"<h1>The team's suggestions</h1><p>The last {_DAYS} days.</p><h2>Members</h2>"
        + table(("name", "role", "last seen", "suggestions"), rows)
        + f"<h2>Night</h2><p>{escape(told)}</p>{button}"
        + insights_body(found, nights_of(registry)),
    )


def login_page(message: str) -> str:
    """The page that asks for a token."""
    return page(
        "Inkling: team",
        f"<h1>Inkling: team</h1><p>{escape(message)}</p>"
        '<form method="post" action="/login"><label>Token of an admin <input type="password" name="token" '
        'autocomplete="current-password" required></label> <button>Log in</button></form>',
    )


def suggestions_by_member(database: Engine) -> dict[str, int]:
    """How many suggestions each member has sent."""
    workspace = schema.suggestions.c.workspace
    found: dict[str, int] = {}
    with database.connect() as connection:
        for root, count in connection.execute(select(workspace, func.count()).group_by(workspace)):
            name = root.partition("/")[0]
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at else "never"
