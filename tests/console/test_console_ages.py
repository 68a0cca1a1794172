"""How old the broker's answers are stands beside them as soon as they are older than they should be."""

from __future__ import annotations

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, text_of

from app.console import TshConsole
from app.widgets.overview_panels import AccountPanel
from engine.views import LinkView

LATE = LinkView(state="stale", age_s=12.3, detail="the request under way has no answer yet")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
async def test_a_broker_that_does_not_answer_looks_so_and_says_for_how_long(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        assert "◐" not in text_of(app).splitlines()[0]
        engine.board.status = recorded.status().model_copy(update={"broker": LATE})
        app.client.state.status = engine.board.status
        await painted(pilot, app)
        strip = text_of(app).splitlines()[0]
        assert "◐" in strip
        assert "STALE 12 s" in strip
        assert "38 ms" not in strip
        assert "+182.40" in strip


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
async def test_the_accounts_figures_grow_dim_and_say_their_age(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await painted(pilot, app)
        assert " old" not in text_of(app).splitlines()[0]
        old = recorded.status().model_copy(update={"account_age_s": 47.0, "account_stale": True})
        engine.board.status = app.client.state.status = old
        app.client.state.revision += 1
        await painted(pilot, app)
        assert "182.40" in text_of(app).splitlines()[0]
        assert text_of(app).splitlines()[0].rstrip().endswith("47 s old")
        panel = app.screen.query_one(AccountPanel)
        assert "".join(text for text, _ in panel.note) == "◐ 47 s old  $"
        inks = {text: ink for line in panel.draw(40) for text, ink in line if text.strip()}
        assert inks["101,204.18"] == inks["+182.40  +0.18 %"] == "dim"


async def test_the_days_low_is_called_what_it_is(engine: RecordedEngine, app: TshConsole) -> None:
    late = recorded.overview().model_copy(update={"day_low_pct": -0.31, "day_low_name": "low since 14:00"})
    engine.board.overview = late
    async with app.run_test(size=(120, 40)) as pilot:
        await painted(pilot, app)
        assert any("low since 14:00" in line and "-0.31 %" in line for line in text_of(app).splitlines())
        assert "day low" not in text_of(app)
