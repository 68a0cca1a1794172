"""Views for the console's tests: ``moment`` gives those of a real run, the functions made-up ones.

The pictures are drawn from real runs (``record_views``). The made-up views are one moment of a
Friday morning with everything going on, for rules that no run shows on demand (a stale quote, a
foreign position, a live account): numbers that agree with each other, the ledger sums, P&L
follows from prices.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from engine.model import NEW_YORK, UTC
from engine.view_board import ViewBoard
from engine.views import (
    AlertView,
    AlgorithmRow,
    DayTile,
    EventView,
    FlattenRow,
    FlattenView,
    FlowView,
    GapPoint,
    GroupRow,
    GroupsView,
    LaneView,
    LedgerView,
    LinkView,
    NewsLine,
    NextItem,
    OrderRow,
    OverviewView,
    PositionRow,
    PositionsView,
    ShortlistRow,
    ShortlistView,
    Snapshot,
    StageView,
    StatusView,
    TrainingView,
)

FRIDAY = date(2026, 11, 20)
MONDAY = date(2026, 11, 23)


def eastern(hour: int, minute: int, second: int = 0, day: date = FRIDAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=NEW_YORK).astimezone(UTC)


NOW = eastern(10, 42, 7)


def status() -> StatusView:
    return StatusView(
        mode="sim",
        account="SIM-7F3A19",
        pid=4242,
        home="/home/op/tsh",
        broker=LinkView(state="live", latency_ms=38.2),
        prices=LinkView(state="live", age_s=0.2),
        orders=LinkView(state="live", age_s=1.4),
        market_time=NOW,
        clock_rate=1.0,
        market_open=True,
        next_event="market closes",
        next_event_at=eastern(16, 0),
        equity=Decimal("101204.18"),
        day_pnl=Decimal("182.40"),
        day_pnl_pct=0.18,
        exposure=Decimal("75193.16"),
        positions_open=3,
        orders_open=1,
        cycles=200,
        search_budget_s=86400.0,
    )


def overview() -> OverviewView:
    monday = FRIDAY - timedelta(days=4)
    return OverviewView(
        week=(
            DayTile(
                day=monday - timedelta(days=2),
                title="Weekend",
                lines=("data ✓", "wipe ✓", "train ✓", "prune ✓", "groups ✓"),
                state="past",
            ),
            DayTile(day=monday, title="Mon", lines=("+0.41 %", "4 trades"), state="past"),
            DayTile(day=monday + timedelta(days=1), title="Tue", lines=("-0.22 %", "4 trades"), state="past"),
            DayTile(day=monday + timedelta(days=2), title="Wed", lines=("+0.08 %", "3 trades"), state="past"),
            DayTile(
                day=monday + timedelta(days=3), title="Thu", lines=("no trade", "no approval"), state="no_trade"
            ),
            DayTile(day=FRIDAY, title="Fri", lines=("3 of 4 open", "entered 09:30:04"), state="present"),
        ),
        next=(
            NextItem(text="managing exits (TSH): 3 of 4 open", active=True),
            NextItem(at=eastern(15, 50), text="end-of-day exits"),
            NextItem(at=eastern(16, 20), text="snapshot → shortlist → news"),
            NextItem(at=eastern(9, 25, day=MONDAY), text="approval closes"),
        ),
        stages=(
            StageView(stage="daily_snapshot", state="done", seconds=4.1, detail="2,871 tickers, 86 sessions, SIP"),
            StageView(stage="mp2_p3_executor", state="done", seconds=0.6, detail="11 of 2,871 fired; 2 vetoed"),
            StageView(stage="qual_scoring", state="done", seconds=1.9, detail="9 tickers, 14 articles, LEXICON"),
            StageView(stage="real_trader", state="done", seconds=5.0, detail="4 entered, 0 refused"),
            StageView(
                stage="tsh_trade_management",
                state="running",
                seconds=4323,
                progress=0.25,
                detail="3 open, 1 closed by target",
            ),
        ),
        cash=Decimal("26011.02"),
        buying_power=Decimal("26011.02"),
        day_low_pct=-0.31,
        evidence=(
            "hold-out +0.12 ± 0.08 %/day over 1,871 tickers: positive",
            "search not proven: gap 0.129 points",
            "forward ledger 0 of 12 weeks: paper or sim only",
        ),
        alerts=(
            AlertView(
                key="stale:KLMN", at=eastern(10, 41, 55), text="KLMN quote 6.1 s old, exits use REST quotes"
            ),
            AlertView(
                key="drift",
                at=eastern(9, 20, 1),
                text="11 candidates, training promised 4 to 9",
                acknowledged=True,
            ),
        ),
    )


ALGORITHMS = (
    ("adx", 0.412, 0.187, 46, -0.08, "n 11  thr 18  k 3", 3240),
    ("ema", 0.291, 0.120, 61, -0.02, "f 7  s 31  k 2", 5220),
    ("macd", 0.377, 0.151, 39, 0.04, "f 7  s 28  g 9", 24300),
    ("rsi", 0.344, 0.166, 52, -0.11, "n 9  lo 41  h 2", 7600),
    ("bb", 0.268, 0.098, 70, -0.21, "n 18  k 1.9  m 15", 10200),
    ("stoch", 0.301, 0.133, 44, -0.07, "n 14  d 3  lo 25", 9900),
    ("cci", 0.225, 0.091, 58, -0.33, "n 20  lev 95  h 1", 6000),
    ("mfi", 0.318, 0.142, 41, -0.05, "n 9  lo 33  h 3", 7200),
    ("donch", 0.389, 0.171, 33, 0.02, "n 22  m 14  v 1.4", 12000),
    ("kelt", 0.402, 0.180, 37, -0.01, "n 21  a 10  k 0.7", 18000),
)


def training() -> TrainingView:
    def trend(best: float, phase: int) -> tuple[float, ...]:
        return tuple(round(best * (1 - math.exp(-(i + phase) / 12)), 4) for i in range(60))

    return TrainingView(
        state="running",
        backend="native",
        cycle=137,
        cycles=200,
        kernel_ms=11.2,
        cycle_ms=61.0,
        eta_s=3.8,
        evaluations_per_s=36.1e6,
        distinct=10_960,
        batches=(
            (True, True, True, True),
            (True, True, True, True),
            (True, True, True, False),
            (False, False, False, False),
            (False, False, False, False),
        ),
        algorithms=tuple(
            AlgorithmRow(
                name=name,
                tested=1096,
                space=space,
                best=best,
                top100=top,
                trend=trend(best, i),
                median=round(top - 0.6, 3),
                median_trend=tuple(round(value - best + top - 0.6, 4) for value in trend(best, i)),
                buys_day=buys,
                worst_day=worst,
                best_parameters=parameters,
            )
            for i, (name, best, top, buys, worst, parameters, space) in enumerate(ALGORITHMS)
        ),
    )


def groups() -> GroupsView:
    members = (
        "adx 11/18/3 · macd 7/28/9 · mfi 9/33/3 · kelt 21/10/0.7",
        "adx 11/18/3 · rsi 9/41/2 · kelt 21/10/0.7",
        "macd 7/28/9 · mfi 9/33/3 · kelt 21/10/0.7",
        "ema 7/31/2 · stoch 14/3/25 · donch 22/14/1.4",
        "adx 12/18/3 · macd 7/28/9 · kelt 21/10/0.7",
        "rsi 9/41/2 · donch 22/14/1.4",
    )
    rows = tuple(
        GroupRow(
            rank=i,
            selected={1: 1, 4: 2}.get(i),
            score=1.482 - 0.031 * (i - 1),
            selection_score=0.811 - 0.02 * i,
            mean_day=1.61 - 0.03 * (i - 1),
            worst_day=0.22 - 0.055 * (i - 1),
            picks_day=9.4 + 0.4 * (i - 1),
            members=text,
            holdout="+0.12 ± 0.08 %/day" if i in (1, 4) else "",
            overlap={1: 1.0, 2: 0.71, 3: 0.82, 4: 0.31, 5: 0.77, 6: 0.22}[i],
            verdict={1: "hold-out positive; 4 members", 4: "a real alternative"}.get(i, ""),
        )
        for i, text in enumerate(members, start=1)
    )
    lanes = (
        LaneView(
            thread=1, anchor="rsi 9/41/2", depth=5, max_depth=10, tests_per_s=36.1e6, granted=5580.0,
            used=5472.0, donated=0.0, received=860.0, state="searching",
        ),
        LaneView(
            thread=2, anchor="donch 22/14/1.4", depth=4, max_depth=10, tests_per_s=0.0, granted=3060.0,
            used=1360.0, donated=1700.0, received=0.0, state="done",
        ),
        LaneView(
            thread=3, anchor="kelt 21/10/0.7", depth=7, max_depth=10, tests_per_s=35.0e6, granted=5580.0,
            used=5466.0, donated=0.0, received=420.0, state="searching", stall_s=0.1,
        ),
        LaneView(
            thread=4, anchor="macd 7/28/9", depth=3, max_depth=10, tests_per_s=34.4e6, granted=5580.0,
            used=5460.0, donated=0.0, received=420.0, state="searching",
        ),
    )  # fmt: skip
    used = sum(lane.used for lane in lanes)
    open_grants = 336.0
    return GroupsView(
        state="running",
        budget_s=86_400.0,
        elapsed_s=4_500.0,
        incumbent=1.482,
        bound=1.611,
        gap=0.129,
        anchors_closed=611,
        anchors=1500,
        visited=41_200_000_000,
        tests=1_270_000_000_000,
        tests_per_s=105.5e6,
        curve=tuple(
            GapPoint(
                at_s=56.0 * i,
                incumbent=1.482 if i > 40 else 1.377,
                threshold=1.482 - 0.6 * math.exp(-i / 30),
                bound=1.611 + 0.9 * math.exp(-i / 26),
            )
            for i in range(80)
        ),
        flows=(
            FlowView(giver="2", taker="3", seconds=420.0, times=1680, at_s=3100.0),
            FlowView(giver="2", taker="1", seconds=860.0, times=3440, at_s=4499.5),
        ),
        flow_totals=(
            FlowView(giver="2", taker="1", seconds=860.0, times=3440, at_s=4499.5),
            FlowView(giver="2", taker="3", seconds=420.0, times=1680, at_s=3100.0),
            FlowView(giver="2", taker="4", seconds=420.0, times=1680, at_s=2900.0),
        ),
        lanes=lanes,
        ledger=LedgerView(
            open_grants=open_grants,
            used=used,
            pool=345_600.0 - used - open_grants,
            capacity=345_600.0,
        ),
        groups=rows,
    )


NAMES = (
    ("ABCD", "Abacode Systems", 60.71), ("EFGH", "Effigy Holdings", 12.44), ("IJKL", "Ijkal Bio", 33.90),
    ("MNOP", "Monopane Energy", 141.02), ("QRST", "Questra", 8.17), ("UVWX", "Univox", 24.6),
    ("YZAB", "Yazabi Foods", 77.1), ("CDEF", "Codefly", 3.42), ("GHIJ", "Ghijon Steel", 55.0),
)  # fmt: skip


def shortlist(state: str = "pending") -> ShortlistView:
    news_scores = (0.6, 0.2, -0.7, 0.1, None, None, 0.3, -0.1, None)
    rows = []
    for i, (symbol, name, close) in enumerate(NAMES):
        closes = tuple(round(close * (0.93 + 0.07 * i_ / 20 + 0.012 * math.sin(i_ + i)), 2) for i_ in range(21))
        score = news_scores[i]
        headlines = {
            0: (("raises full-year guidance after record third quarter", "benzinga", 0.7),
                ("wins supply contract with two utilities", "benzinga", 0.5)),
            2: (("announces public offering of 4,000,000 shares of common stock", "benzinga", -0.7),),
        }.get(i, ())  # fmt: skip
        rows.append(
            ShortlistRow(
                rank=i + 1,
                symbol=symbol,
                name=name,
                score=0.912 - 0.023 * i,
                rank_score=0.874 - 0.021 * i,
                parts={
                    "firings": 0.27 - 0.01 * i,
                    "month_mean": 0.18 - 0.004 * i,
                    "month_hits": 0.13,
                    "liquidity": 0.11,
                    "gap_risk": -0.031,
                    "atr_distance": -0.022,
                },
                month_pct=0.8 - 0.13 * i,
                sparkline=closes,
                close=close,
                news_score=score,
                news=tuple(
                    NewsLine(at=eastern(8, 5) - timedelta(hours=3 * k), headline=h, source=s, score=v)
                    for k, (h, s, v) in enumerate(headlines)
                ),
                reason="“raises full-year guidance” (2 articles)" if i == 0 else "no news in 3 days"
                if score is None else "two articles, nothing that matters",
                chosen=i in (0, 1, 3, 4),
                veto="announces public offering" if i == 2 else "",
            )
        )  # fmt: skip
    return ShortlistView(
        state=state,  # type: ignore[arg-type]
        session=MONDAY,
        signal_day=FRIDAY,
        group="adx 11/18/3 · macd 7/28/9 · mfi 9/33/3 · kelt 21/10/0.7",
        candidates=11,
        rows=tuple(rows),
        vetoed=("WXYZ: top 2 % by ATR%", "BCDA: bottom 2 % by 5-session return"),
        list_hash="7f3a19c2d41e9b07",
        deadline=eastern(9, 25, day=MONDAY),
        valid_until=eastern(9, 35, day=MONDAY),
        previous=("QRST", "EFGH", "STUV", "MNOP"),
    )


def positions() -> PositionsView:
    def row(symbol: str, shares: int, entry: str, last: str, high: str, state: str, **more: object) -> PositionRow:
        pnl = (Decimal(last) - Decimal(entry)) * shares
        pct = float((Decimal(last) / Decimal(entry) - 1) * 100)
        return PositionRow.model_validate(
            {
                "symbol": symbol, "shares": shares, "entry": entry, "last": last, "high": high,
                "state": state, "pnl": pnl, "pnl_pct": pct, **more,
            }
        )  # fmt: skip

    return PositionsView(
        session=FRIDAY,
        rows=(
            row(
                "ABCD", 412, "60.71", "61.35", "61.42", "ARMED", age_s=0.2, stop="61.05", arm="61.26",
                target="61.62", why_next="price ≤ 61.05 (trail) or ≥ 61.62",
            ),
            row(
                "KLMN", 1190, "21.01", "20.88", "21.10", "WATCH", age_s=6.1, stale=True, source="rest",
                arm="21.26", target="21.43", why_next="15:50 end of day; ≥ 21.26 arms",
            ),
            row(
                "MNOP", 176, "141.02", "141.10", "141.38", "WATCH", age_s=0.4, arm="141.87",
                target="142.43", why_next="15:50 end of day; ≥ 141.87 arms",
            ),
            PositionRow(
                symbol="QRST", entry=Decimal("33.42"), last=Decimal("33.92"), state="CLOSED",
                pnl=Decimal("59.62"), pnl_pct=1.50, why_next="sold 10:12:31 at 33.92, target",
            ),
        ),
        orders=(
            OrderRow(
                at=eastern(9, 30, 4), symbol="ABCD", side="buy", shares=412, filled=412, kind="limit",
                price=Decimal("60.89"), status="filled", client_order_id="tsh-7f3a19c2-20261120-ABCD-entry-1",
            ),
            OrderRow(
                at=eastern(9, 30, 4), symbol="KLMN", side="buy", shares=1190, filled=1190, kind="limit",
                price=Decimal("21.07"), status="filled", client_order_id="tsh-7f3a19c2-20261120-KLMN-entry-1",
            ),
            OrderRow(
                at=eastern(10, 12, 31), symbol="QRST", side="sell", shares=119, filled=119, kind="market",
                status="filled", client_order_id="tsh-7f3a19c2-20261120-QRST-exit-1",
            ),
            OrderRow(
                at=eastern(9, 31, 0), symbol="SPY", side="sell", shares=5, filled=0, kind="stop",
                price=Decimal("570.00"), status="new", client_order_id="other-1", foreign=True,
            ),
        ),
        foreign=("SPY",),
        realised=Decimal("59.62"),
        unrealised=Decimal("123.06"),
        allocation=Decimal("90000"),
    )  # fmt: skip


def flatten() -> FlattenView:
    return FlattenView(
        exposure=Decimal("75193.16"),
        positions=3,
        orders=1,
        market_open=True,
        expected_cost=Decimal("38.10"),
        foreign=("SPY",),
    )


def flattening() -> FlattenView:
    return FlattenView(
        state="running",
        looked=True,
        step="3 sell all",
        rows=(
            FlattenRow(symbol="ABCD", shares=412, step="sold at 61.31 ✓"),
            FlattenRow(symbol="KLMN", shares=1190, step="REJECTED held for orders, retry 2 …"),
            FlattenRow(symbol="MNOP", shares=176, step="selling …"),
        ),
        exposure=Decimal("49663.00"),
        positions=2,
        orders=1,
        market_open=True,
    )


TEXTS = (
    ("engine_started", "notice", "engine started: SIM account SIM-7F3A19, pid 4242"),
    ("link_changed", "info", "prices: live"),
    ("reconciled", "debug", "reconciled: clean, 0 orders, 0 positions"),
    ("stage_finished", "notice", "daily_snapshot done in 4.1 s: 2,871 tickers"),
    ("trade_list_ready", "notice", "trade list 7f3a19c2 for 2026-11-20: ABCD KLMN MNOP QRST"),
    ("approval_given", "notice", "operator approved 7f3a19c2 for 2026-11-20: ABCD KLMN MNOP QRST"),
    ("order_sent", "info", "buy 412 ABCD limit at 60.89 (entry, quarter of 90,000)"),
    ("fill_received", "notice", "filled: buy 412 ABCD at 60.71"),
    ("tsh_changed", "info", "ABCD ARMED at 61.30: price ≤ 60.93 (trail) or ≥ 61.62"),
    ("entry_refused", "warning", "WXYZ not entered, spread: 0.8 % is above 0.5 %"),
    ("alert_raised", "alert", "KLMN quote 6.1 s old, exits use REST quotes"),
)


def events(count: int = 60) -> list[EventView]:
    made = []
    for i in range(count):
        kind, level, text = TEXTS[i % len(TEXTS)]
        at = eastern(9, 0) + timedelta(seconds=97 * i)
        made.append(
            EventView(
                seq=i + 1, at=at, market_at=at, kind=kind, level=level, text=text, data={"run": "w47", "n": i}
            )
        )
    return made


RECORDED = Path(__file__).parent / "recorded"


def moment(name: str) -> ViewBoard:
    """A board as a real engine sent it at a named moment of a demo week (``record_views`` names them)."""
    snapshot = Snapshot.model_validate_json((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    board = ViewBoard()
    for view in board.views():
        setattr(board, view, getattr(snapshot, view))
    for event in snapshot.events:
        board.add_event(event)
    return board


def recorded_board() -> ViewBoard:
    """A board filled with everything above."""
    board = ViewBoard()
    board.status, board.overview, board.training = status(), overview(), training()
    board.groups, board.shortlist, board.positions = groups(), shortlist(), positions()
    board.flatten = flatten()
    for event in events():
        board.add_event(event)
    return board
