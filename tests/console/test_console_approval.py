"""The approval's question: whatever is wrong that day, a yes is given with all that it rests on in view."""

from __future__ import annotations

from datetime import date

import pytest
import recorded_board as recorded_go
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from textual.containers import VerticalScroll
from textual.pilot import Pilot

from app.client import EngineState
from app.console import TshConsole
from app.dialogs.approval import approval_lines
from app.widgets.box import Line
from engine.views import GateView, ShortlistView, StageView

SIZES = [(80, 24), (80, 20), (100, 30), (160, 48)]
STOPPING = ("groups", "capital", "entry_latch", "broker", "price_stream", "orders", "journal", "account")
EVIDENCE = tuple(f"group {letter}  line {i} of what is known" for letter in "AB" for i in range(3))


def text(lines: list[Line]) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


def stopped(count: int) -> tuple[GateView, ...]:
    """The recorded gates, ``count`` of them NO-GO with a remedy of two lines."""
    remedy = "look into the cause of it first, then tell the engine with a command " * 2
    change = {"state": "no_go", "remedy": remedy}
    return tuple(
        gate.model_copy(update=change) if gate.gate in STOPPING[:count] else gate for gate in recorded_go.gates()
    )


async def asked(pilot: Pilot[None], app: TshConsole) -> str:
    await painted(pilot, app)
    await pilot.press("4", "a")
    app.paint()
    await pilot.pause()
    return text_of(app)


def test_a_yes_says_how_much_money_it_spends() -> None:
    state, view = at_the_board(0), recorded.shortlist()
    shown = text(approval_lines(view, state, 20))
    assert "buys 4 at the open, up to 22,770.94 $ each, 91,083.76 $ in all" in shown
    state.board = state.board.model_copy(update={"per_name": None})
    assert "for how much is not known yet" in text(approval_lines(view, state, 20))


@pytest.mark.parametrize("rows", [40, 9])
def test_a_yes_that_would_buy_nothing_says_so_with_the_whole_remedy(rows: int) -> None:
    state = at_the_board(0)
    latched = recorded_go.latched()
    state.board = latched
    shown = text(approval_lines(recorded.shortlist(), state, rows))
    assert "NO-GO: nothing is bought, with or without your yes" in shown
    remedy = next(gate.remedy for gate in latched.gates if gate.state == "no_go")
    assert (remedy in " ".join(shown.split())) is (rows == 40)


@pytest.mark.parametrize("count", [0, 5, 8])
@pytest.mark.parametrize("mode", ["sim", "live"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_what_is_approved_and_the_way_to_answer_are_seen_together(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int], mode: str, count: int
) -> None:
    gates = {"gates": stopped(count), "verdict": "no_go" if count else "go"}
    engine.board.board = recorded_go.board().model_copy(update=gates)
    engine.board.status = recorded_go.status().model_copy(update={"mode": mode, "account": "998112"})
    engine.board.overview = recorded.overview().model_copy(update={"evidence": EVIDENCE})
    async with app.run_test(size=size) as pilot:
        shown = await asked(pilot, app)
        words = ("Monday 23 November", f"{mode.upper()} 998112", "list 7f3a·19c2", "closes in 00:13", "NO TRADE")
        for said in words:
            assert said in shown, said
        for row in engine.board.shortlist.rows:
            assert (f"✓ {row.symbol}   score" in shown) == row.chosen
        assert "+ABCD  -STUV" in shown
        assert f"{16 - count} of 16 gates GO besides your yes" in shown
        assert ("type APPROVE and Enter" if mode == "live" else "Back  esc     Approve  y") in shown
        assert app.screen.query_one("#dialog", VerticalScroll).max_scroll_y == 0


def at_the_board(count: int) -> EngineState:
    state = EngineState()
    state.status, state.overview, state.shortlist = recorded_go.status(), recorded.overview(), recorded.shortlist()
    state.board = recorded_go.board().model_copy(update={"gates": stopped(count), "verdict": "no_go"})
    return state


def test_gates_lose_their_remedy_before_they_lose_their_line_and_that_before_their_name() -> None:
    state, view = at_the_board(3), recorded.shortlist()
    rooms = (40, 17, 12, 9)
    said = [text(approval_lines(view, state, rows)) for rows in rooms]
    assert [shown.count("→ look") for shown in said] == [3, 0, 0, 0]
    assert "capital: 22,770.94 $ a name" in said[1]
    assert "✕ NO-GO  groups, capital, entry latch" in said[2]
    assert [("capital" in shown) for shown in said] == [True, True, True, False]
    assert all(len(shown.splitlines()) <= rows for shown, rows in zip(said, rooms, strict=True))
    assert all("13 of 16 gates GO" in shown and "NO TRADE" in shown for shown in said)


def test_evidence_that_has_no_place_is_pointed_to() -> None:
    shown = text(approval_lines(recorded.shortlist(), at_the_board(3), 11))
    assert recorded.overview().evidence[0] in shown
    assert "6 the rest" in shown


async def test_a_yes_says_which_names_are_new_and_which_are_gone(engine: RecordedEngine, app: TshConsole) -> None:
    update = {"previous_session": date(2026, 11, 20), "previous_outcome": "rejected"}
    engine.board.shortlist = recorded.shortlist().model_copy(update=update)
    async with app.run_test(size=(80, 24)) as pilot:
        await painted(pilot, app)
        await pilot.press("g", "a")  # from the board, where the list itself is not seen
        await pilot.pause()
        assert "against Fri 20 Nov (rejected)  +ABCD  -STUV" in text_of(app)


def test_a_list_like_the_last_one_and_a_first_list_are_named_as_such() -> None:
    state, view = at_the_board(0), recorded.shortlist()
    same = view.model_copy(update={"previous": ("ABCD", "EFGH", "MNOP", "QRST")})
    assert "the same names" in text(approval_lines(same, state, 20))
    assert "no earlier list to compare with" in text(
        approval_lines(view.model_copy(update={"previous": ()}), state, 20)
    )


@pytest.mark.parametrize(
    ("outcome", "is_open", "keys"),
    [
        ("pending", False, "a approve  r reject  space swap"),
        ("approved", False, "r reject  space swap"),
        ("approved", True, ""),
        ("rejected", False, ""),
        ("expired", False, ""),
    ],
)
async def test_only_what_can_still_be_done_to_a_list_is_offered(
    engine: RecordedEngine, app: TshConsole, outcome: str, is_open: bool, keys: str
) -> None:
    engine.board.shortlist = recorded.shortlist(outcome)
    engine.board.status = recorded_go.status().model_copy(update={"market_open": is_open})
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4")
        await pilot.pause()
        foot = next(line for line in text_of(app).splitlines() if "list 7f3a·19c2" in line)
        assert keys in foot
        for name in ("approve", "reject", "swap"):
            assert (name in foot) is (name in keys), foot


async def test_a_list_that_is_over_takes_no_half_of_a_swap(engine: RecordedEngine, app: TshConsole) -> None:
    engine.board.shortlist = recorded.shortlist("rejected")
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4", "space")
        await until(lambda: "this list is over (rejected)" in said(app))
        await pilot.pause()
        assert "⇄" not in text_of(app)


@pytest.mark.parametrize("before", ["none", "approved"])
async def test_while_the_next_list_is_made_the_screen_says_how_far_it_is(
    engine: RecordedEngine, app: TshConsole, before: str
) -> None:
    old = recorded.shortlist(before)
    engine.board.shortlist = old if before != "none" else ShortlistView()
    stage = StageView(stage="daily_snapshot", state="running", progress=0.83, detail="18 of 28 chunks of symbols")
    engine.board.overview = recorded.overview().model_copy(update={"stages": (stage,)})
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        await pilot.press("4")
        await until(lambda: "▶ " in text_of(app))
        shown = text_of(app)
        assert "daily_snapshot 83 %" in shown
        assert "APPROVED" not in shown
        assert "runs the market day" not in shown
