"""Which symbols may be traded: common stock by its listing, then price and dollar volume.

Pure. The asset list has no flag for funds, warrants, units, rights and preferred stock, so
they are told by venue, symbol habit and name (``common_stock.toml``), and every symbol that
is left out has one reason that the operator can count. Names come long ("Apple Inc. Common
Stock") from the broker and short ("Alcoa Corporation") from a replayed file: both work.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

import numpy as np

from engine.model import CLOSE, TICKERS, VOLUME, Asset, Bools, Panel

EXCHANGES = frozenset({"NYSE", "NASDAQ", "AMEX"})


class Drop(StrEnum):
    """Why a listing is not in the universe."""

    NOT_EQUITY = "not a US equity"
    INACTIVE = "not active"
    NOT_TRADABLE = "not tradable"
    VENUE = "venue is not NYSE, NASDAQ or AMEX"
    RESTRICTED = "IPO or partnership with withholding"
    ODD_SYMBOL = "odd symbol"
    TEST = "test symbol"
    WARRANT = "warrant"
    UNIT = "unit"
    RIGHT = "right"
    PREFERRED = "preferred stock"
    NOTE = "note or other security"
    FUND = "fund"
    PRICE = "price outside the screen"
    DOLLAR_VOLUME = "dollar volume below the screen"


@dataclass(frozen=True)
class _Rules:
    """``common_stock.toml``, compiled."""

    fund_venues: frozenset[str]
    companies: frozenset[str]
    test_symbols: frozenset[str]
    fund_words: re.Pattern[str]
    fund_brands: re.Pattern[str]
    fund_sponsors: re.Pattern[str]
    sponsor_words: re.Pattern[str]
    trust_words: re.Pattern[str]
    property_words: re.Pattern[str]


@cache
def _rules() -> _Rules:
    text = resources.files("engine.data").joinpath("common_stock.toml").read_text(encoding="utf-8")
    table: dict[str, list[str]] = tomllib.loads(text)

    def words(key: str) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, table[key]))})(?!\w)", re.IGNORECASE)

    def beginning(key: str) -> re.Pattern[str]:
        return re.compile(rf"(?:the )?(?:{'|'.join(map(re.escape, table[key]))})(?!\w)", re.IGNORECASE)

    return _Rules(
        fund_venues=frozenset(table["fund_venues"]),
        companies=frozenset(table["companies"]),
        test_symbols=frozenset(table["test_symbols"]),
        fund_words=words("fund_words"),
        fund_brands=beginning("fund_brands"),
        fund_sponsors=beginning("fund_sponsors"),
        sponsor_words=words("sponsor_words"),
        trust_words=words("trust_words"),
        property_words=words("property_words"),
    )


# One to five letters, and at most a one-letter class behind the dot; .U .R .W are units, rights, warrants.
_PLAIN_SYMBOL = re.compile(r"[A-Z]{1,5}(?:\.[A-QSTVX-Z])?")
_SUFFIXES = (
    (re.compile(r"\.(WS(\.?[A-Z])?|W|WT)$"), Drop.WARRANT),
    (re.compile(r"\.(U|UN|UT)$"), Drop.UNIT),
    (re.compile(r"\.(R|RT|RTS?)$"), Drop.RIGHT),
    (re.compile(r"\.(PR|P)[A-Z]{0,2}$"), Drop.PREFERRED),
)
_TEST_SYMBOL = re.compile(r"Z[A-Z]ZZT")

# NASDAQ's fifth letter. A, B, K (classes), F, Y, S (foreign, depositary, beneficial interest) stay.
_FIFTH_LETTER = {
    "W": Drop.WARRANT, "U": Drop.UNIT, "R": Drop.RIGHT,
    "P": Drop.PREFERRED, "O": Drop.PREFERRED, "N": Drop.PREFERRED, "M": Drop.PREFERRED, "I": Drop.PREFERRED,
    "L": Drop.NOTE, "Z": Drop.NOTE, "G": Drop.NOTE, "H": Drop.NOTE, "V": Drop.NOTE,
}  # fmt: skip

_COMMON = re.compile(
    r"\bcommon (stock|shares?|units?)\b|\bordinary shares?\b|\bclass [a-d]\b|\bcapital stock\b"
    r"|\bamerican depositary\b|\blimited partner",
    re.IGNORECASE,
)
# In this order: a unit's name also tells the stock and the warrant inside it.
_NAMES = (
    (re.compile(r"\btest (stock|symbol|issue|security)\b|\btick pilot\b", re.IGNORECASE), Drop.TEST),
    (re.compile(r"\bunits$|\bunits?,? (each|consisting)|\bunits? (1|one) ", re.IGNORECASE), Drop.UNIT),
    (re.compile(r"\bwarrants?\b", re.IGNORECASE), Drop.WARRANT),
    (re.compile(r"\brights?$|\brights? (to|expir|,)|\bcontingent value\b|\bcvrs?$", re.IGNORECASE), Drop.RIGHT),
    (
        re.compile(
            r"\bpreferred (stock|shares?|securit\w*|series|units?)\b|\bpreferred$|\bpreference shares?\b|\bpfd\b"
            r"|\bdepositary shares?\b.*\bpreferred\b|\bcumulative\b.*\bpreferred\b",
            re.IGNORECASE,
        ),
        Drop.PREFERRED,
    ),
    (re.compile(r"\bnotes\b|\bdebentures?\b|\bbonds? due\b|\bwhen[- ]issued\b", re.IGNORECASE), Drop.NOTE),
)
_UNITS_OF_A_PARTNERSHIP = re.compile(r"\bcommon units\b|\blimited partner|\bdepositary units\b", re.IGNORECASE)
_ENDS_LIKE_A_FUND = re.compile(r"\b(index|portfolio)$", re.IGNORECASE)


def why_dropped(asset: Asset) -> Drop | None:
    """Why this listing is no common stock that we may buy, or None when it is one."""
    return _by_listing(asset) or _by_symbol(asset) or _by_name(asset)


def _by_listing(asset: Asset) -> Drop | None:
    if asset.asset_class != "us_equity":
        return Drop.NOT_EQUITY
    if asset.status != "active":
        return Drop.INACTIVE
    if not asset.tradable:
        return Drop.NOT_TRADABLE
    if asset.exchange in _rules().fund_venues:
        return Drop.FUND
    if asset.exchange not in EXCHANGES:
        return Drop.VENUE
    if "ipo" in asset.attributes or "ptp_no_exception" in asset.attributes:
        return Drop.RESTRICTED
    return None


def _by_symbol(asset: Asset) -> Drop | None:
    symbol = asset.symbol
    if symbol in _rules().test_symbols or _TEST_SYMBOL.fullmatch(symbol):
        return Drop.TEST
    for suffix, reason in _SUFFIXES:
        if suffix.search(symbol):
            return reason
    if not _PLAIN_SYMBOL.fullmatch(symbol):
        return Drop.ODD_SYMBOL
    # Only NASDAQ gives the fifth letter a meaning, and a name that says "common stock" outweighs it.
    if len(symbol) == 5 and symbol.isalpha() and asset.exchange == "NASDAQ" and symbol not in _rules().companies:
        fifth = _FIFTH_LETTER.get(symbol[4])
        if fifth is not None and not (_COMMON.search(asset.name) and _kind_by_name(asset.name) is None):
            return fifth
    return None


def _kind_by_name(name: str) -> Drop | None:
    folded = " ".join(name.split())
    for pattern, reason in _NAMES:
        if pattern.search(folded) and not (reason is Drop.UNIT and _UNITS_OF_A_PARTNERSHIP.search(folded)):
            return reason
    return None


def _by_name(asset: Asset) -> Drop | None:
    kind = _kind_by_name(asset.name)
    if kind is not None:
        return kind
    return Drop.FUND if asset.symbol not in _rules().companies and is_fund_name(asset.name) else None


def is_fund_name(name: str) -> bool:
    """Whether a name is a fund's: ETF, ETN, closed-end fund or the like, but no REIT and no bank."""
    rules, folded = _rules(), " ".join(name.split())
    if rules.fund_words.search(folded) or rules.fund_brands.match(folded) or _ENDS_LIKE_A_FUND.search(folded):
        return True
    if rules.property_words.search(folded):
        return False
    if rules.fund_sponsors.match(folded) and rules.sponsor_words.search(folded):
        return True
    return bool(re.search(r"\btrust\b", folded, re.IGNORECASE) and rules.trust_words.search(folded))


@dataclass(frozen=True, slots=True)
class Universe:
    """The listings that pass by name; ``dropped`` counts the others by reason."""

    candidates: tuple[str, ...]  # in symbol order
    names: dict[str, str]
    assets: int
    dropped: dict[str, int]


def common_stock(assets: Iterable[Asset]) -> Universe:
    """Splits the asset list into candidates and counted reasons; the order of the list does not matter."""
    names: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    count = 0
    for asset in assets:
        count += 1
        reason = why_dropped(asset)
        if reason is None:
            names[asset.symbol] = asset.name
        else:
            dropped[reason.value] += 1
    return Universe(tuple(sorted(names)), names, count, dict(sorted(dropped.items())))


@dataclass(frozen=True, slots=True)
class Screen:
    """The price and dollar-volume screen; dollars, and dollars a day (median over ``sessions``)."""

    price_low: float
    price_high: float
    dollar_volume: float
    sessions: int

    def passes(self, panel: Panel, at: int) -> tuple[Bools, Bools]:
        """(price passes, dollar volume passes) for each symbol, judged on the close of session index ``at``.

        Dollar volume of a session is close x volume. Raises ValueError when the panel holds
        fewer than ``sessions`` sessions up to ``at``.
        """
        first = at - self.sessions + 1
        if first < 0:
            raise ValueError(f"the screen needs {self.sessions} sessions up to index {at}")
        close = panel.bars[:, at, CLOSE]
        price = (close >= self.price_low) & (close <= self.price_high)
        traded = panel.bars[:, first : at + 1, CLOSE] * panel.bars[:, first : at + 1, VOLUME]
        median = np.median(traded, axis=1) if len(panel.symbols) else np.zeros(0)
        return price, median >= self.dollar_volume


def screened(panel: Panel, at: int, screen: Screen) -> tuple[Panel, dict[str, int]]:
    """The symbols that pass the screen on session index ``at``, and how many did not, by reason."""
    price, volume = screen.passes(panel, at)
    kept = np.flatnonzero(price & volume)
    dropped = {Drop.PRICE.value: int((~price).sum()), Drop.DOLLAR_VOLUME.value: int((price & ~volume).sum())}
    passing = Panel(tuple(panel.symbols[i] for i in kept), panel.sessions, panel.bars[kept])
    return passing, {reason: count for reason, count in dropped.items() if count}


def sample_universe(symbols: Sequence[str], seed: int, count: int = TICKERS) -> tuple[str, ...]:
    """``count`` of the symbols, in symbol order: a pure function of the set of symbols and the seed.

    Raises ValueError when there are fewer than ``count``.
    """
    ordered = sorted(set(symbols))
    if len(ordered) < count:
        raise ValueError(f"{len(ordered)} symbols cannot give a sample of {count}")
    # Sorting uniform numbers depends on the generator's bit stream alone, which numpy keeps; choice() may change.
    draw = np.random.default_rng(seed).random(len(ordered))
    chosen = np.sort(np.argsort(draw, kind="stable")[:count])
    return tuple(ordered[i] for i in chosen)
