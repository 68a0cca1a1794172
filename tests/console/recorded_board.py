"""The GO / NO-GO board and the overview's further parts as an engine sends them, to go with recorded_views."""

from __future__ import annotations

import recorded_views as recorded

from engine.views import BoardView, GateView, HealthRow, OverviewView, StatusView, TrackMark

OPENS = recorded.eastern(9, 30, day=recorded.MONDAY)
DEADLINE = recorded.eastern(9, 25, day=recorded.MONDAY)
BEFORE = recorded.eastern(9, 11, 48, day=recorded.MONDAY)


def gate(name: str, measured: str, limit: str, state: str = "go", **more: object) -> GateView:
    return GateView.model_validate(
        {
            "gate": name.replace(" ", "_"),
            "name": name,
            "state": state,
            "measured": measured,
            "limit": limit,
            **more,
        }
    )


def gates() -> tuple[GateView, ...]:
    return (
        gate("groups", "week of 20 Nov: adx · macd · mfi · kelt", "one selected"),
        gate("trade list", "4: ABCD EFGH MNOP QRST", "1 to 4 names"),
        gate("model drift", "11 candidates", "3 to 27 (9 promised)"),
        gate(
            "approval", "not given", "by 09:25:00 ET", "waiting",
            remedy="a on the shortlist (4), or 'tshc approve'", until=DEADLINE,
        ),
        gate("capital", "22,770.94 $ a name", "one share: MNOP 141.02 $"),
        gate("already held", "0 of 4", "0"),
        gate("entry latch", "0 set", "0"),
        gate("books and broker", "agree, 12 s ago", "every 30 s"),
        gate("loss of the day", "+0.00 $", "above -1,821.67 $ (-2 % of 91,084 $)"),
        gate("orders", "0 orders today", "at most 200"),
        gate("places", "0 TSH positions", "at most 4"),
        gate("account", "SIM-7F3A19: ACTIVE", "ACTIVE, not blocked"),
        gate("journal", "last commit 1.8 ms", "takes every intent"),
        gate("broker", "38 ms", "answers within 10 s"),
        gate("price stream", "live, heard 0.2 s ago", "connected"),
        gate("order stream", "live, heard 1.4 s ago", "connected"),
        gate("entry window", "Mon 09:30:00 ET", "until 09:35:00 ET", until=OPENS),
    )  # fmt: skip


def board(verdict: str = "waiting", summary: str = "only your yes is missing", **changed: GateView) -> BoardView:
    """The recorded gates with some of them ``changed`` (by gate, blanks written as _)."""
    return BoardView.model_validate(
        {
            "verdict": verdict, "summary": summary, "session": recorded.MONDAY, "opens_at": OPENS,
            "window_end": recorded.eastern(9, 35, day=recorded.MONDAY), "list_hash": "7f3a19c2d41e9b07",
            "symbols": ("ABCD", "EFGH", "MNOP", "QRST"), "per_name": "22770.94",
            "gates": tuple(changed.get(g.gate, g) for g in gates()),
            "at_the_open": "quote at most 5 s old, spread at most 0.5 %, gap at most 5 % either way and not above "
            "+0.5 ATR, not halted",
        }
    )  # fmt: skip


def latched() -> BoardView:
    stop = gate(
        "entry latch", "entries latched off: flatten by console", "0", "no_go",
        remedy="unlatch when the cause is understood (u on the console, or 'tshc unlatch')",
    )  # fmt: skip
    return board("no_go", "1 gate stops the entries: entry latch; missing: approval", entry_latch=stop)


def status() -> StatusView:
    """The strip on Monday before the open."""
    return recorded.status().model_copy(
        update={
            "market_time": BEFORE,
            "market_open": False,
            "positions_open": 0,
            "next_event": "approval closes; without it no trade",
            "next_event_at": DEADLINE,
        }
    )


def health(**states: str) -> tuple[HealthRow, ...]:
    rows = (
        HealthRow(name="engine", value="2 ms late", detail="worst 31 · CPU 6 % · 231 MB · up 3 h 12 m"),
        HealthRow(name="broker", value="38 ms", detail="worst 112 · 187 of 200 requests"),
        HealthRow(name="prices", value="live", detail="heard 0.2 s ago"),
        HealthRow(name="orders", value="live", detail="heard 1.4 s ago"),
        HealthRow(name="books", value="agree", detail="with the broker, 12 s ago"),
        HealthRow(name="journal", value="1.8 ms", detail="last commit · 0 waiting · 4.2 MB"),
        HealthRow(name="disk", value="79.6 GB", detail="free of 271 GB"),
        HealthRow(name="clock", value="+18 ms", detail="the broker's against ours"),
    )
    return tuple(row.model_copy(update={"state": states.get(row.name, row.state)}) for row in rows)


def overview() -> OverviewView:
    """Friday 10:42 as in recorded_views, with the time lines, health and the day's curve."""
    view = recorded.overview()
    done = (1.0, 1.0, 1.0, 1.0, 1.0, 0.76)
    week = tuple(tile.model_copy(update={"done": share}) for tile, share in zip(view.week, done, strict=True))
    thursday = recorded.FRIDAY.replace(day=19)
    track = (
        TrackMark(at=recorded.eastern(16, 20, day=thursday), text="list", state="past"),
        TrackMark(at=recorded.eastern(9, 25), text="approval", state="past"),
        TrackMark(at=recorded.eastern(9, 30), text="open", state="past"),
        TrackMark(at=recorded.eastern(15, 50), text="exits", state="next"),
        TrackMark(at=recorded.eastern(16, 0), text="close"),
    )
    curve = tuple(round(-0.31 + 0.49 * i / 40 + 0.05 * (-1) ** i, 3) for i in range(41))
    return view.model_copy(update={"week": week, "track": track, "health": health(), "day_track": curve})
