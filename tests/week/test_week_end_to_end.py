"""The whole week through the command line, on the embedded market, into a half-day session.

One unattended demo (module fixture) is looked at from every side: its report, its tables,
its journal against the simulator's own log, its day's money against the venue's books.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.replay_client import ReplayClient, load_day
from app.replay_console import ReplayConsole
from engine.compute.algorithms import ALGORITHMS
from engine.home import Home
from engine.recording.day_file import recorded_days
from tests.contract.wire_surface import ENGINE_USES, STREAMS

from .conftest import Tshc
from .onlooker import Onlooker, Stood

pytestmark = pytest.mark.slow

WEEKEND = ["weekly_5d_data", "wipe_weekly_results", "mp1_loop", "mp1_p3_pruner", "mp2_p2_group_discovery"]
WEEKDAY = ["daily_snapshot", "mp2_p3_executor", "qual_scoring", "approval", "real_trader", "tsh_trade_management"]


WATCHED: list[Stood] = []  # what a console showed of the demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tshc, dict[str, Any]]]:
    home = Home(tmp_path_factory.mktemp("week") / "home")
    tshc = Tshc(home, overrides={"sim.symbols": "2400"})
    with Onlooker(home) as onlooker:
        report = tshc.json(
            "demo", "--headless", "--date", "2026-11-25", "--cycles", "3", "--search-tests", "20000",
            "--search-budget", "30s", "--home", str(home.folder), timeout_s=400,
        )  # fmt: skip
    WATCHED[:] = onlooker.stood
    yield tshc, report
    tshc.stop()


def stages(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["stage"]: stage for stage in report["stages"]}


def test_every_stage_is_reported_with_its_result_and_duration(demo: tuple[Tshc, dict[str, Any]]) -> None:
    _, report = demo
    assert list(stages(report["weekend"])) == WEEKEND
    for day in report["days"]:
        assert list(stages(day))[:4] == WEEKDAY[:4]
    for run in (report["weekend"], *report["days"]):
        for stage in run["stages"]:
            assert stage["state"] == "done"
            assert stage["summary"]
            assert stage["seconds"] >= 0


def test_the_search_is_told_in_the_same_columns_as_events_and_in_its_log(
    demo: tuple[Tshc, dict[str, Any]],
) -> None:
    tshc, report = demo
    told = [event["data"]["columns"] for event in tshc.told if event["kind"] == "search_progressed"]
    log = [json.loads(line) for line in (tshc.home.logs / "search.jsonl").read_text("utf-8").splitlines()]
    logged = [{name: value for name, value in line.items() if name != "at"} for line in log]
    assert told
    assert all(columns in logged for columns in told)
    assert told[-1]["tests"] == stages(report["weekend"])["mp2_p2_group_discovery"]["counts"]["tests"]
    assert told[-1]["lanes"]


def test_the_tables_hold_what_the_contract_says(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    stocks, results = tshc.home.stocks_data, tshc.home.variation_results
    samples = []
    for day in range(1, 6):
        rows = tshc.rows(stocks, f"SELECT symbol, COUNT(*), MIN(row), MAX(row) FROM ds_day{day} GROUP BY symbol")
        assert len(rows) == 1000
        assert {row[1:] for row in rows} == {(65, 1, 65)}
        samples.append({row[0] for row in rows})
        listed = {row[0] for row in tshc.rows(stocks, f"SELECT symbol FROM dict_day{day}")}
        assert samples[-1] < listed
    assert all(sample == samples[0] for sample in samples)
    for name, space in ALGORITHMS.items():
        columns = ", ".join(f'"{p}"' for p in space.names)
        tested = tshc.rows(results, f"SELECT cycle, {columns} FROM results_{name}")
        assert len(tested) == 3 * 8
        assert len({row[1:] for row in tested}) == 3 * 8
        assert all(space.contains(row[1:]) for row in tested)
    assert tshc.rows(stocks, "SELECT COUNT(*) FROM final_groups WHERE selected = 1") == [(1,)]
    assert len(tshc.rows(stocks, "SELECT * FROM shortlist")) <= 20
    assert len(tshc.rows(stocks, "SELECT * FROM trade_list")) <= 4
    assert tshc.rows(stocks, "SELECT MIN(row), MAX(row) FROM dictionary_table") == [(1, 64)]


def test_every_order_was_in_the_journal_before_the_venue_received_it(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    intents = dict(tshc.rows(tshc.home.journal, "SELECT client_order_id, at FROM intents"))
    received = {
        line["body"]["client_order_id"]: line["received_at"]
        for line in _venue_log(tshc)
        if line["kind"] == "request"
    }
    assert received, "the demo sent no order at all"
    for client_order_id, at in received.items():
        assert client_order_id.startswith("tsh-")
        assert _instant(intents[client_order_id]) < _instant(at)


def test_the_days_money_is_what_the_venue_booked(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, report = demo
    pnl = sum(
        (Decimal(stages(day)["tsh_trade_management"]["counts"]["pnl"]) for day in _traded(report)), Decimal(0)
    )
    assert Decimal(report["equity"]) - 100_000 == pnl
    fills = tshc.rows(tshc.home.journal, "SELECT side, shares, price FROM fills")
    flow = sum((Decimal(p) * n * (1 if side == "sell" else -1) for side, n, p in fills), Decimal(0))
    assert flow.quantize(Decimal("0.01")) == pnl


def test_the_flatten_drill_ended_flat(demo: tuple[Tshc, dict[str, Any]]) -> None:
    _, report = demo
    if len(_traded(report)) == 2:
        assert report["flatten"].startswith("flat: no orders, no positions: confirmed twice")
    reasons = {t["reason"] for d in _traded(report) for t in stages(d)["tsh_trade_management"]["counts"]["trades"]}
    assert reasons <= {"TARGET", "TRAIL", "PROTECTIVE", "END_OF_DAY", "FLATTEN", "DAY_LOSS"}


def test_the_first_day_was_the_half_day_and_ended_before_its_early_close(
    demo: tuple[Tshc, dict[str, Any]],
) -> None:
    tshc, report = demo
    assert report["days"][0]["setup"] == {"signal": "2026-11-25", "session": "2026-11-27"}
    sold = tshc.rows(
        tshc.home.journal,
        "SELECT f.at FROM fills f JOIN intents i USING (client_order_id) "
        "WHERE i.session = '2026-11-27' AND f.side = 'sell'",
    )
    assert all(_instant(at) < _instant("2026-11-27T18:00:00Z") for (at,) in sold)


def test_no_name_is_refused_for_shares_that_were_sold_the_day_before(demo: tuple[Tshc, dict[str, Any]]) -> None:
    _, report = demo
    for day in _traded(report):
        refused = stages(day)["real_trader"]["counts"]["refused"]
        assert not [why for why in refused.values() if "already held" in why]


def test_the_approval_is_visible_as_the_demos(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, report = demo
    approvals = tshc.rows(tshc.home.journal, "SELECT session, outcome, by, list_hash FROM approvals ORDER BY seq")
    assert {row[2] for row in approvals} == {"demo"}
    assert len(approvals) == len(_traded(report))


def test_a_trade_can_be_explained_back_to_its_variations(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    order, symbol = tshc.rows(
        tshc.home.journal, "SELECT client_order_id, symbol FROM intents ORDER BY rowid DESC"
    )[0]
    chain = tshc.json("explain", order)
    assert any(title.startswith(f"trade {symbol}") for title in chain)
    for part in ("fills", "intents", "approval", "decision", "group", "variations"):
        assert chain[part]


def test_any_table_can_be_exported_as_csv(demo: tuple[Tshc, dict[str, Any]], tmp_path: Path) -> None:
    tshc, _ = demo
    out = tmp_path / "groups.csv"
    assert tshc.run("export", "final_groups", "--out", str(out)).returncode == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    stored = tshc.rows(tshc.home.stocks_data, "SELECT COUNT(*) FROM final_groups")[0][0]
    assert len(lines) == stored + 1
    assert "selected" in lines[0].split(",")
    unknown = tshc.run("export", "final_grups")
    assert unknown.returncode == 2
    assert "lists them" in unknown.stderr


def test_a_second_weekend_inside_the_live_week_is_refused(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    again = Tshc(tshc.home, overrides={"sim.symbols": "2400", "sim.date": "2026-11-25"})
    try:
        done = again.run("weekend")
        assert done.returncode == 3
        assert "--replace" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        again.stop()


def test_the_week_asks_the_venue_nothing_that_is_not_judged_against_its_documents(
    demo: tuple[Tshc, dict[str, Any]],
) -> None:
    tshc, _ = demo
    path = tshc.home.folder / "simulator" / "simulator.requests.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    asked = {(line["method"], line["route"]) for line in lines}
    assert asked <= ENGINE_USES | STREAMS
    assert {("GET", "/v2/stocks/bars"), ("GET", "/v1beta1/news"), ("POST", "/v2/orders")} <= asked


def test_both_days_are_decided_again_from_the_journal_alone(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    sessions = tshc.rows(tshc.home.journal, "SELECT DISTINCT session FROM intents WHERE leg = 'entry'")
    assert sessions
    for (session,) in sessions:
        answer = tshc.json("verify-day", session)
        assert (answer["same"], answer["contradictions"]) == (True, [])
        assert {d["event"] for d in answer["decisions"]} >= {"opened", "Sold"}


def _traded(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [day for day in report["days"] if "tsh_trade_management" in stages(day)]


def _venue_log(tshc: Tshc) -> list[dict[str, Any]]:
    path: Path = tshc.home.folder / "simulator" / "simulator.log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_week_ends_on_the_asked_date(demo: tuple[Tshc, dict[str, Any]]) -> None:
    _, report = demo
    assert date.fromisoformat(report["weekend"]["setup"]["week"]) == date(2026, 11, 25)


STANDS = timedelta(seconds=4)  # what stands so long must be in the recording at half that time
SETTLES = timedelta(seconds=1.5)  # the calm views are recorded once a second


async def test_the_recorded_days_replay_to_what_a_console_showed(demo: tuple[Tshc, dict[str, Any]]) -> None:
    tshc, _ = demo
    days = [day.day for day in recorded_days(tshc.home.recordings)]
    assert days[0] == date(2026, 11, 25)
    assert len(days) >= 2
    compared = Counter[str]()
    for day in days:
        client = ReplayClient(tshc.home, await load_day(tshc.home, day))
        assert client.data.note == ""
        tape = client.data.tape
        walls = [tape.wall_at(i) for i in range(len(tape))]
        for stood in WATCHED:
            at = stood.since + (stood.until - stood.since) / 2
            frame = bisect_right(walls, at) - 1
            if stood.name == "status" or stood.until - stood.since < STANDS or frame < 0 or at > walls[-1]:
                continue
            if walls[frame] < stood.since + SETTLES:
                continue  # a machine so busy that no frame was taken meanwhile
            client.seek(tape.position(frame))
            assert getattr(client.state, stood.name) == stood.view, (stood.name, at)
            compared[stood.name] += 1
        client.seek(tape.length_s)
        assert [event.seq for event in client.state.events] == list(range(1, tape.seq(len(tape) - 1) + 1))
        await client.close()
    assert {"groups", "shortlist", "positions"} <= set(compared), compared  # the overview never stands that long


async def test_a_replayed_trading_day_can_be_walked_through_on_every_screen(
    demo: tuple[Tshc, dict[str, Any]],
) -> None:
    tshc, _ = demo
    day = recorded_days(tshc.home.recordings)[1].day
    client = ReplayClient(tshc.home, await load_day(tshc.home, day), speed=600.0)
    app = ReplayConsole(client)
    entered = next(e for e in client.data.events if e.kind == "fill_received")
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "1234567":
            await pilot.press(key, "home", "right", "right_square_bracket", "end")
        await pilot.press("5", "home")
        while client.state.seq < entered.seq:
            await pilot.press("right_square_bracket")
        await pilot.press("shift+right")
        async with asyncio.timeout(60):
            while str(entered.data["symbol"]) not in {row.symbol for row in client.state.positions.rows}:
                await pilot.pause()  # a busy machine does what a key asks a moment later
        assert client.state.status.market_open
        assert client.state.status.positions_open > 0
