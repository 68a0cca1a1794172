"""What the operator can do next, in one line with its key: found by looking, not by reading.

Empty while a run is at work and nothing is up to the operator. The engine plans and does;
this only names the key of what it waits for.
"""

from __future__ import annotations

from app import formatting as f
from app.client import EngineState
from app.widgets.box import EMPTY, Line
from engine.views import BoardView, PositionsView

ENDED = frozenset({"CLOSED", "REFUSED"})  # a position in one of these is not in the market


def next_step(state: EngineState) -> Line:
    """The step that is the operator's, in at most 35 cells with the keys of the defaults."""
    if state.shortlist.state == "pending":
        return (
            ("4", "key:go.shortlist"),
            (" the list waits: ", "warn"),
            ("a", "key:shortlist.approve"),
            (" approves it", "warn"),
        )
    if _held(state.positions):
        return (
            ("5", "key:go.positions"),
            (" positions, ", "text"),
            ("F12", "key:flatten"),
            (" sells everything", "text"),
        )
    if any(stage.state in ("running", "paused") for stage in state.overview.stages):
        return EMPTY
    if not state.overview.evidence or _groups_are_missing(state.board):
        return (("w", "key:weekend"), (" runs the weekend: finds groups", "text"))
    return (("d", "key:weekday"), (" runs the day: makes the list", "text"))


def _groups_are_missing(board: BoardView) -> bool:
    """No selection is in force for the session that comes next: a day would be refused."""
    return any(gate.gate == "groups" and gate.state == "no_go" for gate in board.gates)


def _held(view: PositionsView) -> bool:
    return any(row.shares > 0 and row.state not in ENDED for row in view.rows)


def yes_wanted(state: EngineState, list_key: str, approve_key: str) -> str:
    """The sentence for every screen while a trade list waits; empty when none does."""
    view = state.shortlist
    if view.state != "pending":
        return ""
    left = f.until(view.deadline, state.status.market_time)
    time = f"{f.duration(left)} left, " if left is not None and left > 0 else ""
    return f"Your yes: {list_key} shows the list, {approve_key} approves it; {time}else NO TRADE"
