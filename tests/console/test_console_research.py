"""The research screens: what they show while work goes on and after it, and every key of them."""

from __future__ import annotations

import csv
from datetime import date

import pytest
import recorded_views as recorded
from console_harness import RecordedEngine, painted, said, text_of, until
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from app.console import TshConsole
from app.dialogs.frame import InfoDialog
from app.journal_filter import EventFilter
from app.screens.journal import JournalScreen
from app.widgets import plot
from app.widgets.box import cells
from app.widgets.journal_table import JournalTable
from app.widgets.search_panels import flow_totals_line, gaps_of, is_donation, unproven
from app.widgets.table import Table
from app.widgets.training_panels import AlgorithmTable
from engine.views import ForwardRow, GapPoint, GroupsView, StageView

LARGE, SMALL = (120, 40), (80, 24)
scores = st.floats(-50, 50, allow_nan=False)


async def on(pilot: Pilot[None], app: TshConsole, number: str) -> str:
    """Goes to a screen and returns what stands there."""
    await painted(pilot, app)
    await pilot.press(number)
    app.paint()
    await pilot.pause()
    return text_of(app)


# --- training --------------------------------------------------------------------------------


async def test_training_says_how_far_it_is_when_it_ends_and_who_verified_it(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.training = recorded.training().model_copy(update={"verified": 4000, "ties": ("one",)})
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, "2")
        assert "cycle 137 / 200" in shown
        assert "4 s left" in shown
        assert "day 3 ■■■□" in shown
        assert "native · verified 4,000 batches, 1 tie" in shown
        await pilot.press("down")
        await pilot.pause()
        assert "Best score of ema" in text_of(app)


@pytest.mark.parametrize(("size", "shown"), [(SMALL, False), (LARGE, True), ((160, 48), True)])
async def test_the_median_stands_beside_the_best_where_there_is_room(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int], shown: bool
) -> None:
    row = recorded.training().algorithms[0]
    async with app.run_test(size=size) as pilot:
        text = await on(pilot, app, "2")
        assert "best so far" in text
        assert ("median so far" in text) is shown
        line = next(line for line in text.splitlines() if "adx  " in line)
        assert (f"{row.median:+.3f}" in line) is shown
        table = app.screen.query_one(AlgorithmTable)
        drawn = "".join(span for span, _ in table.cell(row, "median", 27))
        assert drawn == f"{plot.trend(row.median_trend, 20)} {row.median:+.3f}"


async def test_a_day_that_was_recorded_without_medians_has_no_empty_column(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = recorded.training()
    rows = tuple(row.model_copy(update={"median": None, "median_trend": ()}) for row in view.algorithms)
    engine.board.training = view.model_copy(update={"algorithms": rows})
    async with app.run_test(size=LARGE) as pilot:
        text = await on(pilot, app, "2")
        assert "best so far" in text
        assert "median" not in text


async def test_a_training_that_nobody_verified_says_so(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        assert "native · no batch verified" in await on(pilot, app, "2")


@pytest.mark.parametrize("number", ["2", "3"])
async def test_before_its_turn_a_screen_says_how_far_the_run_is(
    engine: RecordedEngine, app: TshConsole, number: str
) -> None:
    stage = StageView(stage="weekly_5d_data", state="running", progress=0.45, detail="2,880 of 6,400 symbols")
    engine.board = recorded.moment("empty")
    engine.board.overview = engine.board.overview.model_copy(update={"stages": (stage,)})
    await engine.stop()
    await engine.start()
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, number)
        assert "▶ weekly_5d_data 45 %  2,880 of 6,400 symbols" in shown
        assert "runs the weekend" not in shown


# --- groups ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_after_the_proof_the_flows_and_the_mean_rate_are_still_there(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    engine.board.groups = recorded.moment("shortlist").groups
    assert engine.board.groups.state == "done"
    async with app.run_test(size=size) as pilot:
        shown = await on(pilot, app, "3")
        assert "M tests/s mean" in shown
        assert "gap 0, proven" in shown
        assert "in all" in shown
        assert "1▶2" in shown or "2▶1" in shown


async def test_a_running_search_draws_bound_best_and_worst_kept_with_their_numbers(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = engine.board.groups = recorded.moment("search").groups
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, "3")
        last = view.curve[-1]
        for label, value in (("bound", last.bound), ("best", last.incumbent), ("worst kept", last.threshold)):
            assert f"{label} {value:+.3f}" in shown
        assert "▶ searching" in shown


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_gap_says_what_it_is_over_and_the_proof_by_how_much_the_best_could_be_beaten(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    view = engine.board.groups = recorded.moment("search").groups
    assert view.bound is not None
    assert view.incumbent is not None
    more = view.bound - view.incumbent
    async with app.run_test(size=size) as pilot:
        shown = " ".join((await on(pilot, app, "3")).split())
        assert f"gap {view.gap:.3f} over worst kept" in shown
    assert f"{more:.3f} points more than the best" in unproven(view)
    assert f"{more:.3f}" != f"{view.gap:.3f}"


def test_a_bound_at_the_best_leaves_only_the_places_below_it_open() -> None:
    view = recorded.moment("search").groups
    reached = view.model_copy(update={"bound": view.incumbent, "gap": 0.2})
    assert unproven(reached) == "none scores higher than the best, but up to 0.200 points more than the worst kept"
    stored = GroupsView(state="done", gap=0.2, incumbent=1.0)
    assert unproven(stored) == "another group could score up to 0.200 points more than the worst kept"
    assert unproven(view.model_copy(update={"proven": True})) == ""


@pytest.mark.parametrize("moment", ["search", "shortlist", "positions"])
def test_what_the_lanes_donated_is_what_the_flows_say_that_threads_gave(moment: str) -> None:
    view = recorded.moment(moment).groups
    given = sum(flow.seconds for flow in view.flow_totals if is_donation(flow))
    assert sum(lane.donated for lane in view.lanes) == pytest.approx(given, abs=0.01)
    for lane in view.lanes:
        held = lane.granted + lane.received - lane.used - lane.donated
        assert -0.001 < held <= view.ledger.open_grants + 0.01


async def test_who_gave_to_whom_stands_in_a_row_with_amount_and_time(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(200, 60)) as pilot:
        rows = [" ".join(line.split()) for line in (await on(pilot, app, "3")).splitlines()]
        assert any("01:14:60 2 ▶ 1 00:14:20" in row or "2 ▶ 1 00:14:20" in row for row in rows)
        assert any("in all 2▶1 00:14:20" in row for row in rows)


async def test_while_nothing_is_measured_the_members_get_the_place_of_the_empty_columns(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.groups = recorded.moment("search").groups
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, "3")
        assert "hold-out %/day" not in shown
        first = next(line for line in shown.splitlines() if "▸" in line)
        members = " ".join(engine.board.groups.groups[0].members.split())
        assert members[:58] in first
        app.client.state.groups = recorded.moment("shortlist").groups
        app.client.state.revision += 1
        app.paint()
        await pilot.pause()
        assert "hold-out %/day" in text_of(app)


async def test_enter_shows_the_marked_group_in_full(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await on(pilot, app, "3")
        await pilot.press("down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, InfoDialog)
        assert "Group 2" in text_of(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, InfoDialog)


def test_what_a_thread_took_again_itself_is_told_apart_from_gifts() -> None:
    line = "".join(text for text, _ in flow_totals_line(recorded.moment("search").groups))
    assert "own again" in line
    assert "1▶1" not in line


def test_a_proof_closes_the_gap_whatever_the_last_point_says() -> None:
    points = (GapPoint(at_s=0, threshold=1.0, bound=3.0), GapPoint(at_s=1, threshold=1.5, bound=2.0))
    assert gaps_of(GroupsView(curve=points)) == [2.0, 0.5]
    assert gaps_of(GroupsView(curve=points, proven=True)) == [2.0, 0.5, 0.0]


# --- shortlist -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_difference_from_the_last_list_is_drawn_name_by_name(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int]
) -> None:
    view = engine.board.shortlist = recorded.moment("shortlist").shortlist
    chosen = [row.symbol for row in view.rows if row.chosen]
    async with app.run_test(size=size) as pilot:
        shown = await on(pilot, app, "4")
        for symbol in chosen:
            assert (f"+{symbol}" in shown) == (symbol not in view.previous)
        for symbol in view.previous:
            assert (f"-{symbol}" in shown) == (symbol not in chosen)
        assert "NO TRADE" in shown


async def test_a_first_list_has_nothing_to_compare_with_and_says_so(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.shortlist = recorded.shortlist().model_copy(update={"previous": ()})
    async with app.run_test(size=LARGE) as pilot:
        assert "no earlier list to compare with" in await on(pilot, app, "4")


async def test_a_list_that_was_rejected_yesterday_is_named_as_such(
    engine: RecordedEngine, app: TshConsole
) -> None:
    update = {"previous_session": date(2026, 11, 20), "previous_outcome": "rejected"}
    engine.board.shortlist = recorded.shortlist().model_copy(update=update)
    async with app.run_test(size=LARGE) as pilot:
        assert "against Fri 20 Nov (rejected) +ABCD -STUV" in await on(pilot, app, "4")


async def test_news_show_the_words_they_rest_on(engine: RecordedEngine, app: TshConsole) -> None:
    view = engine.board.shortlist = recorded.moment("shortlist").shortlist
    place = next(i for i, row in enumerate(view.rows) if row.quotes)
    async with app.run_test(size=LARGE) as pilot:
        await on(pilot, app, "4")
        await pilot.press(*["down"] * place)
        await pilot.pause()
        assert f"“{view.rows[place].quotes[0].text}”" in text_of(app)


async def test_a_wide_terminal_shows_every_part_of_the_rank_in_the_table(
    engine: RecordedEngine, app: TshConsole
) -> None:
    engine.board.shortlist = recorded.moment("shortlist").shortlist
    async with app.run_test(size=(200, 60)) as pilot:
        shown = await on(pilot, app, "4")
        for part, value in engine.board.shortlist.rows[3].parts.items():
            assert f"{value:+.3f}" in shown, part


# --- evidence --------------------------------------------------------------------------------


async def test_the_verdict_is_a_sentence_beside_p_and_the_interval(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = engine.board.groups = recorded.moment("shortlist").groups
    first = next(row for row in view.groups if row.selected == 1)
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, "6")
        assert first.judgement in shown
        assert f"{first.holdout_mean:+.2f} ± {first.holdout_error:.2f}" in shown
        assert f"this week {view.observed:+.3f}" in shown
        reached = sum(score >= (view.observed or 0) for score in view.shuffle_scores)
        assert f"{reached} of {len(view.shuffle_scores)} shuffled weeks" in shown


@pytest.mark.parametrize(("size", "more"), [(SMALL, False), (LARGE, True)])
async def test_the_verdict_keeps_the_first_limits_of_p_where_there_is_little_room(
    engine: RecordedEngine, app: TshConsole, size: tuple[int, int], more: bool
) -> None:
    view = recorded.moment("shortlist").groups
    limits = "training is not repeated; more shuffles cannot make it significant; each within 8,000 tests"
    luck = f"better than 149 of 177 shuffled searches: p = 0.16 ({limits})"
    rows = tuple(row.model_copy(update={"luck": luck}) for row in view.groups)
    engine.board.groups = view.model_copy(update={"groups": rows})
    async with app.run_test(size=size) as pilot:
        shown = await on(pilot, app, "6")
        assert "better than 149 of 177 shuffled searches (training is not repeated" in shown
        assert ("more shuffles cannot make it significant)" in shown) == more
        assert "each within" not in shown


async def test_shuffled_weeks_without_a_group_are_counted_and_not_drawn(
    engine: RecordedEngine, app: TshConsole
) -> None:
    view = recorded.moment("shortlist").groups
    uncounted = {"shuffles_reached": None, "shuffles_done": None}  # as long as nothing is stored
    view = view.model_copy(update={"groups": tuple(row.model_copy(update=uncounted) for row in view.groups)})
    engine.board.groups = view.model_copy(update={"shuffle_scores": (None, 9.0, None), "observed": 0.5})
    async with app.run_test(size=LARGE) as pilot:
        shown = await on(pilot, app, "6")
        assert "1 of 3 shuffled weeks" in shown
        assert "2 of them held no group at all" in shown
        engine.board.groups = view.model_copy(update={"shuffle_scores": (None, None), "observed": 0.5})
        app.client.state.groups = engine.board.groups
        app.client.state.revision += 1
        app.paint()
        await pilot.pause()
        assert "0 of 2 shuffled weeks" in text_of(app)


async def test_the_forward_ledger_is_drawn_from_its_rows_and_says_when_it_is_empty(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=LARGE) as pilot:
        assert "no week was judged forward yet" in await on(pilot, app, "6")
        rows = tuple(
            ForwardRow(
                week=date(2026, 11, 6 + 7 * i), group="A", source="paper", sessions=5, candidates=61,
                pp_excess=0.1 * i, pp_error=0.08, tsh_excess=0.05, tsh_error=None,
            )
            for i in range(2)
        )  # fmt: skip
        app.client.state.overview = engine.board.overview.model_copy(update={"forward": rows})
        app.client.state.revision += 1
        app.paint()
        await pilot.pause()
        shown = text_of(app)
        assert "2026-11-13" in shown
        assert "+0.10 ± 0.08" in shown
        assert "no week counts in this mode" in shown


async def test_a_wide_console_shows_what_the_traded_names_brought_beside_all_candidates(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=(160, 45)) as pilot:
        await on(pilot, app, "6")
        row = ForwardRow(
            week=date(2026, 11, 6), group="A", source="paper", sessions=5, candidates=61, pp_excess=0.1,
            tsh_excess=0.05, traded=18, traded_live_excess=-0.21,
        )  # fmt: skip
        shadow = row.model_copy(update={"group": "B", "traded": 0, "traded_live_excess": None})
        forward = {"forward": (row, shadow)}
        app.client.state.overview = engine.board.overview.model_copy(update=forward)
        app.client.state.revision += 1
        app.paint()
        await pilot.pause()
        shown = text_of(app)
        assert "traded live %/day" in shown
        assert shown.count("-0.21 of 18") == 1


async def test_a_search_without_shuffles_says_why_there_is_no_p(engine: RecordedEngine, app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        assert "no week was shuffled" in await on(pilot, app, "6")


# --- journal ---------------------------------------------------------------------------------


def journal(app: TshConsole) -> JournalTable:
    return app.screen.query_one(JournalTable)


async def test_the_journal_filters_by_kind_level_and_what_must_not_occur(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"kind:fill", "enter")
        await pilot.pause()
        assert {row.kind for row in journal(app).rows} == {"fill_received"}
        await pilot.press("slash", "end", *["backspace"] * 9, *"level:warning -quote", "enter")
        await pilot.pause()
        assert {row.kind for row in journal(app).rows} == {"entry_refused"}
        assert "filter: level:warning -quote" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert len(journal(app).rows) > 40


async def test_k_keeps_the_marked_kind_and_gives_all_back(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "up", "k")
        await pilot.pause()
        kinds = {row.kind for row in journal(app).rows}
        assert len(kinds) == 1
        assert kinds.pop() in text_of(app)
        await pilot.press("k")
        await pilot.pause()
        assert len({row.kind for row in journal(app).rows}) > 5


async def test_a_search_marks_hits_and_walks_from_one_to_the_next_and_round(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "s", *"filled", "enter")
        await pilot.pause()
        table = journal(app)
        hits = [i for i, row in enumerate(table.rows) if "filled" in row.text]
        assert table.cursor == hits[-1]
        assert f"“filled” hit {len(hits)} of {len(hits)}" in text_of(app)
        await pilot.press("N")
        await pilot.pause()
        assert table.cursor == hits[-2]
        await pilot.press("n", "n")
        await pilot.pause()
        assert table.cursor == hits[0]
        await pilot.press("escape")
        await pilot.pause()
        assert "“filled”" not in text_of(app)


async def test_searching_for_what_is_not_there_says_so(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "n")
        await until(lambda: "s searches" in said(app))
        await pilot.press("s", *"zebra", "enter")
        await until(lambda: "no hit" in said(app))


async def test_a_frozen_journal_counts_only_what_the_filter_would_show(
    engine: RecordedEngine, app: TshConsole
) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "slash", *"kind:fill", "enter", "f")
        shown = len(journal(app).rows)
        events = {event.kind: event for event in recorded.events()}
        for seq, kind in enumerate(("fill_received", "order_sent", "fill_received"), start=61):
            engine.server.publish(events[kind].model_copy(update={"seq": seq}))
        await until(lambda: app.client.state.seq == 63)
        app.paint()
        await pilot.pause()
        assert "FROZEN, 2 newer" in text_of(app)
        assert len(journal(app).rows) == shown
        await pilot.press("f")
        await pilot.pause()
        assert len(journal(app).rows) == shown + 2
        assert journal(app).cursor == shown + 1


async def test_walking_up_stands_still_by_itself(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "up")
        await pilot.pause()
        assert "FROZEN, 0 newer" in text_of(app)


async def test_e_exports_exactly_the_rows_that_are_shown(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("7", "slash", *"kind:fill", "enter", "e")
        await until(lambda: " rows in " in said(app))
        rows = journal(app).rows
        (path,) = (app.client.home.folder / "exports").iterdir()
        with path.open(newline="", encoding="utf-8") as file:
            written = list(csv.DictReader(file))
        assert [int(row["seq"]) for row in written] == [row.seq for row in rows]
        assert {row["kind"] for row in written} == {"fill_received"}


async def test_an_export_of_nothing_and_one_that_cannot_be_written_say_so(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        (app.client.home.folder / "exports").write_text("a file in the way")
        await pilot.press("7", "e")
        await until(lambda: "not exported" in said(app))
        await pilot.press("slash", *"zebra", "enter", "e")
        await until(lambda: "no row to export" in said(app))


async def test_the_filter_line_keeps_what_was_typed_and_escape_leaves_the_search_first(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        await pilot.press("slash", *"abcd", "enter", "s", *"filled", "enter", "escape")
        await pilot.pause()
        assert isinstance(app.screen, JournalScreen)
        assert app.screen.filter.words == ("abcd",)
        await pilot.press("slash")
        assert app.screen.query_one(Input).value == "abcd"


@given(st.text(max_size=40))
def test_any_text_is_a_filter_and_a_word_and_its_opposite_exclude_each_other(text: str) -> None:
    chosen = EventFilter.parse(text)
    for event in recorded.events(11):
        assert chosen.matches(event) in (True, False)
        for word in chosen.words:
            assert not EventFilter.parse(f"{word} -{word}").matches(event) or word.startswith("-")


# --- plots -----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 1e5), scores), min_size=1, max_size=50),
    st.integers(4, 120),
    st.integers(2, 24),
)
def test_a_plot_fits_its_rectangle_and_names_its_curve(
    points: list[tuple[float, float]], width: int, height: int
) -> None:
    curve = plot.Curve(sorted(points), "best")
    lines = plot.plotted([curve], width, height, number=lambda v: f"{v:+.1f}", time=lambda t: f"{t:.0f} s")
    assert len(lines) in (0, height)
    assert all(cells(line) <= width for line in lines)
    if lines:
        assert any("best" in text for line in lines for text, _ in line)


@given(st.lists(scores, min_size=1, max_size=200), scores, st.integers(14, 120), st.integers(4, 20))
def test_a_histogram_fits_and_its_arrow_names_the_mark(
    values: list[float], mark: float, width: int, height: int
) -> None:
    lines = plot.histogram(values, mark, width, height, number=lambda v: f"{v:+.3f}", name="week")
    assert all(cells(line) <= width for line in lines)
    if lines:
        said = "".join(text for line in lines for text, _ in line)
        assert "▲" in said


@given(st.lists(scores, min_size=1, max_size=60), st.integers(1, 60))
def test_a_trend_has_its_width_and_a_dot_in_every_cell(values: list[float], width: int) -> None:
    drawn = plot.trend(values, width)
    assert len(drawn) == width
    assert all(ord(glyph) > plot.BRAILLE for glyph in drawn)


@given(scores, st.floats(0, 20), st.integers(5, 80), st.floats(0.1, 60))
def test_an_interval_always_shows_its_mean(mean: float, error: float, width: int, reach: float) -> None:
    drawn = plot.interval(mean, error, width, -reach, reach)
    assert len(drawn) == width
    assert [glyph for glyph, _ in drawn].count("●") == 1


async def test_every_table_of_the_research_screens_takes_the_cursor_keys(app: TshConsole) -> None:
    async with app.run_test(size=LARGE) as pilot:
        await painted(pilot, app)
        for number in "2347":
            await pilot.press(number, "home")
            await pilot.pause()
            table = app.screen.query(Table).results(Table)
            first = next(iter(table))
            assert first.cursor == 0
            await pilot.press("down")
            assert first.cursor == 1
