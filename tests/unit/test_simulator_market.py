"""The simulated markets: sessions, daily bars, intraday paths, quotes, headlines, the clock."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DataError, UsageError
from engine.simulator.clock import ClockError, SimulatedClock
from engine.simulator.intraday import day_path, points_of
from engine.simulator.listings import synthetic_listings
from engine.simulator.market import Bar
from engine.simulator.news import NewsDesk
from engine.simulator.replay import ReplayMarket
from engine.simulator.sessions import Phase, Sessions, new_york_time, nyse_sessions
from engine.simulator.synthetic import SyntheticMarket
from engine.simulator.tape import Tape

FRIDAY, MONDAY, HALF_DAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 27)
FULL_SESSION, HALF_SESSION = 23_400, 12_600  # seconds
REAL_BARS = Path(__file__).parents[2].parent / "shared" / "market" / "daily_2016-04_2017-03.parquet"


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(FRIDAY, seed=7, symbols=60)


# --- sessions ---------------------------------------------------------------------------------


def test_thanksgiving_is_closed_and_the_day_after_ends_at_13(market: SyntheticMarket) -> None:
    assert market.sessions.on(date(2026, 11, 26)) is None
    half = market.sessions.on(HALF_DAY)
    assert half is not None
    assert half.close == new_york_time(HALF_DAY, time(13, 0))


def test_the_calendar_reaches_140_sessions_back_and_30_forward(market: SyntheticMarket) -> None:
    position = market.sessions.days.index(FRIDAY)
    assert position >= 140
    assert len(market.sessions.days) - position > 30


def test_a_session_is_in_progress_from_its_open_until_just_before_its_close(market: SyntheticMarket) -> None:
    session = market.sessions.on(MONDAY)
    assert session is not None
    just = timedelta(microseconds=1)
    assert market.sessions.in_progress(session.open) == session
    assert market.sessions.in_progress(session.open - just) is None
    assert market.sessions.in_progress(session.close - just) == session
    assert market.sessions.in_progress(session.close) is None


@settings(max_examples=40)
@given(minutes=st.lists(st.integers(0, 5 * 24 * 60), min_size=2, max_size=6))
def test_however_time_is_cut_up_the_same_moments_pass_once_and_in_order(minutes: list[int]) -> None:
    cuts = sorted(new_york_time(FRIDAY, time(16, 30)) + timedelta(minutes=m) for m in minutes)
    whole = list(WEEK.moments(cuts[0], cuts[-1], steps=True))
    parts = [m for a, b in itertools.pairwise(cuts) for m in WEEK.moments(a, b, steps=True)]
    assert parts == whole
    assert [m.at for m in whole] == sorted({m.at for m in whole})


WEEK = Sessions(nyse_sessions(date(2026, 11, 16), date(2026, 12, 4)))


def test_a_half_day_has_one_open_one_close_and_a_point_every_15_seconds_between() -> None:
    day = new_york_time(HALF_DAY, time(0))
    moments = list(WEEK.moments(day, day + timedelta(days=1), steps=True))
    phases = [m.phase for m in moments]
    assert (phases[0], phases[1], phases[-1]) == (Phase.DAWN, Phase.OPEN, Phase.CLOSE)
    assert phases.count(Phase.TRADE) == HALF_SESSION // 15 - 1


# --- intraday paths ---------------------------------------------------------------------------

cents = st.integers(5, 60_000)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    prices = sorted(draw(st.tuples(cents, cents, cents, cents)))
    opened, close = draw(st.permutations(prices[1:3]))
    return Bar(opened / 100, prices[3] / 100, prices[0] / 100, close / 100, draw(st.integers(1, 10**7)))


@settings(max_examples=150)
@given(bar=bars(), seed=st.integers(0, 2**31), seconds=st.sampled_from([FULL_SESSION, HALF_SESSION]))
def test_a_path_honours_open_high_low_and_close_exactly(bar: Bar, seed: int, seconds: int) -> None:
    path = day_path(seed, "ABCD", MONDAY, bar, seconds)
    assert len(path) == points_of(seconds)
    assert (path[0], path.max(), path.min(), path[-1]) == (bar.open, bar.high, bar.low, bar.close)


@settings(max_examples=50)
@given(bar=bars(), seed=st.integers(0, 2**31))
def test_a_path_is_a_pure_function_of_seed_symbol_and_day(bar: Bar, seed: int) -> None:
    first = day_path(seed, "ABCD", MONDAY, bar, FULL_SESSION)
    assert np.array_equal(first, day_path(seed, "ABCD", MONDAY, bar, FULL_SESSION))
    if bar.high > bar.low + 1:
        assert not np.array_equal(first, day_path(seed + 1, "ABCD", MONDAY, bar, FULL_SESSION))


@settings(max_examples=60)
@given(row=st.integers(0, 59), second=st.integers(0, FULL_SESSION))
def test_quotes_are_on_the_cent_grid_with_the_bid_below_the_ask_around_the_last_trade(
    row: int, second: int
) -> None:
    tape = TAPES.setdefault("tape", Tape(SyntheticMarket(FRIDAY, seed=7, symbols=60), 7))
    symbol = tape.market.listings[row].symbol
    session = tape.sessions.on(MONDAY)
    assert session is not None
    at = session.open + timedelta(seconds=second)
    path, quote, last = tape.path(symbol, session), tape.quote(symbol, at), tape.last(symbol, at)
    if path is None or quote is None or last is None:
        assert tape.market.bar(symbol, MONDAY) is None
        return
    assert path.bar.low <= last.price <= path.bar.high
    assert quote.bid < quote.ask
    assert quote.bid <= last.price <= quote.ask
    digits = 2 if last.price >= 1 else 4
    assert quote.bid == round(quote.bid, digits)
    assert quote.ask == round(quote.ask, digits)


TAPES: dict[str, Tape] = {}


def test_the_bar_that_forms_during_a_session_ends_as_the_bar_of_the_day(market: SyntheticMarket) -> None:
    tape, session = Tape(market, 7), market.sessions.on(MONDAY)
    assert session is not None
    symbol = next(li.symbol for li in market.listings if market.bar(li.symbol, MONDAY))
    path = tape.path(symbol, session)
    assert path is not None
    assert path.so_far(session.open, session.close) == path.bar
    early = path.so_far(session.open, session.open + timedelta(minutes=5))
    assert early.open == path.bar.open
    assert path.bar.low <= early.low <= early.high <= path.bar.high
    assert early.volume < path.bar.volume


def test_before_the_open_nothing_of_the_coming_session_is_known(market: SyntheticMarket) -> None:
    tape, session = Tape(market, 7), market.sessions.on(MONDAY)
    assert session is not None
    eve = session.open - timedelta(seconds=1)
    for listing in market.listings:
        last = tape.last(listing.symbol, eve)
        assert last is None or last.at <= new_york_time(FRIDAY, time(16, 0))
        assert all(d.day < MONDAY for d in tape.daily_bars(listing.symbol, FRIDAY, date(2026, 12, 31), eve))


# --- the synthetic market ---------------------------------------------------------------------


def test_a_bar_does_not_depend_on_the_starting_date_or_on_what_was_asked_before(market: SyntheticMarket) -> None:
    later = SyntheticMarket(date(2027, 1, 15), seed=7, symbols=60)
    for listing in market.listings:
        alone = later.bar(listing.symbol, MONDAY)
        among = [
            d.bar for d in market.bars(listing.symbol, date(2026, 3, 2), date(2026, 12, 31)) if d.day == MONDAY
        ]
        assert among == ([] if alone is None else [alone])


def test_another_seed_is_another_market(market: SyntheticMarket) -> None:
    other = SyntheticMarket(FRIDAY, seed=8, symbols=60)
    assert [li.symbol for li in other.listings] != [li.symbol for li in market.listings]


def test_every_synthetic_bar_encloses_its_open_and_close_and_has_volume(market: SyntheticMarket) -> None:
    seen = 0
    for listing in market.listings:
        for _, bar in market.bars(listing.symbol, date(2026, 4, 1), date(2027, 1, 15)):
            assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.volume > 0
            seen += 1
    assert seen > 5000


def test_about_half_of_six_thousand_symbols_are_fit_for_training() -> None:
    big = SyntheticMarket(FRIDAY, seed=7, symbols=6000)
    days = [s.day for s in big.sessions.between(date(2026, 1, 1), FRIDAY)][-69:]
    fit = 0
    for listing in big.listings:
        if listing.kind not in ("common", "class_share", "trust_company"):
            continue
        history = big.bars(listing.symbol, days[0], days[-1])
        if len(history) == len(days):
            screened = [d.bar.close * d.bar.volume for d in history[-25:-5]]
            fit += 2 <= history[-6].bar.close <= 200 and float(np.median(screened)) >= 1e6
    assert 2300 <= fit <= 3200
    assert len({li.symbol for li in big.listings}) == 6000


def test_the_list_holds_everything_that_a_universe_filter_must_drop() -> None:
    big = SyntheticMarket(FRIDAY, seed=7, symbols=2000)
    kinds = {li.kind for li in big.listings}
    assert {
        "etf", "fund", "warrant", "unit", "right", "preferred", "otc", "inactive", "untradable", "partnership",
        "offering", "odd", "class_share", "trust_company", "common",
    } <= kinds  # fmt: skip
    assert 0.55 <= sum(li.kind == "common" for li in big.listings) / 2000 <= 0.72
    assert {s for li in big.listings for s in (".WS", ".U", ".RT", ".PR") if s in li.symbol} == {
        ".WS", ".U", ".RT", ".PR",
    }  # fmt: skip


@pytest.mark.parametrize("seed", [5, 8, 9, 11])
def test_every_listing_has_a_symbol_of_its_own(seed: int) -> None:
    listings, sectors = synthetic_listings(seed, 6000)
    assert len({li.symbol for li in listings}) == len(sectors) == 6000


def test_returns_have_fat_tails_and_move_together(market: SyntheticMarket) -> None:
    closes = []
    for listing in market.listings:
        rows = market.bars(listing.symbol, date(2026, 3, 2), FRIDAY)
        if listing.kind == "common" and len(rows) > 180 and len(rows) == max(len(rows), len(closes and closes[0])):
            closes.append([d.bar.close for d in rows])
    returns = np.diff(np.log(np.array(closes)), axis=1)
    standard = (returns - returns.mean()) / returns.std()
    assert (standard**4).mean() > 4.0
    correlations = np.corrcoef(returns)
    assert 0.05 < correlations[np.triu_indices(len(closes), 1)].mean() < 0.6


# --- headlines --------------------------------------------------------------------------------


def test_headlines_are_the_same_however_they_are_asked_for(market: SyntheticMarket) -> None:
    desk = NewsDesk(market.listings, 7)
    start, end = new_york_time(date(2026, 11, 2), time(0)), new_york_time(FRIDAY, time(23))
    week = desk.articles(desk.symbols, start, end)
    assert len({a.id for a in week}) == len(week) > 50
    single = [a for s in desk.symbols for a in NewsDesk(market.listings, 7).articles([s], start, end)]
    assert sorted(a.id for a in single) == sorted(a.id for a in week)
    assert {"good", "bad", "neutral"} <= {a.mood for a in week}


def test_some_symbols_never_make_news(market: SyntheticMarket) -> None:
    desk = NewsDesk(market.listings, 7)
    start = new_york_time(date(2026, 6, 1), time(0))
    quiet = [s for s in desk.symbols if not desk.articles([s], start, start + timedelta(days=120))]
    assert 8 <= len(quiet) <= 35


# --- replay -----------------------------------------------------------------------------------


def parquet(path: Path, **changes: list[object]) -> Path:
    """Two symbols over three sessions; BBBB does not trade on the last."""
    days = [date(2017, 3, 15), date(2017, 3, 16), date(2017, 3, 17)]
    columns: dict[str, list[object]] = {
        "symbol": ["AAAA"] * 3 + ["BBBB"] * 3,
        "date": [*days, *days],
        "open": [10.0, 10.5, 11.00001, 5.0, 5.1, 5.2],
        "high": [10.6, 11.0, 11.5, 5.3, 5.3, 5.3],
        "low": [9.9, 10.4, 10.9, 4.9, 5.0, 5.1],
        "close": [10.5, 11.0, 11.2, 5.1, 5.2, 5.15],
        "volume": [1000, 1100, 1200, 500, 600, 0],
    }
    columns |= changes
    pq.write_table(pa.table({k: v for k, v in columns.items() if v}), path)
    return path


def test_replay_lists_what_traded_on_the_date_with_the_files_own_sessions(tmp_path: Path) -> None:
    market = ReplayMarket(parquet(tmp_path / "bars.parquet"), date(2017, 3, 17))
    assert [(li.symbol, li.exchange) for li in market.listings] == [("AAAA", "NASDAQ")]
    assert market.bar("AAAA", date(2017, 3, 17)) == Bar(11.0, 11.5, 10.9, 11.2, 1200)
    assert market.bar("BBBB", date(2017, 3, 17)) is None
    assert len(market.bars("BBBB", date(2017, 1, 1), date(2018, 1, 1))) == 2
    assert market.gone_after("BBBB", date(2017, 3, 17))
    assert not market.gone_after("BBBB", date(2017, 3, 16))
    assert not market.gone_after("AAAA", date(2017, 3, 20))  # beyond the file nothing is known


def test_company_names_come_from_symbols_csv_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "symbols.csv").write_text("symbol,name\nAAAA,Alder Industries Fund\n", encoding="utf-8")
    market = ReplayMarket(parquet(tmp_path / "bars.parquet"), date(2017, 3, 16))
    assert [li.name for li in market.listings] == ["Alder Industries Fund", "BBBB"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"close": [], "volume": []}, "lacks the columns close, volume"),
        ({"high": [10.6, float("nan"), 11.5, 5.3, 5.3, 5.3]}, "1 bar with NaN .* AAAA on 2017-03-16"),
        ({"open": [10.0, 10.5, None, 5.0, 5.1, 5.2]}, "NaN"),
        ({"low": [10.2, 10.4, 10.9, 4.9, 5.0, 5.1]}, "do not enclose"),
        ({"low": [-1.0, 10.4, 10.9, 4.9, 5.0, 5.1]}, "not positive"),
        ({"volume": [-5, 1100, 1200, 500, 600, 0]}, "negative volume"),
        ({"symbol": ["AAAA"] * 6}, "occurred before"),
        ({"open": ["x"] * 6}, "wrong type"),
    ],
)
def test_a_bad_market_file_is_refused_in_one_plain_sentence(
    tmp_path: Path, changes: dict[str, list[object]], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        ReplayMarket(parquet(tmp_path / "bars.parquet", **changes), date(2017, 3, 17))


def test_a_date_that_the_file_does_not_hold_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no session on 2017-03-18: it holds 3 .*--date 2017-03-17"):
        ReplayMarket(parquet(tmp_path / "bars.parquet"), date(2017, 3, 18))


def test_a_file_that_is_no_parquet_or_is_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("symbol,date\n", encoding="utf-8")
    with pytest.raises(DataError, match="not a readable parquet file"):
        ReplayMarket(tmp_path / "text.parquet", date(2017, 3, 17))
    with pytest.raises(UsageError, match="no market file"):
        ReplayMarket(tmp_path / "none.parquet", date(2017, 3, 17))


@pytest.mark.skipif(not REAL_BARS.exists(), reason="the shared real bars are not on this machine")
def test_real_bars_are_served_with_four_decimals_and_paths_that_honour_them() -> None:
    market = ReplayMarket(REAL_BARS, date(2017, 3, 17))
    assert len(market.listings) > 5000
    tape, session = Tape(market, 7), market.sessions.on(date(2017, 3, 20))
    assert session is not None
    for listing in market.listings[::60]:
        path = tape.path(listing.symbol, session)
        if path is not None:
            bar, prices = path.bar, path.prices
            assert (prices[0], prices.max(), prices.min(), prices[-1]) == (bar.open, bar.high, bar.low, bar.close)
            assert all(p == round(p, 4) for p in bar[:4])


# --- the clock --------------------------------------------------------------------------------


class Wall:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


START, END = datetime(2026, 11, 20, 21, 30, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def wall() -> Wall:
    return Wall()


def test_market_time_runs_at_its_rate_and_a_new_rate_counts_from_now_on(wall: Wall) -> None:
    clock = SimulatedClock(START, END, 10.0, wall)
    wall.seconds += 6
    clock.set_rate(300.0)
    wall.seconds += 1
    assert clock.now() == START + timedelta(seconds=360)


def test_the_rate_is_at_most_300_while_orders_or_positions_exist(wall: Wall) -> None:
    clock = SimulatedClock(START, END, 1000.0, wall)
    clock.set_busy(True)
    wall.seconds += 1
    assert (clock.rate, clock.now()) == (300.0, START + timedelta(seconds=300))
    clock.set_busy(False)
    assert clock.rate == 1000.0


def test_a_hold_stops_market_time_until_it_is_changed(wall: Wall) -> None:
    clock = SimulatedClock(START, END, 60.0, wall)
    deadline = START + timedelta(minutes=1)
    clock.set_hold(deadline)
    wall.seconds += 500
    assert (clock.now(), clock.rate) == (deadline, 0.0)
    with pytest.raises(ClockError, match="held"):
        clock.jump(deadline + timedelta(hours=1))
    clock.set_hold(None)
    wall.seconds += 1
    assert clock.now() == deadline + timedelta(minutes=1)


@given(steps=st.lists(st.tuples(st.sampled_from(["wait", "rate", "jump", "hold", "busy"]), st.floats(0.01, 1000))))
def test_market_time_never_goes_backwards_whatever_is_asked(steps: list[tuple[str, float]]) -> None:
    wall = Wall()
    clock = SimulatedClock(START, END, 1.0, wall)
    latest = clock.now()
    for kind, amount in steps:
        target = START + timedelta(seconds=amount * 60)
        try:
            if kind == "wait":
                wall.seconds += amount
            elif kind == "rate":
                clock.set_rate(amount)
            elif kind == "jump":
                clock.jump(target)
            elif kind == "hold":
                clock.set_hold(target if amount > 500 else None)
            else:
                clock.set_busy(amount > 500)
        except ClockError:
            assert target < latest or clock.hold_at is not None
        assert clock.now() >= latest
        latest = clock.now()


def test_a_rate_outside_its_range_and_a_jump_into_the_past_are_refused(wall: Wall) -> None:
    clock = SimulatedClock(START, END, 1.0, wall)
    for rate in (0.0, -1.0, 1001.0, float("nan")):
        with pytest.raises(ClockError, match="outside"):
            clock.set_rate(rate)
    with pytest.raises(ClockError, match="backwards"):
        clock.jump(START - timedelta(seconds=1))
    with pytest.raises(ClockError, match="ends"):
        clock.jump(END + timedelta(seconds=1))
