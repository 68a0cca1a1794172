"""When a market day must be asked about before it begins.

A day costs nothing that cannot be undone: it makes a list, and only a yes to that list trades it. So
``d`` begins at once, except with real money, and where the day of a session that is not over was run:
there the key may have been pressed a second time, and what begins is another day than the one in mind.
While a run is at work the engine refuses a second one, so nothing is asked then.
"""

from __future__ import annotations

from datetime import datetime

from app.client import EngineState
from app.widgets.box import Line, plain
from app.widgets.shortlist_panels import STATE_WORDS
from engine.model import NEW_YORK
from engine.views import ShortlistView, StatusView

DECIDED = ("approved", "rejected", "expired", "empty")
NOON = 12  # New York: a session that has opened has not ended before, also on half days


def day_question(state: EngineState) -> list[Line]:
    """The lines of the question; empty when the day may begin without one."""
    status, lines = state.status, list[Line]()
    if status.mode == "live":
        lines.append(plain(f"LIVE {status.account}".rstrip(), "strong"))
    working = any(stage.state in ("running", "paused") for stage in state.overview.stages)
    if not working and _run_before(state.shortlist, status):
        outcome = STATE_WORDS[state.shortlist.state].partition(":")[0].lower()
        lines.append(plain(f"the day of {state.shortlist.session:%A %d %B} was run: {outcome}", "warn"))
        lines.append(plain("this begins the next one, from that session's close on"))
    if lines:
        lines.append(plain("snapshot → group → ranking → news → trade list; only your yes to it buys", "dim"))
    return lines


def _run_before(view: ShortlistView, status: StatusView) -> bool:
    """Whether the session of a list that was decided is still to come or under way."""
    if view.session is None or view.state not in DECIDED or status.market_time is None:
        return False
    now: datetime = status.market_time.astimezone(NEW_YORK)
    if now.date() != view.session:
        return now.date() < view.session
    return status.market_open or now.hour < NOON
