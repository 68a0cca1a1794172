"""A whole market day recorded and replayed: ``python tests/benchmarks/bench_recording.py [--hours 6.5]``.

Four positions whose prices move four times a second, their orders, a shortlist of 20 and a hundred
groups behind them: the day with the most to record. All times are processor times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from app.client import EngineState
from app.freeze import ViewRing
from engine.database import file_bytes
from engine.model import NEW_YORK, UTC
from engine.recording.day_file import day_path
from engine.recording.recorder import Recorder
from engine.recording.tape import Tape
from engine.settings import RecordingSettings
from engine.view_board import ViewBoard
from engine.views import (
    GroupRow,
    GroupsView,
    LinkView,
    OrderRow,
    PositionRow,
    PositionsView,
    ShortlistRow,
    ShortlistView,
    StatusView,
)

RATE_HZ = 4
OPEN = datetime(2026, 11, 23, 9, 30, tzinfo=NEW_YORK).astimezone(UTC)
SYMBOLS = ("ABCD", "KLMN", "MNOP", "QRST")


class Deaf:
    def publish(self, event: object) -> None:
        raise RuntimeError(str(event))


def board() -> ViewBoard:
    made = ViewBoard()
    made.groups = GroupsView(
        state="done",
        groups=tuple(
            GroupRow(
                rank=i, score=0.5 - i / 300, mean_day=0.4 - i / 400, members=f"adx n {i} · rsi n 6 lo {i} h 5"
            )
            for i in range(100)
        ),
    )
    made.shortlist = ShortlistView(
        state="approved",
        rows=tuple(
            ShortlistRow(
                rank=i, symbol=f"T{i:03}", score=1 - i / 40, sparkline=tuple(20 + i + j / 7 for j in range(21))
            )
            for i in range(20)
        ),
    )
    return made


def moved(made: ViewBoard, tick: int, prices: np.ndarray) -> None:
    at = OPEN + timedelta(seconds=tick / RATE_HZ)
    rows = []
    for symbol, price in zip(SYMBOLS, prices, strict=True):
        last = Decimal(f"{price:.2f}")
        pnl = (last - 40) * 500
        rows.append(
            PositionRow(
                symbol=symbol,
                shares=500,
                entry=Decimal(40),
                last=last,
                age_s=float(tick % 7) / 10,
                high=max(last, Decimal(41)),
                arm=Decimal("40.40"),
                target=Decimal("40.80"),
                resting_stop=Decimal("38.80"),
                state="WATCH",
                pnl=pnl,
                pnl_pct=float(pnl / 200),
                why_next="sells at the target 40.80, arms at 40.40",
            )
        )
    orders = tuple(
        OrderRow(at=OPEN, symbol=s, side="sell", shares=500, kind="stop", price=Decimal("38.80"), status="new")
        for s in SYMBOLS
    )
    total = sum((row.pnl for row in rows if row.pnl is not None), Decimal(0))
    made.positions = PositionsView(session=date(2026, 11, 23), rows=tuple(rows), orders=orders, unrealised=total)
    made.status = StatusView(
        mode="paper",
        market_time=at,
        market_open=True,
        positions_open=4,
        orders_open=4,
        day_pnl=total,
        broker=LinkView(state="live", latency_ms=30 + tick % 17),
        prices=LinkView(state="live", age_s=tick % 9 / 10),
        orders=LinkView(state="live", age_s=tick % 300 / 4),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=6.5)
    ticks = int(parser.parse_args().hours * 3600 * RATE_HZ)
    random, made = np.random.default_rng(7), board()
    walks = 40 + np.cumsum(random.standard_normal((ticks, 4)) * 0.004, axis=0)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), RecordingSettings(), made, Deaf())
        spent = 0.0
        for tick in range(ticks):
            moved(made, tick, walks[tick])
            began = time.process_time()
            recorder.look(tick / RATE_HZ)
            spent += time.process_time() - began
        recorder._close()
        path = day_path(Path(folder), date(2026, 11, 23))
        size = file_bytes(path)
        share = spent / (ticks / RATE_HZ) * 100
        print(f"{ticks:,} frames in {size / 1e6:.1f} MB, {size / ticks:.0f} bytes a frame (target 50 MB a day)")
        print(f"{spent / ticks * 1e3:.2f} ms a frame, {share:.2f} % of a core at {RATE_HZ} Hz (target 1 %)")
        began = time.process_time()
        tape = Tape.open(path)
        print(f"the day opens in {time.process_time() - began:.2f} s (target 2 s)")
        times = []
        for index in random.integers(0, len(tape), 200):
            began = time.process_time()
            tape.trees(int(index))
            times.append((time.process_time() - began) * 1e3)
        print(f"a jump takes {np.median(times):.1f} ms, at most {max(times):.1f} ms (target 30 ms)")
        began = time.process_time()
        for index in range(2000):
            tape.trees(index)
        print(f"playing on takes {(time.process_time() - began) / 2000 * 1e3:.2f} ms a frame")
        tape.close()
    ring, state = ViewRing(), EngineState()
    spent = 0.0
    for tick in range(2400):
        moved(made, tick, walks[tick % ticks])
        state.status, state.positions, state.revision = made.status, made.positions, tick
        began = time.process_time()
        ring.take(state, tick / RATE_HZ)
        spent += time.process_time() - began
    print(
        f"the console's ring: {len(ring.moments):,} moments in {ring.bytes / 1e6:.2f} MB, "
        f"{spent / (2400 / RATE_HZ) * 100:.2f} % of a core"
    )


if __name__ == "__main__":
    main()
