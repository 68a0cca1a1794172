"""``tshc status`` for a person: money, times and states in words, no field names and no raw numbers."""

from __future__ import annotations

import recorded_views as recorded

from app.cli_status import status_lines
from engine.views import LinkView


def test_the_strip_in_a_shell_is_in_a_traders_words() -> None:
    prices = LinkView(state="live", age_s=81.18975375199807)
    view = recorded.status().model_copy(update={"prices": prices, "day_pnl_pct": -0.06122, "clock_rate": 300.0})
    told = dict(status_lines(view))
    assert told["account"] == "SIM SIM-7F3A19"
    assert told["market"] == "Fri 20 Nov 10:42:07 ET, open; market closes in 5 h 17 m  (×300)"
    assert told["prices"] == "live, heard 81.2 s ago"
    assert told["day"] == "+182.40 $  -0.06 %"
    assert told["exposure"] == "75,193.16 $ in 3 positions, 1 open orders"
    assert told["entries"] == "allowed"


def test_what_stops_the_entries_and_what_is_old_stand_in_it() -> None:
    update = {"latched": "flatten by console", "drift": ("ABCD: 412 in our book, 400 at the broker",)}
    view = recorded.status().model_copy(update={**update, "account_stale": True, "account_age_s": 90.0})
    lines = status_lines(view)
    assert ("entries", "LATCHED OFF: flatten by console") in lines
    assert ("DRIFT", "ABCD: 412 in our book, 400 at the broker") in lines
    assert dict(lines)["equity"].endswith("(as of 1 m 30 s ago)")


def test_what_nobody_has_told_is_not_a_number() -> None:
    view = recorded.status().model_copy(update={"market_time": None, "day_pnl": None, "day_pnl_pct": None})
    told = dict(status_lines(view))
    assert told["market"] == "no market clock yet"
    assert "0.00" not in told["day"]
