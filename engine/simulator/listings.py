"""The asset list of the synthetic market: about two thirds common stock, the rest what a filter must drop.

Symbols and names follow the venue's habits (ALPACA.md section 8): suffixes .WS .U .RT .PRx
on the NYSE, a fifth letter W U R on NASDAQ, one-letter class suffixes on common stock,
funds known by exchange or name only, and traps such as a REIT called "Trust".
"""

from __future__ import annotations

import string
from collections.abc import Iterator

import numpy as np

from engine.simulator.intraday import seeded
from engine.simulator.market import Listing

SECTORS = (
    "Software", "Semiconductors", "Biosciences", "Medical", "Energy", "Mining", "Bancorp", "Insurance", "Retail",
    "Industries", "Utilities",
)  # fmt: skip
_STEMS = (
    "Alder", "Amber", "Arden", "Argus", "Aspen", "Baltic", "Beacon", "Birch", "Borealis", "Bright",
    "Cadence", "Calder", "Canyon", "Cardinal", "Cedar", "Chord", "Cobalt", "Copper", "Coral", "Crest",
    "Delta", "Dorado", "Drift", "Ember", "Fairway", "Falcon", "Fern", "Flint", "Forge", "Garnet",
    "Glacier", "Granite", "Harbor", "Hazel", "Helix", "Heron", "Indigo", "Iron", "Juniper", "Keystone",
    "Lantern", "Larch", "Lattice", "Linden", "Lumen", "Maple", "Marlin", "Mesa", "Meridian", "Nimbus",
    "North", "Oak", "Ocean", "Onyx", "Orchard", "Osprey", "Pacific", "Pebble", "Pine", "Prairie",
    "Quarry", "Quill", "Raven", "Ridge", "River", "Sable", "Sage", "Sierra", "Silver", "Slate",
    "Spruce", "Summit", "Tamarack", "Tern", "Thistle", "Tidewater", "Topaz", "Umber", "Valley",
    "Vantage", "Verdant", "Willow", "Zephyr",
)  # fmt: skip
_TAILS = ("", " Point", " Field", " Bridge", " Creek", "gate", "stone", "wood", "mark", "line")
_ENDINGS = ("Inc.", "Inc. Common Stock", "Corporation", "Holdings, Inc.", "Group plc", "Ltd. Ordinary Shares")

# Shares of the list by kind; what is left is plain common stock.
_SHARES = (
    ("etf", 0.110),
    ("fund", 0.030),
    ("warrant", 0.035),
    ("unit", 0.025),
    ("right", 0.015),
    ("preferred", 0.040),
    ("otc", 0.025),
    ("inactive", 0.020),
    ("untradable", 0.010),
    ("partnership", 0.010),
    ("offering", 0.006),
    ("odd", 0.012),
    ("class_share", 0.010),
    ("trust_company", 0.012),
)


def _kinds(count: int) -> list[str]:
    """A kind for every listing, evenly mixed, so that a small market has its share of each."""
    edges, total = [], 0.0
    for kind, share in _SHARES:
        total += share
        edges.append((total, kind))
    golden = 0.6180339887498949
    places = ((i + 1) * golden % 1.0 for i in range(count))
    return [next((kind for edge, kind in edges if place < edge), "common") for place in places]


def _symbols(rng: np.random.Generator) -> Iterator[str]:
    """Distinct symbols of two to four letters that no suffix rule can mistake."""
    letters = string.ascii_uppercase
    seen: set[str] = {"TEST"}
    while True:
        length = int(rng.choice([2, 3, 4], p=[0.02, 0.38, 0.60]))
        symbol = "".join(letters[i] for i in rng.integers(0, 26, size=length))
        if symbol not in seen:
            seen.add(symbol)
            yield symbol


def synthetic_listings(seed: int, count: int) -> tuple[tuple[Listing, ...], tuple[int, ...]]:
    """``count`` listings in symbol order and the sector index of each; a pure function of its arguments."""
    rng = seeded("listings", seed, count)
    fresh = _symbols(rng)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    rows: list[tuple[Listing, int]] = []
    taken: set[str] = set()
    for kind in _kinds(count):
        sector = int(rng.integers(len(SECTORS)))
        company = f"{pick(_STEMS)}{pick(_TAILS)} {SECTORS[sector]}"
        exchange = "NYSE" if rng.random() < 0.42 else "AMEX" if rng.random() < 0.06 else "NASDAQ"
        ending, dice = pick(_ENDINGS), float(rng.random())
        listing = _listing(kind, next(fresh), company, ending, exchange, dice)
        while listing.symbol in taken:  # two roots may end in one symbol once they are padded
            listing = _listing(kind, next(fresh), company, ending, exchange, dice)
        taken.add(listing.symbol)
        rows.append((listing, sector))
    rows.sort(key=lambda row: row[0].symbol)
    return tuple(r[0] for r in rows), tuple(r[1] for r in rows)


def _listing(kind: str, symbol: str, company: str, ending: str, exchange: str, dice: float) -> Listing:
    name = f"{company} {ending}"
    listed = exchange != "NASDAQ"
    base = symbol.ljust(4, "X")
    match kind:
        case "etf":
            brand = ("iShares", "SPDR", "ProShares Ultra", "Direxion Daily", "Vantage")[int(dice * 5)]
            venue = ("ARCA", "ARCA", "BATS", "NASDAQ")[int(dice * 4)]
            return Listing(symbol, f"{brand} {company} ETF", venue, kind=kind)
        case "fund":
            return Listing(symbol, f"{company} Municipal Income Fund", "NYSE", fractionable=False, kind=kind)
        case "warrant":
            odd = f"{symbol}.WS" if listed else f"{base}W"
            return Listing(odd, f"{company} Acquisition Corp. Warrants", exchange, fractionable=False, kind=kind)
        case "unit":
            odd = f"{symbol}.U" if listed else f"{base}U"
            return Listing(odd, f"{company} Acquisition Corp. Units", exchange, fractionable=False, kind=kind)
        case "right":
            odd = f"{symbol}.RT" if listed else f"{base}R"
            return Listing(odd, f"{company} Acquisition Corp. Rights", exchange, fractionable=False, kind=kind)
        case "preferred":
            series = "ABCD"[int(dice * 4)]
            text = f"{company} Depositary Shares, {4 + dice * 4:.2f}% Series {series} Preferred Stock"
            return Listing(f"{symbol}.PR{series}", text, "NYSE", fractionable=False, kind=kind)
        case "otc":
            return Listing(f"{base}F", f"{company} AG ADR", "OTC", fractionable=False, kind=kind)
        case "inactive":
            return Listing(symbol, name, exchange, status="inactive", tradable=False, kind=kind)
        case "untradable":
            return Listing(symbol, name, exchange, tradable=False, kind=kind)
        case "partnership":
            return Listing(symbol, f"{company} Partners L.P.", "NYSE", attributes=("ptp_no_exception",), kind=kind)
        case "offering":
            return Listing(symbol, name, exchange, attributes=("ipo",), fractionable=False, kind=kind)
        case "odd":
            shape = int(dice * 3)
            odd = (f"{symbol}.CL", f"{symbol}.WI", f"Z{symbol[:2]}ZT")[shape]
            text = (f"{company} Called", f"{company} When Issued", "NASDAQ TEST STOCK")[shape]
            return Listing(odd, text, exchange, fractionable=False, kind=kind)
        case "class_share":
            return Listing(
                f"{symbol}.{'AB'[int(dice * 2)]}", f"{name} Class {'AB'[int(dice * 2)]}", "NYSE", kind=kind
            )
        case "trust_company":
            return Listing(symbol, f"{company} Realty Trust", "NYSE", kind=kind)
        case _:
            return Listing(symbol, name, exchange, kind=kind)
