"""Windows that show a row in full go on showing what is so now, and hold all of it on a small terminal."""

from __future__ import annotations

from decimal import Decimal

import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of, until
from textual.pilot import Pilot

from app.client import Link
from app.console import TshConsole
from app.dialogs.frame import InfoDialog
from app.widgets.box import cells
from app.widgets.candidate_window import candidate_window
from engine.views import NewsLine, PositionRow, PromptLine, QuoteLine

SMALL = (80, 24)


async def opened(pilot: Pilot[None], app: TshConsole, *keys: str) -> str:
    await painted(pilot, app)
    await pilot.press(*keys)
    await pilot.pause()
    assert isinstance(app.screen, InfoDialog)
    return text_of(app)


def give(engine: RecordedEngine, **changed: object) -> PositionRow:
    """The first position as the engine has it from now on."""
    view = recorded.positions()
    row = view.rows[0].model_copy(update=changed)
    engine.board.positions = view.model_copy(update={"rows": (row, *view.rows[1:])})
    return row


async def test_the_position_window_has_what_a_small_table_leaves_out(app: TshConsole) -> None:
    async with app.run_test(size=SMALL) as pilot:
        shown = await opened(pilot, app, "5", "enter")
        for said in (
            "412 shares", "last 61.35  0.2s from stream", "P&L +263.68 $ +1.05 %", "entry 60.71", "high 61.42",
            "stop 61.05", "target 61.62", "price ≤ 61.05 (trail) or ≥ 61.62", "●",
        ):  # fmt: skip
            assert said in shown, said


async def test_the_position_window_follows_the_price_its_age_and_the_end(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "5", "enter")
        give(engine, last=Decimal("57.11"), age_s=7.3, stale=True, source="rest", pnl=Decimal("-1483.20"))
        await until(lambda: "last 57.11  STALE 7.3s!, rest quotes" in text_of(app))
        assert "61.35" not in "".join(line for line in text_of(app).splitlines() if "│ │" in line)
        assert "P&L -1,483.20 $" in text_of(app)
        give(engine, shares=0, state="CLOSED", why_next="sold 10:44:02 at 57.02, protective stop")
        await until(lambda: "ended     sold 10:44:02 at 57.02, protective stop" in text_of(app))
        assert "last 57.11" not in text_of(app)
        engine.board.positions = recorded.positions().model_copy(update={"rows": ()})
        await until(lambda: "ABCD is not among the positions any more" in text_of(app))


async def test_a_window_says_when_what_it_shows_is_only_the_last_that_was_heard(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, app, "5", "enter")
        await engine.stop()
        await until(lambda: app.client.link is Link.LOST)
        await until(lambda: "ENGINE LOST: this is the last that was heard" in text_of(app))


# --- the news behind a score -------------------------------------------------------------------

REASON = "the guidance for the full year was raised above what the market had expected of it " * 2
VOTE = PromptLine(
    prompt="priced_in", score=0.4, label="some-model", weight=0.3, outcome="scored", reason=REASON, record=17,
    version="3", other=0.1,
    quotes=(QuoteLine(article=7, text="raises guidance"), QuoteLine(article=8, text="wins a contract")),
)  # fmt: skip
SILENT = PromptLine(prompt="risk", label="some-model", outcome="unavailable", reason="no answer within 20 s")
NEWS = tuple(
    NewsLine(
        at=recorded.eastern(8, i), headline=f"Headline {i}: " + "many words about the company " * 4,
        source="benzinga", score=0.1 * i, id=i,
    )
    for i in range(1, 7)
)  # fmt: skip


def full_of_news(engine: RecordedEngine, **more: object) -> None:
    view = recorded.shortlist()
    row = view.rows[0].model_copy(
        update={
            "news": NEWS, "prompts": (VOTE, SILENT), "flags": ("legal: an action is named",),
            "quotes": (QuoteLine(article=7, text="raises guidance", points=0.5),), "events": ("earnings",), **more,
        }
    )  # fmt: skip
    engine.board.shortlist = view.model_copy(update={"rows": (row, *view.rows[1:])})


async def test_enter_on_the_list_opens_all_news_behind_the_score_and_it_can_be_scrolled_to_its_end(
    engine: RecordedEngine, app: TshConsole
) -> None:
    full_of_news(engine)
    async with app.run_test(size=SMALL) as pilot:
        seen = {line.strip(" │┃▁▂▃▄▅▆▇█") for line in (await opened(pilot, app, "4", "enter")).splitlines()}
        for _ in range(20):
            await pilot.press("down")
            await pilot.pause()
            seen |= {line.strip(" │┃▁▂▃▄▅▆▇█") for line in text_of(app).splitlines()}
    shown = " ".join(" ".join(sorted(seen)).split())
    for said in (
        "News of ABCD", "+0.40 priced in some-model", "“wins a contract” #8",
        "share 30%, record 17, prompt 3; other names +0.10 (Δ +0.30)",
        "no score: no answer within 20 s", "legal: an action is named", "EARNINGS", "+0.50 “raises guidance” #7",
        "WXYZ: top 2 % by ATR%", "BCDA: bottom 2 % by 5-session return", "rank 0.874 =",
    ):  # fmt: skip
        assert said in shown, said
    for item in NEWS:
        assert f"+{item.score:.2f} Fri 20 Nov 08:0{item.id} ET benzinga" in shown
        assert f"“Headline {item.id}:" in shown


def test_no_word_of_a_reason_or_a_headline_is_cut() -> None:
    view = recorded.shortlist()
    row = view.rows[0].model_copy(update={"news": NEWS, "prompts": (VOTE,)})
    lines = candidate_window(view.model_copy(update={"rows": (row,)}), "ABCD", 60)
    said = " ".join(" ".join("".join(text for text, _ in line) for line in lines).split())
    assert "…" not in said
    assert REASON.strip() in said
    assert all(item.headline.strip() in said for item in NEWS)
    assert max(cells(line) for line in lines) <= 66  # a score and its article's facts need so much


async def test_the_news_window_follows_the_list(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=SMALL) as pilot:
        assert "none found" not in await opened(pilot, app, "4", "enter")
        full_of_news(engine, veto="an offering was announced", chosen=False)
        await until(lambda: "VETO: an offering was announced" in text_of(app))
        assert "not among the chosen" in text_of(app)
        view = recorded.shortlist()
        engine.board.shortlist = view.model_copy(update={"rows": view.rows[1:]})
        await until(lambda: "ABCD is not on the list any more" in text_of(app))


async def test_the_panel_below_the_list_says_where_the_rest_is(engine: RecordedEngine, app: TshConsole) -> None:
    full_of_news(engine)
    async with app.run_test(size=SMALL) as pilot:
        await painted(pilot, app)
        await pilot.press("4")
        await pilot.pause()
        assert "enter in full" in text_of(app)
