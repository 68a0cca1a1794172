"""Which listings are common stock, and which of those pass price and dollar volume."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_samples import names, panel, weekdays

from engine.data.universe import Drop, Screen, common_stock, is_fund_name, sample_universe, screened, why_dropped
from engine.model import Asset, Panel

SHARED_SYMBOLS = Path(__file__).parents[2].parent / "shared" / "market" / "symbols.csv"


def asset(symbol: str, name: str, exchange: str = "NYSE") -> Asset:
    return Asset(symbol, name, exchange, "us_equity", "active", True)


@pytest.mark.parametrize(
    ("symbol", "name", "exchange"),
    [
        ("AAPL", "Apple Inc. Common Stock", "NASDAQ"),
        ("AA", "Alcoa Corporation", "NYSE"),
        ("BRK.B", "Berkshire Hathaway Inc. Class B", "NYSE"),
        ("HEI.A", "Heico Corporation", "NYSE"),
        ("GOOGL", "Alphabet Inc. Class A Common Stock", "NASDAQ"),
        ("GOOGL", "Alphabet Inc.", "NASDAQ"),
        ("CMCSA", "Comcast Corporation", "NASDAQ"),
        ("LBTYK", "Liberty Global plc", "NASDAQ"),
        ("RYAAY", "Ryanair Holdings plc", "NASDAQ"),
        ("BABA", "Alibaba Group Holding Limited American Depositary Shares, each representing eight", "NYSE"),
        ("AAT", "American Assets Trust, Inc.", "NYSE"),
        ("FRT", "Federal Realty Investment Trust", "NYSE"),
        ("UHT", "Universal Health Realty Income Trust", "NYSE"),
        ("GOV", "Government Properties Income Trust", "NASDAQ"),
        ("NTRS", "Northern Trust Corporation", "NASDAQ"),
        ("CTBI", "Community Trust Bancorp", "NASDAQ"),
        ("PBT", "Permian Basin Royalty Trust", "NYSE"),
        ("PFBC", "Preferred Bank", "NASDAQ"),
        ("APTS", "Preferred Apartment Communities", "NYSE"),
        ("UNT", "Unit Corporation", "NYSE"),
        ("EPD", "Enterprise Products Partners L.P. Common Units", "NYSE"),
        ("CW", "Curtiss-Wright Corporation", "NYSE"),
        ("BFAM", "Bright Horizons Family Solutions Inc.", "NYSE"),
        ("CVI", "CVR Energy Inc.", "NYSE"),
        ("MSCI", "MSCI Inc.", "NYSE"),
        ("BLK", "BlackRock, Inc.", "NYSE"),
        ("IVZ", "Invesco Ltd", "NYSE"),
        ("IVR", "Invesco Mortgage Capital Inc.", "NYSE"),
        ("EV", "Eaton Vance Corporation", "NYSE"),
        ("PXD", "Pioneer Natural Resources Company", "NYSE"),
        ("AVD", "American Vanguard Corporation", "NYSE"),
        ("WETF", "WisdomTree Investments", "NASDAQ"),
        ("ASPS", "Altisource Portfolio Solutions S.A.", "NASDAQ"),
        ("AET", "Aetna Inc.", "NYSE"),
        ("SPAC", "Gores Holdings Acquisition Corp. Class A Common Stock", "NASDAQ"),
        ("KORE", "Linden Creek Realty Trust", "NYSE"),
    ],
)
def test_common_stock_is_kept(symbol: str, name: str, exchange: str) -> None:
    assert why_dropped(asset(symbol, name, exchange)) is None


@pytest.mark.parametrize(
    ("symbol", "name", "exchange", "reason"),
    [
        ("SPY", "SPDR S&P 500 ETF Trust", "ARCA", Drop.FUND),
        ("XYZ", "Anything", "BATS", Drop.FUND),
        ("QQQ", "Invesco QQQ Trust, Series 1", "NASDAQ", Drop.FUND),
        ("QQQ", "PowerShares QQQ Trust", "NASDAQ", Drop.FUND),
        ("AAXJ", "iShares MSCI All Country Asia ex Japan Index Fun", "NASDAQ", Drop.FUND),
        ("TQQQ", "ProShares UltraPro QQQ", "NASDAQ", Drop.FUND),
        ("DFVL", "iPath US Treasury 5-year Bull ETN", "NASDAQ", Drop.FUND),
        ("GRID", "First Trust NASDAQ Clean Edge Smart Grid Infrastructure Index", "NASDAQ", Drop.FUND),
        ("BFK", "BlackRock Municipal Income Trust", "NYSE", Drop.FUND),
        ("GAB", "Gabelli Equity Trust", "NYSE", Drop.FUND),
        ("PHT", "Pioneer High Income Trust", "NYSE", Drop.FUND),
        ("ADX", "Adams Diversified Equity Fund, Inc.", "NYSE", Drop.FUND),
        ("EVGBC", "Eaton Vance NextShares Trust", "NASDAQ", Drop.FUND),
        ("SPAC.WS", "Gores Holdings", "NYSE", Drop.WARRANT),
        ("SPAC.WS.A", "Gores Holdings", "NYSE", Drop.WARRANT),
        ("AMBCW", "Ambac Financial Group", "NASDAQ", Drop.WARRANT),
        ("GNK", "Genco Shipping & Trading Limited Warrants Expiring 12/31/2021", "NYSE", Drop.WARRANT),
        ("SPAC.U", "Gores Holdings", "NYSE", Drop.UNIT),
        ("AXARU", "Axar Acquisition Corp.", "NASDAQ", Drop.UNIT),
        (
            "GORU",
            "Gores Units, each consisting of one share of Class A Common Stock and a warrant",
            "NYSE",
            Drop.UNIT,
        ),
        ("GORSU", "Gores Units, each consisting of one share of Class A Common Stock", "NASDAQ", Drop.UNIT),
        ("SPAC.RT", "Gores Holdings", "NYSE", Drop.RIGHT),
        ("FTRPR", "Frontier Communications Corporation", "NASDAQ", Drop.RIGHT),
        ("ABCD", "Alder Acquisition Corp. Rights", "NASDAQ", Drop.RIGHT),
        ("BAC.PRB", "Bank of America Corporation", "NYSE", Drop.PREFERRED),
        ("AGNCP", "AGNC Investment Corp.", "NASDAQ", Drop.PREFERRED),
        ("WFCL", "Wells Fargo Depositary Shares, 5.85% Series Q Preferred Stock", "NYSE", Drop.PREFERRED),
        ("FITBI", "Fifth Third Bancorp", "NASDAQ", Drop.PREFERRED),
        ("EBAYL", "eBay Inc.", "NASDAQ", Drop.NOTE),
        ("TBB", "AT&T Inc. 5.350% Global Notes due 2066", "NYSE", Drop.NOTE),
        ("CELGZ", "Celgene Corporation", "NASDAQ", Drop.NOTE),
        ("ABC.WI", "Abc Corp.", "NYSE", Drop.ODD_SYMBOL),
        ("ABC.CL", "Abc Corp.", "NYSE", Drop.ODD_SYMBOL),
        ("BTC/USD", "Bitcoin", "NYSE", Drop.ODD_SYMBOL),
        ("ABC-B", "Abc Corp.", "NYSE", Drop.ODD_SYMBOL),
        ("Abc", "Abc Corp.", "NYSE", Drop.ODD_SYMBOL),
        ("012345", "Escrow", "NYSE", Drop.ODD_SYMBOL),
        ("ZVZZT", "NASDAQ TEST STOCK", "NASDAQ", Drop.TEST),
        ("ATEST", "Anything", "AMEX", Drop.TEST),
        ("ABCDF", "Abc AG ADR", "OTC", Drop.VENUE),
    ],
)
def test_everything_else_is_dropped_with_its_reason(symbol: str, name: str, exchange: str, reason: Drop) -> None:
    assert why_dropped(asset(symbol, name, exchange)) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"asset_class": "crypto"}, Drop.NOT_EQUITY),
        ({"status": "inactive"}, Drop.INACTIVE),
        ({"tradable": False}, Drop.NOT_TRADABLE),
        ({"attributes": ("ipo",)}, Drop.RESTRICTED),
        ({"attributes": ("fractional_eh_enabled", "ptp_no_exception")}, Drop.RESTRICTED),
    ],
)
def test_the_listing_itself_can_rule_a_stock_out(change: dict[str, object], reason: Drop) -> None:
    assert why_dropped(replace(asset("AAPL", "Apple Inc."), **change)) == reason  # type: ignore[arg-type]


def test_harmless_attributes_keep_a_stock() -> None:
    plain = replace(asset("AAPL", "Apple Inc."), attributes=("fractional_eh_enabled", "ptp_with_exception"))
    assert why_dropped(plain) is None


def test_candidates_are_in_symbol_order_and_every_other_listing_is_counted() -> None:
    listed = [
        asset("MSFT", "Microsoft Corporation"), asset("AAPL", "Apple Inc."), asset("SPY", "SPDR S&P 500", "ARCA"),
        asset("QQQ", "Invesco QQQ Trust", "NASDAQ"), asset("ZVZZT", "x"),
    ]  # fmt: skip
    found = common_stock(listed)
    assert found == common_stock(reversed(listed))
    assert found.candidates == ("AAPL", "MSFT")
    assert found.names == {"AAPL": "Apple Inc.", "MSFT": "Microsoft Corporation"}
    assert found.dropped == {"fund": 2, "test symbol": 1}
    assert len(found.candidates) + sum(found.dropped.values()) == found.assets == 5


@pytest.mark.skipif(not SHARED_SYMBOLS.exists(), reason="the shared symbol list is not beside the project")
def test_of_real_short_names_the_funds_go_and_the_companies_stay() -> None:
    with SHARED_SYMBOLS.open(newline="", encoding="utf-8") as file:
        listed = [asset(row["symbol"], row["name"], "NASDAQ") for row in csv.DictReader(file)]
    found = common_stock(listed)
    assert 5_700 < len(found.candidates) < 6_100
    words = {"ETF", "ETN", "Fund", "iShares", "PowerShares", "NextShares", "Municipal"}
    left = {s for s in found.candidates if words & set(found.names[s].split())}
    assert left == set()
    assert {"AAPL", "MSFT", "GOOGL", "CMCSA", "FRT", "NTRS", "UNT", "CVI", "BLK", "PXD"} <= set(found.candidates)


@given(st.text(max_size=80))
def test_no_name_can_break_the_filter(name: str) -> None:
    assert isinstance(is_fund_name(name), bool)
    found = common_stock([asset("AAPL", name, "NASDAQ"), asset(name, "Apple Inc.")])
    assert len(found.candidates) + sum(found.dropped.values()) >= 1


# --- screen ------------------------------------------------------------------------------------

SCREEN = Screen(price_low=2.0, price_high=200.0, dollar_volume=1_000_000.0, sessions=20)


def flat(close: float, volume: float, sessions: int = 25) -> np.ndarray:
    return np.tile([close, close, close, close, volume], (sessions, 1))


def of(*symbols: np.ndarray) -> Panel:
    return Panel(names(len(symbols)), weekdays(len(symbols[0])), np.stack(symbols))


@pytest.mark.parametrize(
    ("close", "volume", "kept", "why"),
    [
        (2.0, 500_000, True, None),
        (1.99, 9e6, False, Drop.PRICE),
        (200.0, 5_000, True, None),
        (200.01, 9e6, False, Drop.PRICE),
        (10.0, 100_000, True, None),
        (10.0, 99_999, False, Drop.DOLLAR_VOLUME),
        (1.0, 10, False, Drop.PRICE),
    ],
)
def test_price_and_dollar_volume_limits_are_inclusive(
    close: float, volume: float, kept: bool, why: Drop | None
) -> None:
    passing, dropped = screened(of(flat(close, volume)), 24, SCREEN)
    assert bool(passing.symbols) == kept
    assert dropped == ({} if why is None else {why.value: 1})


def test_the_screen_looks_at_one_session_s_close_and_the_median_of_the_20_up_to_it() -> None:
    stock = flat(10.0, 200_000)
    stock[10:20, 4] = 0  # ten of the twenty sessions up to index 19 are below the limit: the median is half
    stock[20:, 3] = 500.0  # later prices do not matter
    panel_ = of(stock)
    assert screened(panel_, 19, SCREEN)[0].symbols == panel_.symbols
    stock[9, 4] = 0
    assert screened(of(stock), 19, SCREEN)[1] == {Drop.DOLLAR_VOLUME.value: 1}
    with pytest.raises(ValueError, match="needs 20 sessions"):
        screened(panel_, 18, SCREEN)


def test_screening_in_chunks_is_screening_at_once() -> None:
    whole = panel(names(40), weekdays(30), seed=5)
    narrow = Screen(20.0, 60.0, 60e6, 20)
    passing, dropped = screened(whole, 29, narrow)
    halves = [Panel(whole.symbols[a:b], whole.sessions, whole.bars[a:b]) for a, b in ((0, 13), (13, 40))]
    parts = [screened(half, 29, narrow) for half in halves]
    assert 0 < len(passing.symbols) < 40
    assert parts[0][0].symbols + parts[1][0].symbols == passing.symbols
    assert {k: sum(p[1].get(k, 0) for p in parts) for k in dropped} == dropped


# --- sample ------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), extra=st.integers(0, 60), order=st.integers(0, 2**32))
def test_the_sample_depends_on_the_set_and_the_seed_alone(seed: int, extra: int, order: int) -> None:
    universe = list(names(50 + extra))
    shuffled = [*universe, *universe[:3]]
    Random(order).shuffle(shuffled)
    sample = sample_universe(shuffled, seed, count=50)
    assert sample == sample_universe(universe, seed, count=50)
    assert len(set(sample)) == 50
    assert list(sample) == sorted(sample)
    assert set(sample) <= set(universe)


def test_the_sample_of_a_seed_stays_what_it_was() -> None:
    """Written down once: a change of library must not change the trained tickers of a recorded seed."""
    assert sample_universe(names(12), seed=7, count=5) == ("SAAD", "SAAE", "SAAG", "SAAK", "SAAL")


def test_every_symbol_is_sampled_equally_often() -> None:
    universe = names(20)
    drawn = [s for seed in range(400) for s in sample_universe(universe, seed, count=10)]
    assert all(140 < drawn.count(symbol) < 260 for symbol in universe)


def test_too_few_symbols_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="999 symbols cannot give a sample of 1000"):
        sample_universe(names(999), seed=1)
