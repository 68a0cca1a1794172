"""What the console says when it does not know: no engine has told anything yet, or one fell silent.

A view that nobody has filled holds defaults, and a default looks like a fact: 0 positions, the
market closed, a simulated account. So whoever shows such a number asks here first.
"""

from __future__ import annotations

from collections.abc import Sequence

from app import formatting as f
from app.client import FLATTEN_WORKS, Client, Link
from app.shell_words import in_a_shell
from app.widgets.positions_panels import GONE
from engine.views import OrderRow, PositionsView, StatusView

ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"})  # of an order
CANNOT_SEND = "no engine: nothing can be sent"


def account_words(status: StatusView) -> str:
    """Whose money it is: ``PAPER PA3XYZ``; ``account not known`` before an engine has told."""
    return f"{status.mode.upper()} {status.account}".rstrip() if status.known else "account not known"


def exposure_unknown(client: Client) -> str:
    """Why nobody can say what is in the market; empty when the status is known, be it old."""
    if client.state.status.known:
        return ""
    why = "the engine has told nothing yet" if client.link is Link.LIVE else "no engine attached"
    return f"positions, orders and market not known: {why}"


def old_since(client: Client) -> str:
    """``as last known, 10:42:07 ET`` while the engine that told it is gone; empty while it is heard."""
    if client.link is not Link.LOST:
        return ""
    at = client.state.status.market_time
    return "as last known" + (f", {f.eastern(at)} ET" if at is not None else "")


def flatten_in_a_shell(client: Client) -> str:
    """The way to flatten that is left, for every link that is not live; empty for one that is."""
    if client.link is Link.LIVE:
        return ""
    engine = "the engine is lost" if client.link is Link.LOST else "no engine is attached"
    return f"{engine}: run '{in_a_shell('flatten', client.home)}' in a shell, it needs no engine"


def attaching_words(client: Client) -> str:
    """What a console that has never been attached waits for, and what works meanwhile."""
    said = f"attaching to the engine of {client.home.folder} … {client.trouble}".rstrip()
    if client.trouble and FLATTEN_WORKS not in said:
        said = f"{said}; {FLATTEN_WORKS}"
    return said.replace("'tshc flatten'", f"'{in_a_shell('flatten', client.home)}'")


def aged(view: PositionsView, silent_s: float) -> PositionsView:
    """``view`` of an engine that has been silent for ``silent_s`` seconds: no price in it is fresh any more."""
    return view.model_copy(
        update={
            "rows": tuple(
                row
                if row.state in GONE or row.last is None
                else row.model_copy(
                    update={"stale": True, "age_s": None if row.age_s is None else row.age_s + silent_s}
                )
                for row in view.rows
            )
        }
    )


def positions_now(client: Client, view: PositionsView | None = None) -> PositionsView:
    """The client's positions (or ``view`` of its past); once its engine is lost their ages go on."""
    known = client.state.positions if view is None else view
    return aged(known, client.silent_s) if client.link is Link.LOST else known


def open_orders(orders: Sequence[OrderRow]) -> list[OrderRow]:
    """Those of ours that the broker may still fill."""
    return [order for order in orders if order.status not in ENDED and not order.foreign]


def entries_in_flight(status: StatusView, positions: PositionsView) -> tuple[int, list[str]]:
    """How many entry orders may still fill, and the symbols of those that are known by name.

    Orders that the status counts beyond those in the list could be entries: they count as such.
    """
    symbols = [order.symbol for order in open_orders(positions.orders) if order.side == "buy"]
    entering = [row.symbol for row in positions.rows if row.state == "ENTERING" and row.symbol not in symbols]
    listed = sum(1 for order in positions.orders if order.status not in ENDED)
    unlisted = max(0, status.orders_open - listed - len(entering))
    return len(symbols) + len(entering) + unlisted, sorted({*symbols, *entering})
